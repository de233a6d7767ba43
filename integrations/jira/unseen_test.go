package jira_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	tocsin "github.com/tocsin-alerts/tocsin"
)

var aTicket = regexp.MustCompile(`^/rest/api/2/issue/1\d+$`)

// hidden refuses to show any ticket, as a default security level does without the account.
func hidden(status int) func(r *http.Request) (int, http.Header, string) {
	return func(r *http.Request) (int, http.Header, string) {
		if r.Method == http.MethodGet && aTicket.MatchString(r.URL.Path) {
			return status, nil, `{"errorMessages":["no"],"errors":{}}`
		}
		return 0, nil, ""
	}
}

// TestTicketsThatTheAccountCannotSee: the second ticket of an incident that is out of reach
// unseen is no affair of the incident. The webhook fails and holds its events until the
// account may see what it creates.
func TestTicketsThatTheAccountCannotSee(t *testing.T) {
	for _, status := range []int{403, 404} {
		both(t, func(t *testing.T, f *fake) {
			w := f.open("")
			f.fail = hidden(status)
			w.good(w.send(numbered("k", "+1")))
			w.good(w.send(numbered("k", "+2")))
			for _, word := range []string{"+3", "+4", "+1", "?5", "-9"} {
				o := w.send(numbered("k", word))
				if diff := cmp.Diff([]tocsin.Fault{tocsin.FaultWebhook}, o.faults(1)); diff != "" {
					t.Fatalf("%d %s: faults (-want +got):\n%s", status, word, diff)
				}
				if !strings.Contains(o.err.Error(), "out of its reach") || tocsin.Classify(o.err).Unsure {
					t.Errorf("%d %s: %v", status, word, o.err)
				}
			}
			if len(f.issues) != 2 {
				t.Errorf("%d: %d tickets, want 2", status, len(f.issues))
			}
			f.fail = nil
			w.good(w.send(numbered("k", "+3")))
			w.good(w.send(numbered("k", "-9")))
			if got, want := f.story(), "Zu erledigen: 1; Fertig: 2, Fired again, Resolved"; got != want {
				t.Errorf("tickets %s, want %s", got, want)
			}
		})
	}
}

// TestPeopleDeleteTickets: every one may be replaced, also right after its creation, since
// the account has seen it.
func TestPeopleDeleteTickets(t *testing.T) {
	for _, rest := range []string{"", "+"} {
		both(t, func(t *testing.T, f *fake) {
			w := f.open("")
			for n := 1; n <= 4; n++ {
				w.good(w.send(numbered("k", fmt.Sprint("+", 2*n))))
				if rest != "" {
					w.good(w.send(numbered("k", fmt.Sprint("+", 2*n+1))))
				}
				if len(f.issues) != n {
					t.Fatalf("%d tickets, want %d", len(f.issues), n)
				}
				f.issues[n-1].deleted = true
			}
		})
	}
}

// TestCommentsNotFound: tickets that are shown, and whose comments answer 404, are not
// replaced by one another.
func TestCommentsNotFound(t *testing.T) {
	both(t, func(t *testing.T, f *fake) {
		w := f.open("")
		f.fail = func(r *http.Request) (int, http.Header, string) {
			if strings.HasSuffix(r.URL.Path, "/comment") {
				return 404, nil, "{}"
			}
			return 0, nil, ""
		}
		for n := 1; n <= 6; n++ {
			w.good(w.send(numbered("k", fmt.Sprint("+", n))))
		}
		if len(f.issues) != 2 {
			t.Errorf("%d tickets, want 2", len(f.issues))
		}
	})
}
