package webhooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/ingest"
	"github.com/tocsin-alerts/tocsin/webhooks"
)

// dead makes n events of the webhook dead, in one delivery each.
func (k *kit) dead(t *testing.T, webhookID string, n int) {
	t.Helper()
	for i := range n {
		k.owe(t, webhookID, fmt.Sprintf("dead-%d", i))
	}
	lease, err := k.store.Begin(t.Context(), webhookID)
	if err != nil {
		t.Fatal(err)
	}
	_, pending, err := k.store.Owed(t.Context(), lease.Fence, time.Time{}, n)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range pending {
		id := fmt.Sprintf("dlv_%d", i)
		if _, err := k.store.Advance(t.Context(), lease.Fence, tocsin.Step{Plan: []tocsin.NewDelivery{{ID: id, Events: []tocsin.PendingEvent{p}}}}); err != nil {
			t.Fatal(err)
		}
		c, err := k.store.Advance(t.Context(), lease.Fence, tocsin.Step{Claim: id})
		if err != nil {
			t.Fatal(err)
		}
		o := tocsin.Outcome{DeliveryID: id, State: tocsin.DeliveryDead, Reason: "422", Attempt: tocsin.Attempt{Number: c.Attempt}}
		if _, err := k.store.Advance(t.Context(), lease.Fence, tocsin.Step{Record: &o}); err != nil {
			t.Fatal(err)
		}
	}
}

func (k *kit) replay(t *testing.T, body string, dryRun bool) webhooks.CreatedReplay {
	t.Helper()
	r, err := k.CreateReplay(t.Context(), json.RawMessage(body), "key ops", dryRun)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReplayOfDeadDeliveries(t *testing.T) {
	k := newKit(t)
	w := k.mustCreate(t, "soc", nil).Webhook
	k.dead(t, w.ID, 3)
	k.conductor.take()
	dry := k.replay(t, `{"webhook":"soc","what":"dead","dry_run":true}`, false)
	if want := (webhooks.ReplayCount{Events: 3, Deliveries: 3, Complete: true}); dry.Count != want || dry.ID != "" || !dry.DryRun || dry.Total != 3 {
		t.Errorf("dry run %+v", dry)
	}
	if all, _, err := k.ListReplays(t.Context(), tocsin.Page{Limit: 10}); err != nil || len(all) != 0 || len(k.conductor.take()) != 0 {
		t.Errorf("the dry run stored %+v, %v, or told somebody", all, err)
	}
	r := k.replay(t, `{"webhook":"`+w.ID+`","what":"dead","types":["agent.discovered","custom.x"],"max_per_second":2.5}`, false)
	if r.Total != 3 || r.State != tocsin.ReplayRunning || r.Author != "key ops" || r.Webhook != "soc" || r.WebhookID != w.ID || r.MaxRate != 2.5 || r.Until.IsZero() || r.DryRun {
		t.Errorf("got %+v", r)
	}
	if got, want := k.conductor.take(), []string{"replay " + r.ID}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	if other := k.replay(t, `{"webhook":"soc","what":"dead","types":["threat.detected"]}`, true); other.Total != 0 {
		t.Errorf("of another type: %+v", other)
	}
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"webhook":"soc"`, `"count":{"events":3,"deliveries":3,"complete":true}`, `"total":3`, `"what":"dead"`, `"deliveries":0`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("%s lacks %s", raw, want)
		}
	}
}

// Events are counted that the webhook matches now: of those before it was there, too.
func TestReplayCountsWhatMatches(t *testing.T) {
	k := newKit(t)
	in, err := ingest.New(ingest.Config{Store: k.store, Conductor: k.conductor})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for i := range 5 {
		e := example(t, "agent.discovered")
		e.ID, e.Raw = fmt.Sprint(i), nil
		if i > 2 {
			e.Severity = tocsin.SeverityCritical
		}
		if _, err := in.Submit(t.Context(), []tocsin.Event{e}); err != nil {
			t.Fatal(err)
		}
	}
	k.mustCreate(t, "late", map[string]any{"min_severity": "critical"})
	k.mustCreate(t, "filtered", map[string]any{"filter": `id != "0"`})
	for body, want := range map[string]int64{
		`{"webhook":"late","what":"missing"}`:                                    2,
		`{"webhook":"late","what":"all"}`:                                        2,
		`{"webhook":"filtered","what":"missing"}`:                                4,
		`{"webhook":"filtered","what":"missing","types":["threat.detected"]}`:    0,
		`{"webhook":"filtered","what":"all","until":"2020-01-01T00:00:00Z"}`:     0,
		`{"webhook":"filtered","what":"suppressed"}`:                             0,
		`{"webhook":"filtered","what":"missing","since":"2020-01-01T00:00:00Z"}`: 4,
	} {
		if r := k.replay(t, body, true); r.Total != want || !r.Count.Complete {
			t.Errorf("%s: %+v, want %d", body, r.Count, want)
		}
	}
}

func TestReplayIsRefused(t *testing.T) {
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	k := newKit(t, func(c *webhooks.Config) { c.Now = func() time.Time { return at } })
	k.mustCreate(t, "soc", nil)
	ok := func(more string) string { return `{"webhook":"soc","what":"dead",` + more + `}` }
	for _, tt := range []struct{ body, field, want string }{
		{`{"what":"dead"}`, "webhook", "is required"},
		{`{"webhook":"socc","what":"dead"}`, "webhook", `no webhook has the id or name "socc"; did you mean "soc"?`},
		{`{"webhook":["soc"],"what":"dead"}`, "webhook", `got ["soc"]; want text`},
		{`{"webhook":"soc"}`, "what", "is required; allowed: dead, delivered, cancelled, suppressed, missing, all"},
		{`{"webhook":"soc","what":"mising"}`, "what", `"mising" cannot be replayed; did you mean "missing"?`},
		{ok(`"types":["threat"]`), "types[0]", `"threat" is not an alert type`},
		{ok(`"types":["threat.detectd"]`), "types[0]", `did you mean "threat.detected"?`},
		{ok(`"since":"2026-03-02"`), "since", "is not an RFC 3339 time"},
		{ok(`"since":"2026-03-02T09:00:01Z"`), "since", "is ahead of now"},
		{ok(`"until":"2026-03-02T09:00:01Z"`), "until", "is ahead of now"},
		{ok(`"since":"2026-03-02T08:00:00Z","until":"2026-03-02T08:00:00Z"`), "since", "is not before until"},
		{ok(`"max_per_second":-1`), "max_per_second", "-1 is not allowed; want 0 for no limit, or more"},
		{ok(`"max_per_second":"1"`), "max_per_second", `got "1"; want a number`},
		{ok(`"dry_run":1`), "dry_run", "got 1; want true or false"},
		{ok(`"max_rate":1`), "max_rate", "unknown field"},
		{ok(`"webhok":"soc"`), "webhok", `unknown field; did you mean "webhook"?`},
		{ok(`"state":"paused"`), "state", "Tocsin sets it"},
	} {
		_, err := k.CreateReplay(t.Context(), json.RawMessage(tt.body), "ops", false)
		if got := fields(t, err, tocsin.CodeInvalid); !strings.Contains(got[tt.field], tt.want) {
			t.Errorf("%s: got %q, want %s: %s", tt.body, got, tt.field, tt.want)
		}
	}
	if _, err := k.CreateReplay(t.Context(), json.RawMessage(`"x"`), "ops", false); tocsin.CodeOf(err) != tocsin.CodeMalformed {
		t.Errorf("no object: %v", err)
	}
	if all, _, err := k.ListReplays(t.Context(), tocsin.Page{Limit: 10}); err != nil || len(all) != 0 {
		t.Errorf("stored: %+v, %v", all, err)
	}
}

func TestReplayStates(t *testing.T) {
	k := newKit(t)
	k.mustCreate(t, "soc", nil)
	r := k.replay(t, `{"webhook":"soc","what":"all"}`, false)
	k.conductor.take()
	k.conductor.err = errors.New("Temporal is away") // and nobody is told of it
	told := []string{"replay " + r.ID}
	for i, step := range []struct {
		do   func(context.Context, string) (webhooks.ReplayView, error)
		want tocsin.ReplayState
		told []string
	}{
		{k.PauseReplay, tocsin.ReplayPaused, told},
		{k.PauseReplay, tocsin.ReplayPaused, told},
		{k.ResumeReplay, tocsin.ReplayRunning, told},
		{k.CancelReplay, tocsin.ReplayCancelled, told}, // or a paused one's workflow waits for ever
	} {
		v, err := step.do(t.Context(), r.ID)
		if err != nil || v.State != step.want || v.Webhook != "soc" {
			t.Errorf("step %d: %+v, %v", i, v, err)
		}
		if diff := cmp.Diff(step.told, k.conductor.take()); diff != "" {
			t.Errorf("step %d: told %s", i, diff)
		}
	}
	if v, err := k.GetReplay(t.Context(), r.ID); err != nil || v.State != tocsin.ReplayCancelled || v.Reason != "cancelled by a user" || v.FinishedAt == nil {
		t.Errorf("got %+v, %v", v, err)
	}
	for name, f := range map[string]func(context.Context, string) (webhooks.ReplayView, error){"resume": k.ResumeReplay, "pause": k.PauseReplay} {
		if _, err := f(t.Context(), r.ID); tocsin.CodeOf(err) != tocsin.CodeConflict {
			t.Errorf("%s of one that is over: %v", name, err)
		}
		if _, err := f(t.Context(), "replay_x"); !errors.Is(err, tocsin.ErrNotFound) || err.Error() != `no replay has the id "replay_x"` {
			t.Errorf("%s of none: %v", name, err)
		}
	}
	if _, err := k.GetReplay(t.Context(), "replay_x"); !errors.Is(err, tocsin.ErrNotFound) {
		t.Errorf("getting none: %v", err)
	}
	if list, next, err := k.ListReplays(t.Context(), tocsin.Page{Limit: 10}); err != nil || len(list) != 1 || list[0].Webhook != "soc" || next != "" {
		t.Errorf("list %+v, %q, %v", list, next, err)
	}
	if calls := k.conductor.take(); len(calls) != 0 {
		t.Errorf("told %q", calls)
	}
}

// How far back it is known what is missing ends with what is kept.
func TestMissingEndsWithTheHistory(t *testing.T) {
	k := newKit(t)
	k.mustCreate(t, "soc", nil)
	k.History = 30 * 24 * time.Hour
	now := time.Now().UTC().Truncate(time.Second)
	k.Now = func() time.Time { return now }
	oldest := now.Add(-k.History)
	if r := k.replay(t, `{"webhook":"soc","what":"missing"}`, true); !r.Since.Equal(oldest) {
		t.Errorf("since %s, want %s", r.Since, oldest)
	}
	if r := k.replay(t, `{"webhook":"soc","what":"all"}`, true); !r.Since.IsZero() {
		t.Errorf("since %s, want none", r.Since)
	}
	early := fmt.Sprintf(`{"webhook":"soc","what":"missing","since":%q}`, oldest.Add(-time.Second).Format(time.RFC3339))
	if _, err := k.CreateReplay(t.Context(), json.RawMessage(early), "ana", true); tocsin.CodeOf(err) != tocsin.CodeInvalid || !strings.Contains(err.Error(), "further back than deliveries are kept, 720h") {
		t.Errorf("got %v", err)
	}
}

// The store says when something was received; the clock of the process that counts may be
// behind it.
func TestCountingTrustsNoClockOfItsOwn(t *testing.T) {
	k := newKit(t, func(c *webhooks.Config) { c.Now = func() time.Time { return time.Now().Add(-time.Minute) } })
	w := k.mustCreate(t, "soc", nil).Webhook
	k.dead(t, w.ID, 3)
	for _, dryRun := range []bool{true, false} {
		if r := k.replay(t, `{"webhook":"soc","what":"dead"}`, dryRun); r.Total != 3 {
			t.Errorf("dry run %t: counted %d of 3", dryRun, r.Total)
		}
	}
}

// endless is a store with candidates that never end.
type endless struct {
	tocsin.Store
	pages int
}

func (e *endless) ReplayCandidates(ctx context.Context, _ tocsin.ReplaySelection, cursor string, _ int) (tocsin.ReplayCandidates, error) {
	if e.pages++; e.pages > 3 {
		<-ctx.Done()
		return tocsin.ReplayCandidates{}, tocsin.Errorf(tocsin.CodeUnavailable, "reading candidates: %w", ctx.Err())
	}
	return tocsin.ReplayCandidates{Deliveries: []tocsin.Delivery{{Count: 2}}, Next: cursor + "x"}, nil
}

// What takes too long to count is replayed all the same, with an unknown total.
func TestCountingEnds(t *testing.T) {
	var slow *endless
	k := newKit(t, func(c *webhooks.Config) {
		slow = &endless{Store: c.Store}
		c.Store, c.CountFor = slow, 50*time.Millisecond
	})
	k.mustCreate(t, "soc", nil)
	r := k.replay(t, `{"webhook":"soc","what":"dead"}`, false)
	if want := (webhooks.ReplayCount{Events: 6, Deliveries: 3}); r.Count != want || r.Total != -1 {
		t.Errorf("got %+v, total %d", r.Count, r.Total)
	}
	if v, err := k.GetReplay(t.Context(), r.ID); err != nil || v.Total != -1 {
		t.Errorf("stored %+v, %v", v, err)
	}
	// A caller who has left gets nothing, and nothing is stored.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	slow.pages = 3
	if _, err := k.CreateReplay(gone, json.RawMessage(`{"webhook":"soc","what":"dead"}`), "ops", false); err == nil {
		t.Error("a replay was created for a caller who had left")
	}
}
