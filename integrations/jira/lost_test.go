package jira_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/jira"
)

// denied refuses what is asked of ticket 10001: "GET " the ticket itself, "POST /comment".
func denied(status int, what ...string) func(r *http.Request) (int, http.Header, string) {
	return func(r *http.Request) (int, http.Header, string) {
		if rest, ok := strings.CutPrefix(r.URL.Path, "/rest/api/2/issue/10001"); ok && slices.Contains(what, r.Method+" "+rest) {
			return status, nil, `{"errorMessages":["You do not have the permission to see the specified issue."],"errors":{}}`
		}
		return 0, nil, ""
	}
}

// origins are the lines of new tickets about the tickets they take the place of.
func (f *fake) origins() string {
	var out []string
	for _, i := range f.issues {
		for line := range strings.SplitSeq(i.fields["description"].(string), "\n") {
			if rest, ok := strings.CutPrefix(line, "This goes on from "); ok {
				out = append(out, i.key+" from "+strings.SplitN(rest, ",", 2)[0])
			}
		}
	}
	return strings.Join(out, "; ")
}

// TestOneTicketOutOfReach: what Jira refuses about one ticket is the affair of its incident.
// The others go on, and what fires gets a ticket that people can see, once.
func TestOneTicketOutOfReach(t *testing.T) {
	const comment, look, list, move = "POST /comment", "GET ", "GET /transitions", "POST /transitions"
	for _, row := range []struct {
		status int
		what   string
		events string
		want   string // tickets: see story
		from   string
	}{
		{403, look, "+2", "Zu erledigen: 1; Zu erledigen: other; Zu erledigen: 2", "SEC-3 from SEC-1"},
		{404, look, "+2", "Zu erledigen: 1; Zu erledigen: other; Zu erledigen: 2", "SEC-3 from SEC-1"},
		{403, look, "+2 +3 -4", "Zu erledigen: 1; Zu erledigen: other; Fertig: 2, Fired again, Resolved", "SEC-3 from SEC-1"},
		{403, look, "-2", "Zu erledigen: 1; Zu erledigen: other", ""},
		{403, look, "?2", "Zu erledigen: 1; Zu erledigen: other", ""},
		{403, look, "-2 +3", "Zu erledigen: 1; Zu erledigen: other; Zu erledigen: 3", "SEC-3 from SEC-1"},
		{403, comment, "+2", "Zu erledigen: 1; Zu erledigen: other; Zu erledigen: 2", "SEC-3 from SEC-1"},
		{404, comment, "+2", "Zu erledigen: 1; Zu erledigen: other; Zu erledigen: 2", "SEC-3 from SEC-1"},
		{403, comment, "-2", "Fertig: 1; Zu erledigen: other", ""},
		{403, comment, "-2 +3", "Zu erledigen: 1; Zu erledigen: other", ""}, // reopened, which is seen
		{403, comment, "?2", "Zu erledigen: 1; Zu erledigen: other", ""},
		{403, list, "-2", "Zu erledigen: 1, Resolved; Zu erledigen: other", ""},
		{403, move, "-2", "Zu erledigen: 1, Resolved; Zu erledigen: other", ""},
		{404, move, "-2", "Zu erledigen: 1; Zu erledigen: other", ""},
		{404, list, "-2 +3", "Zu erledigen: 1; Zu erledigen: other; Zu erledigen: 3", "SEC-3 from SEC-1"},
	} {
		t.Run(fmt.Sprint(row.status, " ", row.what, " ", row.events), func(t *testing.T) {
			both(t, func(t *testing.T, f *fake) {
				w := f.open("")
				other := event("other", 1)
				other.Title = "other"
				w.good(w.send(numbered("k", "+1"), other))
				f.issues[1].fields["summary"] = "other"
				f.fail = denied(row.status, row.what)
				for _, word := range strings.Fields(row.events) {
					w.good(w.send(numbered("k", word), acknowledged("other")))
				}
				f.issues[1].comments = nil
				if got := f.story(); got != row.want || f.origins() != row.from {
					t.Errorf("tickets %s, want %s; %q, want %q", got, row.want, f.origins(), row.from)
				}
			})
		})
	}
}

func acknowledged(key string) tocsin.Event {
	e := event(key, 0)
	e.Type = tocsin.TypeIncidentAcknowledged
	return e
}

// TestStuckTicketsSayWhy: a refused transition is in the comment.
func TestStuckTicketsSayWhy(t *testing.T) {
	f := newFake(t, true)
	w := f.open("")
	w.good(w.send(event("k", 1)))
	f.fail = denied(403, "POST /transitions")
	w.good(w.send(over("k", 2)))
	if c := f.issues[0].comments[0]; !strings.Contains(c, "could not have this ticket resolved") || !strings.Contains(c, "403 Forbidden") {
		t.Errorf("comment:\n%s", c)
	}
}

// TestNoRightToComment: a project in which the account may not comment gets two tickets for
// an incident, and not one for every event.
func TestNoRightToComment(t *testing.T) {
	f := newFake(t, true)
	w := f.open("")
	f.fail = func(r *http.Request) (int, http.Header, string) {
		if strings.HasSuffix(r.URL.Path, "/comment") {
			return 403, nil, "{}"
		}
		return 0, nil, ""
	}
	for n := range 6 {
		w.good(w.send(event("k", n)))
	}
	if len(f.issues) != 2 {
		t.Errorf("%d tickets", len(f.issues))
	}
}

// TestTheAccountIsTheTrouble: when the project is out of reach as well, nothing counts as
// delivered, and no ticket is forgotten.
func TestTheAccountIsTheTrouble(t *testing.T) {
	for _, e := range []tocsin.Event{event("k", 2), over("k", 2), acknowledged("k")} {
		for _, status := range []int{401, 403, 404} {
			for _, what := range []string{"", "/comment"} {
				f := newFake(t, true)
				w := f.open("")
				w.good(w.send(event("k", 1), event("other", 1)))
				f.fail = func(r *http.Request) (int, http.Header, string) {
					if strings.HasSuffix(r.URL.Path, "/10001"+what) || strings.Contains(r.URL.Path, "/project/") {
						return status, nil, "{}"
					}
					return 0, nil, ""
				}
				want := []tocsin.Fault{tocsin.FaultWebhook, tocsin.FaultWebhook}
				if diff := cmp.Diff(want, w.send(e, event("other", 2)).faults(2)); diff != "" {
					t.Errorf("%d %q: faults (-want +got):\n%s", status, what, diff)
				}
				f.fail = nil
				w.good(w.send(e, event("other", 2)))
				if len(f.issues) != 2 {
					t.Errorf("%d %q: %d tickets", status, what, len(f.issues))
				}
			}
		}
	}
}

// TestTheSearchShowsWhatIsGone: the index still has a ticket that Jira does not show. It is
// looked for once, never taken again, and the alert has a ticket.
func TestTheSearchShowsWhatIsGone(t *testing.T) {
	both(t, func(t *testing.T, f *fake) {
		w := f.open("")
		w.attempt(false, false, event("k", 1)) // created, and nobody remembers
		f.reindex()
		f.take()
		f.fail = denied(404, "GET ")
		w.good(w.attempt(true, true, event("k", 2)))
		search := "GET search"
		if f.cloud {
			search += "/jql"
		}
		f.want(search, "GET issue/10001", "GET project/SEC", "POST issue", "GET issue/10002")

		// Once more, with a ticket that is created and forgotten: the old one is no candidate.
		w.attempt(false, false, event("k", 3))
		f.issues[1].deleted = true
		w.now = w.now.Add(time.Hour)
		f.reindex()
		f.take()
		w.attempt(true, true, event("k", 4))
		if n := len(f.take()); n > 10 {
			t.Errorf("%d requests in one send", n)
		}
	})
}

// TestALostTicketIsRemembered in every state that an incident without a ticket has.
func TestALostTicketIsRemembered(t *testing.T) {
	f := newFake(t, true)
	w := f.open("")
	w.good(w.send(event("k", 1)))
	f.fail = denied(403, "GET ")
	w.good(w.send(acknowledged("k"))) // found out, and no number is known
	w.good(w.send(over("k", 3)))
	f.fail = func(r *http.Request) (int, http.Header, string) {
		if r.Method == http.MethodPost {
			return 503, nil, ""
		}
		return 0, nil, ""
	}
	if o := w.send(event("k", 4)); !tocsin.Classify(o.err).Unsure {
		t.Fatalf("got %v", o.err)
	}
	f.fail = nil
	f.reindex() // which shows the lost one
	w.now = w.now.Add(time.Hour)
	w.good(w.attempt(true, true, event("k", 4)))
	if f.origins() != "SEC-2 from SEC-1" {
		t.Errorf("%q", f.origins())
	}
	var ref struct {
		Key  string `json:"key"`
		Lost string `json:"lost_key"`
	}
	if err := json.Unmarshal(w.refs["k"], &ref); err != nil || ref.Key != "SEC-2" || ref.Lost != "SEC-1" {
		t.Errorf("ref %s", w.refs["k"])
	}
}

// TestRequestsOfOneSend: a delivery of a thousand comments takes several attempts, each with
// a record of bounded length, and says each once.
func TestRequestsOfOneSend(t *testing.T) {
	f := newFake(t, false)
	w := f.open("")
	const n = 250
	var first, left []tocsin.Event
	for i := range n {
		first, left = append(first, event(fmt.Sprint("k", i), 1)), append(left, event(fmt.Sprint("k", i), 2))
	}
	w.good(w.send(first...))
	for attempts := 0; len(left) > 0; attempts++ {
		o := w.send(left...)
		if len(o.Exchanges) > 200 || attempts == 3 {
			t.Fatalf("attempt %d: %d requests, %d events are left", attempts, len(o.Exchanges), len(left))
		}
		var rest []tocsin.Event
		for i, fault := range o.faults(len(left)) {
			if fault == tocsin.FaultRetry && !tocsin.Classify(o.Results[i].Err).Unsure {
				rest = append(rest, left[i])
			} else if fault != "" {
				t.Fatalf("event %d: %v", i, o.Results[i].Err)
			}
		}
		left = rest
	}
	for _, i := range f.issues {
		if len(i.comments) != 1 {
			t.Errorf("%s has %d comments", i.key, len(i.comments))
		}
	}
}

// TestMarksCannotBeForged: a producer that knows source and id of an event still to come
// writes what would be its mark into another event, and the event is told all the same.
func TestMarksCannotBeForged(t *testing.T) {
	f := newFake(t, true)
	w := f.open("")
	mine, theirs := event("mine", 1), event("theirs", 1)
	marks := map[string]bool{}
	for _, webhook := range []string{"wh_a", "wh_b"} {
		for _, e := range []*tocsin.Event{&mine, &theirs} {
			same := *e
			same.ID, same.Source = "1", "/s" // the same event for another incident
			marks[jira.EventMark(webhook, &same)] = true
		}
	}
	if len(marks) != 4 {
		t.Errorf("%d marks for two webhooks and two incidents", len(marks))
	}
	w.good(w.send(mine))
	if d := f.issues[0].fields["description"].(string); strings.Contains(d, jira.EventMark("", &mine)) {
		t.Errorf("the mark needs no secret:\n%s", d)
	}
}
