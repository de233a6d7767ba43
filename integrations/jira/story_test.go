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
)

// both runs a story on Cloud and on Data Center.
func both(t *testing.T, story func(t *testing.T, f *fake)) {
	t.Run("cloud", func(t *testing.T) { story(t, newFake(t, true)) })
	t.Run("datacenter", func(t *testing.T) { story(t, newFake(t, false)) })
}

func TestTheLifeOfATicket(t *testing.T) {
	both(t, func(t *testing.T, f *fake) {
		w := f.open("")
		w.good(w.send(event("k", 1)))
		f.want("POST issue")

		w.good(w.send(event("k", 2)))
		f.want("GET issue/10001", "POST issue/10001/comment")

		w.good(w.send(over("k", 3)))
		f.want("GET issue/10001", "GET issue/10001/transitions", "POST issue/10001/transitions", "POST issue/10001/comment")
		if f.issues[0].status != "Fertig" {
			t.Errorf("resolved: status %q, want Fertig, and not the one that needs fields", f.issues[0].status)
		}

		w.good(w.send(event("k", 4)))
		if f.issues[0].status != "Zu erledigen" {
			t.Errorf("reopened: status %q, want Zu erledigen", f.issues[0].status)
		}
		var said []string
		for _, c := range f.issues[0].comments {
			said = append(said, strings.SplitN(c, "\n", 2)[0])
		}
		if diff := cmp.Diff([]string{"*Fired again*", "*Resolved*", "*Fired again*"}, said); diff != "" || len(f.issues) != 1 {
			t.Errorf("%d tickets; comments (-want +got):\n%s", len(f.issues), diff)
		}
	})
}

func TestFieldsOfATicket(t *testing.T) {
	f := newFake(t, false)
	w := f.open(`"issue_type":"Bug","labels":["agents"],"priority":{"critical":"Highest"},"components":["Gateway"],"assignee":"dana","custom_fields":{"customfield_1":{"value":"x"}}`)
	w.good(w.send(event("k", 1)))
	got := f.issues[0].fields
	delete(got, "description")
	want := map[string]any{
		"project": map[string]any{"key": "SEC"}, "issuetype": map[string]any{"name": "Bug"}, "summary": "Critical: finding k, 1",
		"labels": []any{"tocsin", got["labels"].([]any)[1], "agents"}, "priority": map[string]any{"name": "Highest"},
		"components": []any{map[string]any{"name": "Gateway"}}, "assignee": map[string]any{"name": "dana"}, "customfield_1": map[string]any{"value": "x"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}

func TestResolvedWithoutTicketIsNothing(t *testing.T) {
	f := newFake(t, true)
	w := f.open("")
	ack := event("k", 2)
	ack.Type = tocsin.TypeIncidentAcknowledged
	w.good(w.send(over("k", 1), ack))
	f.want()
}

func TestPeopleMoveTickets(t *testing.T) {
	f := newFake(t, true)
	w := f.open("")
	w.good(w.send(event("k", 1)))
	f.issues[0].status = "Abgelehnt" // by a person
	w.good(w.send(over("k", 2)))     // it is done already
	if f.issues[0].status != "Abgelehnt" || len(f.issues[0].comments) != 1 {
		t.Errorf("status %q and %d comments, want it left as it is, with a comment", f.issues[0].status, len(f.issues[0].comments))
	}
	w.good(w.send(event("k", 3))) // from there nothing leads back
	comment := f.issues[0].comments[1]
	if f.issues[0].status != "Abgelehnt" || !strings.Contains(comment, "could not have this ticket reopened") || !strings.Contains(comment, `reopen\_transition`) {
		t.Errorf("status %q, comment:\n%s", f.issues[0].status, comment)
	}
}

func TestTransitionsByName(t *testing.T) {
	for setting, want := range map[string]string{
		`"resolve_transition":"erledigen"`: "Fertig", `"resolve_transition":"13"`: "Fertig", `"resolve_transition":"in arbeit"`: "In Arbeit",
		`"resolve_transition":"Ablehnen"`: "Zu erledigen", `"resolve_transition":"Done"`: "Zu erledigen",
	} {
		f := newFake(t, true)
		w := f.open(setting)
		w.good(w.send(event("k", 1)))
		w.good(w.send(over("k", 2)))
		i := f.issues[0]
		stuck := strings.Contains(i.comments[0], "could not have this ticket resolved")
		if i.status != want || stuck != (want == "Zu erledigen") {
			t.Errorf("%s: status %q, want %q; comment:\n%s", setting, i.status, want, i.comments[0])
		}
	}
}

func TestDeletedTicketIsCreatedAnew(t *testing.T) {
	f := newFake(t, true)
	w := f.open("")
	w.good(w.send(event("k", 1)))
	f.issues[0].deleted = true
	w.good(w.send(over("k", 2))) // nothing to resolve
	w.good(w.send(event("k", 3)))
	w.good(w.send(event("k", 4)))
	if len(f.issues) != 2 || len(f.issues[1].comments) != 1 {
		t.Errorf("%d tickets, want the second with a comment", len(f.issues))
	}
}

// TestAnotherJira: numbers of tickets mean other tickets there.
func TestAnotherJira(t *testing.T) {
	old, f := newFake(t, true), newFake(t, true)
	w := old.open("")
	w.good(w.send(event("k", 1)))
	other := f.open("")
	other.good(other.send(event("somebody else's", 1)))
	other.refs["k"] = w.refs["k"]
	other.good(other.send(event("k", 2)))
	if len(f.issues) != 2 || len(f.issues[0].comments) != 0 {
		t.Errorf("%d tickets, %d comments on somebody else's; want a ticket of its own", len(f.issues), len(f.issues[0].comments))
	}
}

func TestQuietWhenAskedTo(t *testing.T) {
	f := newFake(t, true)
	w := f.open(`"comment_on_refire":false`)
	w.good(w.send(event("k", 1), event("k", 2)))
	if n := len(f.issues[0].comments); n != 0 {
		t.Errorf("%d comments on an open ticket, want none", n)
	}
	w.good(w.send(over("k", 3), event("k", 4)))
	if n := len(f.issues[0].comments); n != 2 || f.issues[0].status != "Zu erledigen" {
		t.Errorf("%d comments, status %q; want one for the end and one for the beginning", n, f.issues[0].status)
	}
}

func TestIncidentsAreToldOnTheTicket(t *testing.T) {
	f := newFake(t, true)
	w := f.open("")
	events := incidentEvents()
	for _, e := range events {
		w.good(w.send(e))
	}
	i := f.issues[0]
	if len(i.comments) != 2 || !strings.Contains(i.comments[0], "*Acknowledged*\n\nAcknowledged by dana") || i.status != "Fertig" {
		t.Errorf("status %q, comments %q", i.status, i.comments)
	}
}

func TestOneDeliveryManyIncidents(t *testing.T) {
	both(t, func(t *testing.T, f *fake) {
		w := f.open("")
		var events []tocsin.Event
		for i := range 23 {
			events = append(events, event(fmt.Sprintf("k%02d", i), 1))
		}
		events = append(events, event("k05", 2), over("k05", 3))
		w.good(w.send(events...))
		f.want("POST issue/bulk", "POST issue/bulk", "POST issue/bulk",
			"GET issue/10006", "POST issue/10006/comment",
			"GET issue/10006", "GET issue/10006/transitions", "POST issue/10006/transitions", "POST issue/10006/comment")
		for i := range 23 {
			var ref struct{ ID string }
			if err := json.Unmarshal(w.refs[fmt.Sprintf("k%02d", i)], &ref); err != nil || ref.ID != fmt.Sprint(10001+i) {
				t.Errorf("k%02d: ref %s, want ticket %d", i, w.refs[fmt.Sprintf("k%02d", i)], 10001+i)
			}
		}
	})
}

// TestBulkFailuresAreMatchedByElement: one poison among others fails alone, and every
// ticket is remembered for its own dedup key.
func TestBulkFailuresAreMatchedByElement(t *testing.T) {
	f := newFake(t, true)
	w := f.open("")
	events := []tocsin.Event{event("a", 1), event("b", 1), event("c", 1), event("b", 2), event("d", 1)}
	events[1].Title, events[4].Title = "poison", "poison"
	o := w.send(events...)
	if diff := cmp.Diff([]tocsin.Fault{"", tocsin.FaultEvent, "", "", tocsin.FaultEvent}, o.faults(5)); diff != "" || o.err != nil {
		t.Fatalf("%v; faults (-want +got):\n%s", o.err, diff)
	}
	if text := o.Results[1].Err.Error(); text != "creating tickets in jira: answered 400 Bad Request: summary: The summary is poisoned." {
		t.Errorf("the error is %q", text)
	}
	for key, title := range map[string]string{"a": "finding a, 1", "b": "finding b, 2", "c": "finding c, 1"} {
		var ref struct{ ID string }
		if err := json.Unmarshal(w.refs[key], &ref); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		for _, i := range f.issues {
			if i.id == ref.ID && i.fields["summary"] != "Critical: "+title {
				t.Errorf("%s is remembered as the ticket %q", key, i.fields["summary"])
			}
		}
	}
	if _, there := w.refs["d"]; there || len(f.issues) != 3 {
		t.Errorf("%d tickets, ref of d: %s; want 3 and none", len(f.issues), w.refs["d"])
	}
}

func TestFieldsThatTheScreenDoesNotHave(t *testing.T) {
	for _, off := range [][]string{{"labels"}, {"priority"}, {"labels", "priority"}} {
		both(t, func(t *testing.T, f *fake) {
			f.offScreen = off
			w := f.open(`"priority":{"critical":"Highest"}`)
			w.good(w.send(event("one", 1)))
			f.want("POST issue", "POST issue")
			w.good(w.send(event("a", 1), event("b", 1)))
			f.want("POST issue/bulk", "POST issue/bulk")
			for _, i := range f.issues {
				_, labels := i.fields["labels"]
				_, priority := i.fields["priority"]
				if labels == strings.Contains(fmt.Sprint(off), "labels") || priority == strings.Contains(fmt.Sprint(off), "priority") {
					t.Errorf("%v: labels %v, priority %v", off, labels, priority)
				}
			}
		})
	}
	f := newFake(t, true)
	f.offScreen = []string{"labels", "customfield_9"}
	if o := f.open(`"custom_fields":{"customfield_9":1}`).send(event("k", 1)); tocsin.Classify(o.err).Fault != tocsin.FaultWebhook {
		t.Errorf("a custom field that is not there: got %v, want the webhook's fault", o.err)
	}
	f.want("POST issue") // dropping the labels would not help
}

// TestCrashBetweenCreateAndRecord: the ticket is there, and nobody remembers. It is found
// by its label, or by the word in its description where there are no labels.
func TestCrashBetweenCreateAndRecord(t *testing.T) {
	for _, off := range [][]string{nil, {"labels"}} {
		both(t, func(t *testing.T, f *fake) {
			f.offScreen = off
			w := f.open("")
			w.attempt(false, false, event("k", 1), event("k", 2))
			f.reindex()
			f.take()
			w.good(w.attempt(true, true, event("k", 1), event("k", 2)))
			if len(f.issues) != 1 || len(f.issues[0].comments) != 1 {
				t.Errorf("%d tickets with %d comments, want 1 with 1", len(f.issues), len(f.issues[0].comments))
			}
			w.good(w.send(over("k", 3)))
			if f.issues[0].status != "Fertig" {
				t.Errorf("status %q", f.issues[0].status)
			}
		})
	}
}

// TestSearchLagsBehind: Cloud's search does not show a new ticket yet. The event waits,
// once, and then the ticket is found; or there is none, and it is created.
func TestSearchLagsBehind(t *testing.T) {
	for _, arrived := range []bool{true, false} {
		f := newFake(t, true)
		w := f.open("")
		if arrived {
			w.attempt(false, false, event("k", 1))
		}
		o := w.attempt(true, true, event("k", 1))
		if fail := tocsin.Classify(o.err); fail.Fault != tocsin.FaultRetry || fail.Unsure || fail.After != time.Minute {
			t.Fatalf("got %+v (%v), want to come back in a minute", fail, o.err)
		}
		w.now = w.now.Add(20 * time.Second) // too early all the same
		if fail := tocsin.Classify(w.attempt(true, true, event("k", 1)).err); fail.After != 40*time.Second {
			t.Errorf("after 20 s: wait %s, want the other 40 s", fail.After)
		}
		f.reindex()
		w.now = w.now.Add(40 * time.Second)
		w.good(w.attempt(true, true, event("k", 1)))
		if len(f.issues) != 1 || len(f.issues[0].comments) != 0 {
			t.Errorf("arrived %v: %d tickets with %d comments, want 1 with none", arrived, len(f.issues), len(f.issues[0].comments))
		}
	}
}

// TestLostAnswers: whatever answer of whatever request is lost, trying again makes one
// ticket, and says everything once.
func TestLostAnswers(t *testing.T) {
	events := []tocsin.Event{event("k", 1), event("other", 1), event("k", 2), over("k", 3)}
	for lost := range 9 {
		both(t, func(t *testing.T, f *fake) {
			w := f.open("")
			count := 0
			f.lose = func(*http.Request) bool { count++; return count == lost+1 }
			left, uncertain := events, false
			for tries := 0; len(left) > 0; tries++ {
				if tries == 5 {
					t.Fatalf("%d events are left after %d tries", len(left), tries)
				}
				o := w.attempt(uncertain, true, left...)
				// What is accepted is not sent again; a part that is split off is a delivery of its
				// own, of which no attempt is known.
				var rest []tocsin.Event
				for i, fault := range o.faults(len(left)) {
					if fault == tocsin.FaultEvent || fault == tocsin.FaultWebhook {
						t.Fatalf("event %d: %v", i, o)
					} else if fault != "" {
						rest = append(rest, left[i])
					}
				}
				uncertain = len(rest) == len(left) && tocsin.Classify(o.err).Unsure
				left = rest
				f.reindex()
				w.now = w.now.Add(2 * time.Minute)
			}
			var said []string
			for _, i := range f.issues {
				said = append(said, fmt.Sprintf("%v %s %d", i.fields["summary"], i.status, len(i.comments)))
			}
			want := []string{"Critical: finding k, 1 Fertig 2", "Critical: finding other, 1 Zu erledigen 0"}
			if diff := cmp.Diff(want, said); diff != "" {
				t.Errorf("request %d lost: tickets (-want +got):\n%s", lost, diff)
			}
		})
	}
}

// TestARetryGoesOnBehindWhatWasDone: the comment fails after the transition, for some time.
func TestARetryGoesOnBehindWhatWasDone(t *testing.T) {
	f := newFake(t, true)
	w := f.open("")
	w.good(w.send(event("k", 1)))
	f.fail = func(r *http.Request) (int, http.Header, string) {
		if strings.HasSuffix(r.URL.Path, "/comment") {
			return 429, http.Header{"Retry-After": {"17"}}, ""
		}
		return 0, nil, ""
	}
	o := w.send(over("k", 2))
	if fail := tocsin.Classify(o.err); fail.After != 17*time.Second || f.issues[0].status != "Fertig" {
		t.Fatalf("got %+v (%v) and status %q", fail, o.err, f.issues[0].status)
	}
	f.fail = nil
	f.take()
	w.good(w.send(over("k", 2)))
	f.want("GET issue/10001", "POST issue/10001/comment")
}

func TestOthersAreNotTriedAfterATroubleOfAll(t *testing.T) {
	f := newFake(t, true)
	w := f.open("")
	w.good(w.send(event("a", 1), event("b", 1)))
	f.take()
	f.fail = func(r *http.Request) (int, http.Header, string) {
		if r.URL.Path == "/rest/api/2/issue/10002" {
			return 503, http.Header{"Retry-After": {"5"}}, ""
		}
		return 0, nil, ""
	}
	o := w.send(event("a", 2), event("b", 2), event("a", 3), event("b", 3))
	// The order of each dedup key is kept; a's second comment was made before b's trouble.
	if diff := cmp.Diff([]tocsin.Fault{"", tocsin.FaultRetry, "", tocsin.FaultRetry}, o.faults(4)); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	if fail := tocsin.Classify(o.Results[1].Err); fail.After != 5*time.Second || fail.Unsure {
		t.Errorf("got %+v, want 5 s, and no doubt about a question", fail)
	}
}

func TestPoisonCommentIsDeadAndTheNextGoesOn(t *testing.T) {
	f := newFake(t, true)
	w := f.open("")
	w.good(w.send(event("k", 1)))
	bad := event("k", 2)
	bad.Title = "poison"
	o := w.send(bad, event("k", 3))
	if diff := cmp.Diff([]tocsin.Fault{tocsin.FaultEvent, ""}, o.faults(2)); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

func TestTestsAreMarked(t *testing.T) {
	f := newFake(t, true)
	w := f.open("")
	n := notifyTest(event("k", 1))
	if _, err := w.sender.Send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if s := f.issues[0].fields["summary"]; s != "[TEST] Critical: finding k, 1" {
		t.Errorf("summary %q", s)
	}
}
