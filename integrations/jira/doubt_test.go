package jira_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// TestTheDoubtOfACrashIsPassedOn: after a crash the next attempt is cut short. What it did
// not come to is a delivery of its own then, which knows of no attempt, and creates nothing
// a second time.
func TestTheDoubtOfACrashIsPassedOn(t *testing.T) {
	both(t, func(t *testing.T, f *fake) {
		w := f.open("")
		var events []tocsin.Event
		for i := range 12 {
			events = append(events, event(fmt.Sprintf("k%d", i), i+1))
		}
		w.attempt(false, false, events...) // all are created, and nobody remembers
		f.reindex()
		searches := 0
		f.fail = func(r *http.Request) (int, http.Header, string) {
			if strings.Contains(r.URL.Path, "/search") {
				if searches++; searches == 2 {
					return http.StatusTooManyRequests, nil, "slow down"
				}
			}
			return 0, nil, ""
		}
		w.attempt(true, true, events...)
		f.fail = nil
		w.good(w.send(events[10:]...))
		if len(f.issues) != 12 {
			t.Errorf("%d tickets for 12 incidents", len(f.issues))
		}
	})
}
