package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/ingest"
)

// scene is an ingest on a real store with a webhook that pages at once.
type scene struct {
	t  *testing.T
	db tocsin.Store
	in *ingest.Ingest
	c  *conductor

	soc, pager tocsin.Webhook
}

func newScene(t *testing.T, wrap func(tocsin.Store) tocsin.Store) *scene {
	t.Helper()
	s := &scene{t: t, db: realStore(t), c: &conductor{}}
	s.pager = create(t, s.db, hook("pager", events("none"), channel("keyed")))
	s.soc = create(t, s.db, hook("soc", events("custom"), to("pager"), to("pager 30m acknowledged")))
	store := s.db
	if wrap != nil {
		store = wrap(s.db)
	}
	var err error
	if s.in, err = ingest.New(ingest.Config{Store: store, Conductor: s.c, Channels: []tocsin.Channel{keyed{}}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.in.Close)
	return s
}

// open lets an event fire and returns the incident it opened.
func (s *scene) open(id string) tocsin.Incident {
	s.t.Helper()
	e := severe(id, tocsin.SeverityHigh, tocsin.Firing)
	e.Title, e.Link, e.Labels = "Disk is full", "https://example.org/1", map[string]string{"collection": "c1", "x": "y"}
	if _, err := s.in.Submit(s.t.Context(), []tocsin.Event{e}); err != nil {
		s.t.Fatal(err)
	}
	all, _, err := s.db.ListIncidents(s.t.Context(), tocsin.IncidentQuery{Page: tocsin.Page{Limit: 1}})
	if err != nil || len(all) != 1 {
		s.t.Fatalf("incidents: %v, %v", all, err)
	}
	return all[0]
}

func (s *scene) change(id string, to tocsin.IncidentState, by, note string) tocsin.Incident {
	s.t.Helper()
	i, err := s.in.ChangeIncident(s.t.Context(), id, to, by, note)
	if err != nil {
		s.t.Fatal(err)
	}
	return i
}

// Acknowledging and resolving are events: whoever the incident has reached is owed them,
// and doing it again, by whomever, changes nothing.
func TestPeopleChangeIncidents(t *testing.T) {
	s := newScene(t, nil)
	id := s.open("1").ID
	if i := s.change(id, tocsin.IncidentAcknowledged, "dana", "on it"); i.State != tocsin.IncidentAcknowledged || i.AcknowledgedBy != "dana" || i.AcknowledgedAt == nil {
		t.Errorf("got %+v", i)
	}
	if i := s.change(id, tocsin.IncidentAcknowledged, "lee", "me too"); i.AcknowledgedBy != "dana" {
		t.Errorf("the first does not stay: %+v", i)
	}
	e, err := s.db.Event(t.Context(), "/tocsin", "incident.acknowledged/"+id)
	if err != nil {
		t.Fatal(err)
	}
	if e.DedupKey != "incident-1" || e.Severity != tocsin.SeverityHigh || e.Status != tocsin.Firing || e.Title != "Acknowledged by dana: Disk is full" ||
		e.Summary != "on it" || e.Link != "https://example.org/1" || e.Collection() != "c1" || len(e.Labels) != 1 {
		t.Errorf("told %+v", e)
	}
	var data map[string]any
	if err := json.Unmarshal(e.Data, &data); err != nil || data["incident"] != id || data["by"] != "dana" || data["note"] != "on it" || data["type"] != "custom.test" {
		t.Errorf("data %s (%v)", e.Data, err)
	}
	if i := s.change(id, tocsin.IncidentResolved, "lee", ""); i.State != tocsin.IncidentResolved || i.ResolvedBy != "lee" || i.AcknowledgedBy != "dana" {
		t.Errorf("got %+v", i)
	}
	if i := s.change(id, tocsin.IncidentResolved, "dana", "again"); i.ResolvedBy != "lee" {
		t.Errorf("the first does not stay: %+v", i)
	}
	s.change(id, tocsin.IncidentAcknowledged, "dana", "it was, once")
	balances, err := s.db.Balances(t.Context())
	if err != nil || balances[0].Webhook != "pager" || balances[0].Pending != 3 || balances[1].Pending != 1 {
		t.Errorf("ledger %+v (%v), want the pager owed three events and soc one", balances, err)
	}
	s.in.Close()
	if len(s.c.told) == 0 || slices.ContainsFunc(s.c.told, func(key string) bool { return key != tocsin.IncidentKey("incident-1") }) {
		t.Errorf("told %v", s.c.told)
	}
}

func TestChangesThatAreRefused(t *testing.T) {
	s := newScene(t, nil)
	first := s.open("1").ID
	s.change(first, tocsin.IncidentResolved, "dana", "")
	second := s.open("2").ID
	for _, c := range []struct {
		id       string
		to       tocsin.IncidentState
		by, note string
		code     tocsin.Code
		says     string
	}{
		{first, tocsin.IncidentAcknowledged, "dana", "", tocsin.CodeConflict, "resolved already, by dana"},
		{"inc_none", tocsin.IncidentResolved, "dana", "", tocsin.CodeNotFound, `"inc_none"`},
		{second, tocsin.IncidentResolved, "", "", tocsin.CodeInvalid, "by: is required"},
		{second, tocsin.IncidentResolved, "da\x1bna", "", tocsin.CodeInvalid, "by: "},
		{second, tocsin.IncidentResolved, "dana", "a\x00b", tocsin.CodeInvalid, "note: "},
		{second, tocsin.IncidentResolved, "dana", strings.Repeat("x", 4097), tocsin.CodeInvalid, "at most 4096"},
		{second, tocsin.IncidentOpen, "dana", "", tocsin.CodeInvalid, "allowed: acknowledged, resolved"},
	} {
		_, err := s.in.ChangeIncident(t.Context(), c.id, c.to, c.by, c.note)
		if tocsin.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s by %q: got %v, want %s with %q", c.to, c.by, err, c.code, c.says)
		}
	}
	if i, err := s.db.Incident(t.Context(), second); err != nil || i.State != tocsin.IncidentOpen {
		t.Errorf("got %+v, %v", i, err)
	}
}

// The longest of everything still fits into an event.
func TestLongestChangeIsTold(t *testing.T) {
	s := newScene(t, nil)
	e := severe("1", tocsin.SeverityHigh, tocsin.Firing)
	e.Title, e.Subject = strings.Repeat("ü", 2048), strings.Repeat("s", 2048)
	if _, err := s.in.Submit(t.Context(), []tocsin.Event{e}); err != nil {
		t.Fatal(err)
	}
	all, _, err := s.db.ListIncidents(t.Context(), tocsin.IncidentQuery{Page: tocsin.Page{Limit: 1}})
	if err != nil {
		t.Fatal(err)
	}
	s.change(all[0].ID, tocsin.IncidentAcknowledged, strings.Repeat("b", 255), strings.Repeat("ü\n", 1365))
	told, err := s.db.Event(t.Context(), "/tocsin", "incident.acknowledged/"+all[0].ID)
	if err != nil || len(told.Title) > 4096 || !strings.HasSuffix(told.Title, "ü…") {
		t.Errorf("title of %d bytes (%v)", len(told.Title), err)
	}
}

// Many at once, in any order: one of each counts, and nobody is told of a failure but who
// came after the end.
func TestManyPeopleAtOnce(t *testing.T) {
	s := newScene(t, nil)
	id := s.open("1").ID
	var wait sync.WaitGroup
	for n := range 16 {
		wait.Go(func() {
			to := tocsin.IncidentAcknowledged
			if n%2 == 0 {
				to = tocsin.IncidentResolved
			}
			i, err := s.in.ChangeIncident(t.Context(), id, to, string(rune('a'+n)), "")
			if to == tocsin.IncidentResolved && (err != nil || i.State != tocsin.IncidentResolved) {
				t.Errorf("resolving: %+v, %v", i, err)
			}
			if to == tocsin.IncidentAcknowledged && err != nil && tocsin.CodeOf(err) != tocsin.CodeConflict {
				t.Errorf("acknowledging: %v", err)
			}
		})
	}
	wait.Wait()
	counted, recounted, err := s.db.Recount(t.Context())
	if err != nil || !slices.Equal(counted, recounted) {
		t.Errorf("ledger %+v and its rows %+v differ (%v)", counted, recounted, err)
	}
}

// overtaken is a store on which something happens right after an incident was read.
type overtaken struct {
	tocsin.Store
	once sync.Once
	then func()
}

func (o *overtaken) Incident(ctx context.Context, id string) (tocsin.Incident, error) {
	i, err := o.Store.Incident(ctx, id)
	if o.then != nil {
		o.once.Do(o.then)
	}
	return i, err
}

// It is resolved between the look and the commit: who acknowledges is told so.
func TestResolvedWhileSomebodyAcknowledges(t *testing.T) {
	var o *overtaken
	s := newScene(t, func(db tocsin.Store) tocsin.Store {
		o = &overtaken{Store: db}
		return o
	})
	id := s.open("1").ID
	o.then = func() {
		if _, err := s.in.Submit(t.Context(), []tocsin.Event{severe("over", tocsin.SeverityHigh, tocsin.Resolved)}); err != nil {
			t.Error(err)
		}
	}
	i, err := s.in.ChangeIncident(t.Context(), id, tocsin.IncidentAcknowledged, "dana", "")
	if tocsin.CodeOf(err) != tocsin.CodeConflict || i.State != tocsin.IncidentResolved || i.AcknowledgedAt != nil {
		t.Errorf("got %+v, %v", i, err)
	}
}

// What a later step owes goes by what holds then.
func TestEscalationsOfLater(t *testing.T) {
	s := newScene(t, nil)
	i := s.open("1")
	ask := func(webhook string) (tocsin.Obligation, string) {
		t.Helper()
		o, skip, err := s.in.Escalation(t.Context(), i, webhook)
		if err != nil {
			t.Fatal(err)
		}
		return o, skip
	}
	if o, skip := ask(s.pager.ID); o.WebhookID != s.pager.ID || o.BatchKey != "of custom.test" || o.Suppressed != "" || skip != "" {
		t.Errorf("got %+v, %q", o, skip)
	}
	m := tocsin.Mute{ID: "mute_1", Collections: []string{"c1"}, Filter: `labels.x == "y"`, Until: time.Now().Add(time.Hour), Author: "x", Reason: "x"}
	if _, err := s.db.CreateMute(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if o, _ := ask(s.pager.ID); o.Suppressed != "muted mute_1" {
		t.Errorf("got %+v, want it muted by the event's collection and labels", o)
	}
	if _, err := s.db.SetState(t.Context(), s.pager.ID, tocsin.StatePaused, "test"); err != nil {
		t.Fatal(err)
	}
	if o, skip := ask(s.pager.ID); o.WebhookID == "" || skip != "" {
		t.Errorf("a paused webhook holds: got %+v, %q", o, skip)
	}
	if _, err := s.db.SetState(t.Context(), s.pager.ID, tocsin.StateDeleted, "test"); err != nil {
		t.Fatal(err)
	}
	if o, skip := ask(s.pager.ID); o.WebhookID != "" || skip != "webhook deleted" {
		t.Errorf("got %+v, %q", o, skip)
	}
}

// A conductor that fails, or hangs, when it is told of incidents keeps no webhook from
// being rung.
func TestTellingOfIncidentsDelaysNoDoorbell(t *testing.T) {
	s := newScene(t, nil)
	gate := make(chan struct{})
	s.c.telling = func() error { <-gate; return errors.New("Temporal is away") }
	for _, w := range []tocsin.Webhook{s.soc, s.pager} {
		lease, err := s.db.Begin(t.Context(), w.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.db.Rest(t.Context(), lease.Fence); err != nil {
			t.Fatal(err)
		}
	}
	rung := make(chan struct{}, 8)
	s.c.ringing = func() { rung <- struct{}{} }
	s.open("1")
	<-rung
	close(gate)
	s.in.Close()
	if len(s.c.rung) != 2 || len(s.c.told) != 1 {
		t.Errorf("rang %v, told %v", s.c.rung, s.c.told)
	}
}

// A webhook with repeat_after hears of every end, and of what fires after it: that is news,
// however soon, and whoever ended the one before.
func TestRepeatsDoNotReachOverTheEndOfAnIncident(t *testing.T) {
	s := newScene(t, nil)
	quiet := hook("quiet", events("none"))
	quiet.RepeatAfter = tocsin.Duration(time.Hour)
	quiet = create(t, s.db, quiet)
	create(t, s.db, hook("ops", events("custom"), to("quiet")))
	owed := func(want int64) {
		t.Helper()
		balances, err := s.db.Balances(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range balances {
			if b.WebhookID == quiet.ID && b.Pending != want {
				t.Errorf("quiet is owed %d events, want %d", b.Pending, want)
			}
		}
	}
	first := s.open("1")
	s.open("2") // a repeat
	owed(1)
	s.change(first.ID, tocsin.IncidentAcknowledged, "dana", "")
	s.change(first.ID, tocsin.IncidentResolved, "dana", "")
	owed(3)
	s.open("3")
	owed(4)
	for _, e := range []tocsin.Event{severe("4", tocsin.SeverityHigh, tocsin.Resolved), severe("5", tocsin.SeverityHigh, tocsin.Firing), severe("6", tocsin.SeverityHigh, tocsin.Resolved)} {
		if _, err := s.in.Submit(t.Context(), []tocsin.Event{e}); err != nil {
			t.Fatal(err)
		}
	}
	owed(7)
}

// Nor where it is reached by a later step alone, which is never a repeat.
func TestEndsOfIncidentsThatEscalatedLater(t *testing.T) {
	s := newScene(t, nil)
	late := hook("late", events("none"))
	late.RepeatAfter = tocsin.Duration(time.Hour)
	late = create(t, s.db, late)
	create(t, s.db, hook("ops", events("custom"), to("late 1ms")))
	for n, want := range []int64{2, 4} {
		i := s.open(strings.Repeat("x", n+1))
		at := slices.IndexFunc(i.Steps, func(step tocsin.IncidentStep) bool { return step.To == late.ID })
		for id := i.Steps[at].ID; i.Steps[at].State == tocsin.StepWaiting; { // its moment may not have come
			owed, skip, err := s.in.Escalation(t.Context(), i, late.ID)
			if err != nil {
				t.Fatal(err)
			}
			if i, err = s.db.Escalate(t.Context(), i.ID, id, i.Seq, owed, skip); err != nil {
				t.Fatal(err)
			}
		}
		over := severe("over", tocsin.SeverityHigh, tocsin.Resolved)
		over.ID += i.ID
		if _, err := s.in.Submit(t.Context(), []tocsin.Event{over}); err != nil {
			t.Fatal(err)
		}
		balances, err := s.db.Balances(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range balances {
			if b.WebhookID == late.ID && b.Pending != want {
				t.Errorf("late is owed %d events after %d incidents, want %d", b.Pending, n+1, want)
			}
		}
	}
}
