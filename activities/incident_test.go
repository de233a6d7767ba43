package activities_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
)

// alarm is a webhook that pages another one at once, and after a moment.
type alarm struct {
	*rerun
	pager tocsin.Webhook
}

func newAlarm(t *testing.T, s tocsin.Store, after time.Duration) *alarm {
	t.Helper()
	a := &alarm{}
	a.pager = newWebhook(t, s, func(w *tocsin.Webhook) {
		w.ID, w.Name, w.Events = tocsin.NewID(tocsin.PrefixWebhook), "pager", []tocsin.Selector{{Type: "none"}}
	})
	a.rerun = newRerun(t, s, func(w *tocsin.Webhook) {
		w.Name, w.Escalate = "soc", []tocsin.Escalation{{To: "pager"}, {To: "pager", After: tocsin.Duration(after), Unless: tocsin.UnlessAcknowledged}}
	})
	a.acts.Escalate = ingestInto(t, s)
	return a
}

const alarmKey = "alarm"

func (a *alarm) fires(id string, status tocsin.Status) {
	a.t.Helper()
	e := tocsin.Event{ID: id, Source: "/alarm", Type: "custom.alarm", Status: status, DedupKey: alarmKey}
	in := ingestInto(a.t, a.store)
	if _, err := in.Submit(a.t.Context(), []tocsin.Event{e}); err != nil {
		a.t.Fatal(err)
	}
	in.Close() // whoever is to be rung for it was
}

// applicationType is the type of a Temporal application error that is not tried again.
func applicationType(err error) string {
	var e *temporal.ApplicationError
	if !errors.As(err, &e) || !e.NonRetryable() {
		return ""
	}
	return e.Type()
}

func (a *alarm) look() activities.IncidentResult {
	a.t.Helper()
	out, err := a.acts.IncidentStep(a.t.Context(), activities.IncidentInput{Key: tocsin.IncidentKey(alarmKey)})
	if err != nil {
		a.t.Fatal(err)
	}
	return out
}

// A step is made once, however often somebody looks, and the webhook it leads to is owed
// the event anew.
func TestIncidentStepsAreMadeOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		a := newAlarm(t, s, time.Millisecond)
		a.fires("1", tocsin.Firing)
		deliver(t, a.acts, a.pager)
		a.conductor.takeRung()
		var out activities.IncidentResult
		for out = a.look(); out.Next != ""; out = a.look() { // its moment may not have come
			if out.Next != "pager" || out.Wait > time.Millisecond {
				t.Fatalf("got %+v", out)
			}
		}
		if out.State != tocsin.IncidentOpen || out.Done || len(out.Steps) != 2 || out.Steps[1].State != tocsin.StepDone || out.Steps[1].Webhook != "soc" {
			t.Errorf("got %+v", out)
		}
		if b := balance(t, s, a.pager); b.Accepted != 2 || b.Delivered != 1 || b.Pending != 1 {
			t.Errorf("ledger %+v", b)
		}
		if diff := cmp.Diff([]string{a.pager.ID}, a.conductor.takeRung()); diff != "" {
			t.Errorf("rang (-want +got):\n%s", diff)
		}
		a.look()
		if b := balance(t, s, a.pager); b.Accepted != 2 {
			t.Errorf("ledger %+v after another look", b)
		}
		a.fires("2", tocsin.Resolved)
		if out := a.look(); !out.Done || out.State != tocsin.IncidentResolved {
			t.Errorf("got %+v", out)
		}
	})
}

// A signal does what the API does, and the audit log has it; what is refused is not
// tried again.
func TestSignalledChanges(t *testing.T) {
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		a := newAlarm(t, s, time.Hour)
		a.fires("1", tocsin.Firing)
		out := a.look()
		if out.Next != "pager" || out.Wait < 59*time.Minute || out.Wait > time.Hour {
			t.Errorf("got %+v", out)
		}
		for _, c := range []struct {
			to   tocsin.IncidentState
			by   string
			code tocsin.Code
		}{
			{tocsin.IncidentAcknowledged, "da\x00na", tocsin.CodeInvalid}, {tocsin.IncidentAcknowledged, "dana", ""},
			{"closed", "dana", tocsin.CodeInvalid}, {tocsin.IncidentResolved, "dana", ""},
		} {
			err := a.acts.ChangeIncident(t.Context(), activities.IncidentChange{ID: out.ID, To: c.to, By: c.by})
			if got := applicationType(err); got != string(c.code) {
				t.Errorf("%s by %q: got %v", c.to, c.by, err)
			}
		}
		out = a.look()
		if !out.Done || out.AcknowledgedBy != "dana" || out.ResolvedBy != "dana" || out.Steps[1].Reason != "acknowledged" {
			t.Errorf("got %+v", out)
		}
		entries, _, err := s.AuditEntries(t.Context(), tocsin.AuditQuery{Page: tocsin.Page{Limit: 10}, Object: out.ID})
		if err != nil || len(entries) != 4 || entries[0].Action != "incident.resolve" || entries[0].Outcome != tocsin.AuditDone || entries[3].Outcome != tocsin.AuditRefused {
			t.Errorf("audited %+v (%v)", entries, err)
		}
	})
}

func TestNoSuchIncident(t *testing.T) {
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		a := newAlarm(t, s, time.Hour)
		if out := a.look(); !out.Done || out.ID != "" {
			t.Errorf("got %+v", out)
		}
		err := a.acts.ChangeIncident(t.Context(), activities.IncidentChange{ID: "inc_none", To: tocsin.IncidentResolved, By: "dana"})
		if got := applicationType(err); got != string(tocsin.CodeNotFound) {
			t.Errorf("got %v", err)
		}
	})
}

// busy is an Escalator during whose answers the incident fires again.
type busy struct {
	activities.Escalator
	fires func()
	times int
	asked int
}

func (b *busy) Escalation(ctx context.Context, i tocsin.Incident, webhookID string) (tocsin.Obligation, string, error) {
	owed, skip, err := b.Escalator.Escalation(ctx, i, webhookID)
	if b.asked++; b.asked <= b.times {
		b.fires()
	}
	return owed, skip, err
}

// What a step owes is made for the event that it owes: where another fired meanwhile it is
// asked again, and not for ever.
func TestStepsAskAgainWhereTheIncidentFiresMeanwhile(t *testing.T) {
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		a := newAlarm(t, s, time.Millisecond)
		a.fires("1", tocsin.Firing)
		n := 0
		b := &busy{Escalator: a.acts.Escalate, times: 7, fires: func() {
			n++
			a.fires(fmt.Sprint("again", n), tocsin.Firing)
		}}
		a.acts.Escalate = b
		for b.asked == 0 { // its moment may not have come
			a.look()
		}
		if b.asked != 5 {
			t.Errorf("one look asked %d times, want 5", b.asked)
		}
		before := balance(t, s, a.pager)
		if out := a.look(); b.asked != 8 || out.Steps[1].State != tocsin.StepDone {
			t.Errorf("asked %d times, and it stands at %+v", b.asked, out)
		}
		// Two events fired during this look, and its step was made once.
		if after := balance(t, s, a.pager); after.Accepted != before.Accepted+3 {
			t.Errorf("ledger %+v, and %+v before", after, before)
		}
	})
}
