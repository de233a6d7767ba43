package jira_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
)

// numbered is what the n-th event of an incident says, with the store's number: "+1" fires,
// "?1" is acknowledged, "-1" is resolved.
func numbered(key, what string) tocsin.Event {
	var n int
	_, _ = fmt.Sscan(what[1:], &n) // the tests write numbers
	e := event(key, n)
	e.Seq, e.Time = int64(n), integrationtest.At.Add(time.Duration(n)*time.Minute)
	switch what[0] {
	case '?':
		e.Type = tocsin.TypeIncidentAcknowledged
	case '-':
		e.Status = tocsin.Resolved
	}
	return e
}

// story is the tickets of a fake: for each its status, what it was created for and the first
// lines of its comments.
func (f *fake) story() string {
	var out []string
	for _, i := range f.issues {
		line := i.status + ": " + strings.TrimPrefix(i.fields["summary"].(string), "Critical: finding k, ")
		for _, c := range i.comments {
			line += ", " + strings.Trim(strings.SplitN(c, "\n", 2)[0], "*")
		}
		out = append(out, line)
	}
	return strings.Join(out, "; ")
}

// TestOldNews: a delivery that is sent again, or comes late, moves no ticket, creates none
// that would never be resolved, and says nothing twice.
func TestOldNews(t *testing.T) {
	for story, want := range map[string]string{
		"+1 -2 +1":       "Fertig: 1, Resolved",
		"+1 +2 -3 +2":    "Fertig: 1, Fired again, Resolved",
		"+1 -2 +3 -2":    "Zu erledigen: 1, Resolved, Fired again",
		"+1 -3 +2":       "Fertig: 1, Resolved, Fired earlier",
		"+1 -3 +2 +2 -3": "Fertig: 1, Resolved, Fired earlier",
		"+1 +4 -2":       "Zu erledigen: 1, Fired again, Resolved earlier",
		"+1 -3 ?2":       "Fertig: 1, Resolved, Acknowledged earlier",
		"+1 +3 +2":       "Zu erledigen: 1, Fired again, Fired earlier",
		"+1 -2 -2":       "Fertig: 1, Resolved",
		"+1 -2 +3 +3":    "Zu erledigen: 1, Resolved, Fired again",
		"-2 +1":          "", // it was over when it came
		"-2 +1 +3 -2":    "Zu erledigen: 3, Resolved earlier",
		"?2 +1":          "Zu erledigen: 1", // late, and still true
		"+2 -1":          "Zu erledigen: 2, Resolved earlier",
		"+1 -2 x +1":     "x", // the ticket was deleted
		"+1 -2 x +1 -2":  "x",
		"+1 -2 x +2":     "x; Zu erledigen: 2", // the same number again: somebody wants it
		"+1 x -2 +1 +3":  "x; Zu erledigen: 3",
		"+1 -4 x +3 +5":  "x; Zu erledigen: 5",
		"+1 -2 +0":       "Zu erledigen: 1, Resolved, Fired again", // without a number there is no order
		"-0 +1":          "Zu erledigen: 1",
	} {
		both(t, func(t *testing.T, f *fake) {
			w := f.open("")
			for _, word := range strings.Fields(story) {
				if word == "x" {
					f.issues[0].deleted, f.issues[0].status = true, "x"
					f.issues[0].fields["summary"], f.issues[0].comments = "", nil
					continue
				}
				w.good(w.send(numbered("k", word)))
			}
			got := strings.ReplaceAll(f.story(), "x: ", "x")
			if got != want {
				t.Errorf("%s: tickets %q, want %q", story, got, want)
			}
			if strings.Contains(story, "x") {
				return
			}
			one := newFake(t, f.cloud)
			w = one.open("")
			var batch []tocsin.Event
			for _, word := range strings.Fields(story) {
				batch = append(batch, numbered("k", word))
			}
			w.good(w.send(batch...))
			if got := one.story(); got != want {
				t.Errorf("%s in one delivery: tickets %q, want %q", story, got, want)
			}
		})
	}
}

// TestOldNewsSaysWhen it happened, and that the ticket was left alone.
func TestOldNewsSaysWhen(t *testing.T) {
	f := newFake(t, true)
	w := f.open("")
	w.good(w.send(numbered("k", "+1"), numbered("k", "-5")))
	f.take()
	w.good(w.send(numbered("k", "+2")))
	f.want("GET issue/10001", "GET issue/10001/comment", "POST issue/10001/comment")
	c := strings.ReplaceAll(f.issues[0].comments[1], `\`, "")
	if !strings.Contains(c, "This happened at 2026-03-02 08:47:00 UTC, before what this ticket was told last. Its status is left as it is.") {
		t.Errorf("comment:\n%s", c)
	}
	w.good(w.send(numbered("k", "+2")))
	f.want("GET issue/10001", "GET issue/10001/comment")
	w.good(w.send(numbered("k", "+1"))) // the description says it
	f.want("GET issue/10001")

	quiet := newFake(t, true)
	w = quiet.open(`"comment_on_refire":false`)
	w.good(w.send(numbered("k", "+1"), numbered("k", "-5"), numbered("k", "+2"), numbered("k", "-3")))
	if got := quiet.story(); got != "Fertig: 1, Resolved, Resolved earlier" {
		t.Errorf("told not to comment: %q", got)
	}
	// What did not have to be said counts all the same.
	w.good(w.send(numbered("k", "+7"), numbered("k", "+9"), numbered("k", "-8")))
	if got := quiet.story(); got != "Zu erledigen: 1, Resolved, Resolved earlier, Fired again, Resolved earlier" {
		t.Errorf("told not to comment, and a late end: %q", got)
	}
}

// TestNumbersOfWhatWasAccepted: what was told before a failure is remembered; what failed is
// told later as if it had never been tried.
func TestNumbersOfWhatWasAccepted(t *testing.T) {
	f := newFake(t, true)
	w := f.open("")
	seq := func(key string) (seq int64) {
		var r struct{ Seq int64 }
		if err := json.Unmarshal(w.refs[key], &r); err != nil {
			t.Fatalf("ref %s: %v", w.refs[key], err)
		}
		return r.Seq
	}
	busy := func(part string) func(*http.Request) (int, http.Header, string) {
		return func(r *http.Request) (int, http.Header, string) {
			if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, part) {
				return 429, nil, ""
			}
			return 0, nil, ""
		}
	}
	f.fail = busy("10001/comment")
	o := w.send(numbered("k", "+1"), numbered("k", "+3"), numbered("k", "-4"))
	if diff := cmp.Diff([]tocsin.Fault{"", tocsin.FaultRetry, tocsin.FaultRetry}, o.faults(3)); diff != "" || seq("k") != 1 {
		t.Errorf("ref %s, faults (-want +got):\n%s", w.refs["k"], diff)
	}
	f.fail = busy("10001/transitions")
	w.send(numbered("k", "+3"), numbered("k", "-4"))
	if seq("k") != 3 {
		t.Errorf("ref %s, want 3 told", w.refs["k"])
	}
	// The ticket is moved, the comment is not written: an older event must not undo the move.
	f.fail = busy("10001/comment")
	w.send(numbered("k", "-4"))
	f.fail = nil
	w.good(w.send(numbered("k", "+3"), numbered("k", "+2")))
	if f.issues[0].status != "Fertig" || seq("k") != 4 {
		t.Errorf("status %q, ref %s; want it moved, and 4", f.issues[0].status, w.refs["k"])
	}
	w.good(w.send(numbered("k", "-4")))
	if got := f.story(); got != "Fertig: 1, Fired again, Fired earlier, Resolved" || seq("k") != 4 {
		t.Errorf("tickets %q, ref %s", got, w.refs["k"])
	}
	// The ticket went away meanwhile: the next attempt finds out.
	f.fail = func(r *http.Request) (int, http.Header, string) {
		if r.Method == http.MethodPost {
			return 404, nil, ""
		}
		return 0, nil, ""
	}
	late := numbered("k", "?2")
	late.ID = "unheard"
	if o := w.send(late); tocsin.Classify(o.err).Fault != tocsin.FaultRetry {
		t.Errorf("got %v, want to try again", o.err)
	}
	f.fail = nil
	// One that Jira refuses was not told.
	bad := numbered("k", "+9")
	bad.Title = "poison"
	f.issues[0].status = "Zu erledigen"
	if o := w.send(bad); o.faults(1)[0] != tocsin.FaultEvent || seq("k") != 4 {
		t.Errorf("got %q, ref %s", o.faults(1)[0], w.refs["k"])
	}
}

// TestOldNewsAfterACrash: an event that is over needs no new ticket, but the one that it may
// have is found.
func TestOldNewsAfterACrash(t *testing.T) {
	for _, arrived := range []bool{true, false} {
		both(t, func(t *testing.T, f *fake) {
			w := f.open("")
			if arrived {
				w.attempt(false, false, numbered("k", "+1"))
				f.reindex()
			}
			w.good(w.send(numbered("k", "-2"))) // knows of no ticket
			w.attempt(true, true, numbered("k", "+1"))
			w.now = w.now.Add(2 * time.Minute)
			w.good(w.attempt(true, true, numbered("k", "+1")))
			if !strings.Contains(string(w.refs["k"]), `"seq":2`) {
				t.Errorf("arrived %v: ref %s, want to know of 2", arrived, w.refs["k"])
			}
			w.good(w.send(numbered("k", "+3")))
			want := "Zu erledigen: 3"
			if arrived {
				want = "Zu erledigen: 1, Fired again"
			}
			if got := f.story(); got != want {
				t.Errorf("arrived %v: tickets %q, want %q", arrived, got, want)
			}
		})
	}
}
