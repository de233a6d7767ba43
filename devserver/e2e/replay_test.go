package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/devserver/devtest"
	"github.com/tocsin-alerts/tocsin/devserver/temporalserver"
	"github.com/tocsin-alerts/tocsin/ingest"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
	"github.com/tocsin-alerts/tocsin/workflows"
)

// bench is an embedded Temporal with a worker on a SQLite store, without an API.
type bench struct {
	t         *testing.T
	client    client.Client
	store     *sqlite.DB
	hook      tocsin.Webhook
	ingest    *ingest.Ingest
	conductor *workflows.Conductor
	got       *tally
}

func newBench(t *testing.T) *bench {
	t.Helper()
	server, err := temporalserver.Start(temporalserver.Options{FrontendAddr: "127.0.0.1:0", SearchAttributes: workflows.SearchAttributes()})
	if err != nil {
		t.Fatalf("starting Temporal: %v", err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	b := &bench{t: t, got: &tally{seen: map[string]int{}}}
	b.client, err = client.Dial(client.Options{HostPort: server.Addr(), Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		t.Fatalf("dialling Temporal: %v", err)
	}
	t.Cleanup(b.client.Close)
	b.store, b.hook = floodStore(t)
	b.conductor = workflows.NewConductor(b.client, nil)
	b.ingest, err = ingest.New(ingest.Config{Store: b.store, Conductor: b.conductor, Catalog: catalog.Default()})
	if err != nil {
		t.Fatalf("starting ingest: %v", err)
	}
	t.Cleanup(b.ingest.Close)
	w := workflows.NewWorker(b.client, &activities.Activities{
		Store: b.store, Conductor: b.conductor, Submit: b.ingest, Matcher: b.ingest, Decode: ingest.Decode, Backoff: workflows.Backoff,
		Sender: func(tocsin.Webhook) (tocsin.Sender, error) { return b.got, nil }, Linger: -1, Grace: time.Millisecond,
		Retention: tocsin.Retention{History: 24 * time.Hour, Keys: 24 * time.Hour},
	})
	if err := w.Start(); err != nil {
		t.Fatalf("starting worker: %v", err)
	}
	t.Cleanup(w.Stop)
	return b
}

// submit stores so many events and waits until each was delivered.
func (b *bench) submit(n int) {
	b.t.Helper()
	var events []tocsin.Event
	for i := range n {
		events = append(events, tocsin.Event{ID: fmt.Sprint(i), Source: "/replay", Type: "custom.replay", Data: json.RawMessage(`{}`)})
	}
	if _, err := b.ingest.Submit(b.t.Context(), events); err != nil {
		b.t.Fatalf("submitting: %v", err)
	}
	// It is awake from its creation, and nobody has started its workflow.
	if err := b.conductor.Ring(b.t.Context(), b.hook.ID); err != nil {
		b.t.Fatalf("ringing: %v", err)
	}
	b.await("all events to be delivered", func() bool { return b.got.count() == n })
}

func (b *bench) await(what string, cond func() bool) {
	b.t.Helper()
	devtest.Until(b.t, what, func() error {
		if cond() {
			return nil
		}
		return errNotYet
	})
}

// sendings counts every sending of every event.
func (b *bench) sendings() (n int) {
	b.got.mu.Lock()
	defer b.got.mu.Unlock()
	for _, times := range b.got.seen {
		n += times
	}
	return n
}

// replay stores a replay of everything; its workflow is the caller's to start.
func (b *bench) replay(rate float64) tocsin.Replay {
	b.t.Helper()
	r, err := b.store.CreateReplay(b.t.Context(), tocsin.Replay{
		ID: tocsin.NewID(tocsin.PrefixReplay), ReplaySelection: tocsin.ReplaySelection{WebhookID: b.hook.ID, What: tocsin.ReplayAll}, MaxRate: rate, Total: -1, Author: "test",
	})
	if err != nil {
		b.t.Fatalf("creating replay: %v", err)
	}
	return r
}

func (b *bench) set(id string, to tocsin.ReplayState) {
	b.t.Helper()
	if _, err := b.store.SetReplayState(b.t.Context(), id, to, ""); err != nil {
		b.t.Fatalf("setting the replay %s: %v", to, err)
	}
	if err := b.conductor.Replay(b.t.Context(), id); err != nil {
		b.t.Fatalf("waking the replay: %v", err)
	}
}

func (b *bench) status(workflowID string) (s workflows.ReplayStatus) {
	b.t.Helper()
	v, err := b.client.QueryWorkflow(b.t.Context(), workflowID, "", workflows.QueryStatus)
	if err == nil {
		err = v.Get(&s)
	}
	if err != nil {
		b.t.Logf("querying: %v", err)
	}
	return s
}

// A replay at a rate is paused, which stops it, resumed, and goes on to its end.
func TestReplayIsPausedAndResumed(t *testing.T) {
	b := newBench(t)
	b.submit(40)
	rep := b.replay(8)
	id := workflows.ReplayWorkflowID(rep.ID)
	if err := b.conductor.Replay(t.Context(), rep.ID); err != nil {
		t.Fatal(err)
	}
	b.await("the first step", func() bool { return b.status(id).Replayed > 0 })
	b.set(rep.ID, tocsin.ReplayPaused)
	b.await("the workflow to see the pause", func() bool { return b.status(id).Doing == "paused" })
	if got := b.status(id); got.Replayed >= 40 {
		t.Errorf("all was replayed before the pause: it showed nothing: %+v", got)
	}
	b.set(rep.ID, tocsin.ReplayRunning)
	var out activities.ReplayResult
	if err := b.client.GetWorkflow(t.Context(), id, "").Get(t.Context(), &out); err != nil || out.State != tocsin.ReplayDone || out.Replayed != 40 {
		t.Fatalf("the replay ended with %+v (%v), want 40 replayed", out, err)
	}
	b.await("every event to be delivered again", func() bool { return b.sendings() == 80 })
	saveHistory(t, b.client, id, "", "replay")
}

// A replay whose workflow continues as new at every step, and one that is started by nobody
// but the sweep: the process that created it died before it could.
func TestReplayContinuesAsNewAndTheSweepStartsOne(t *testing.T) {
	b := newBench(t)
	b.submit(12)
	rep := b.replay(4)
	id := workflows.ReplayWorkflowID(rep.ID)
	first, err := b.client.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: workflows.TaskQueue}, workflows.TypeReplay, workflows.ReplayInput{ID: rep.ID, MaxHistory: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.client.GetWorkflow(t.Context(), id, "").Get(t.Context(), nil); err != nil {
		t.Fatalf("the replay ended with %v", err)
	}
	b.await("every event to be delivered again", func() bool { return b.sendings() == 24 })
	if n := countRuns(t, b.client, id); n < 2 {
		t.Errorf("it ran %d times, want it to continue as new", n)
	}
	saveHistory(t, b.client, id, first.GetRunID(), "replay-continued")

	lost := b.replay(0)
	if err := workflows.EnsureSweeper(t.Context(), b.client, time.Second); err != nil {
		t.Fatal(err)
	}
	b.await("the lost replay to be done", func() bool {
		r, err := b.store.Replay(context.Background(), lost.ID)
		return err == nil && r.State == tocsin.ReplayDone
	})
	round := b.round(workflows.SweepID)
	if err := b.client.GetWorkflow(t.Context(), round, "").Get(t.Context(), nil); err != nil {
		t.Errorf("the sweep ended with %v", err)
	}
	saveHistory(t, b.client, round, "", "sweep")
}

// round waits for a schedule's first round and returns its workflow id.
func (b *bench) round(schedule string) (workflowID string) {
	b.t.Helper()
	b.await("a round of "+schedule, func() bool {
		d, err := b.client.ScheduleClient().GetHandle(b.t.Context(), schedule).Describe(b.t.Context())
		if err != nil || len(d.Info.RecentActions) == 0 {
			return false
		}
		workflowID = d.Info.RecentActions[0].StartWorkflowResult.WorkflowID
		return true
	})
	return workflowID
}

// The housekeeping runs by its schedule, whose interval may be changed.
func TestHousekeepingRunsByItsSchedule(t *testing.T) {
	b := newBench(t)
	if err := workflows.EnsureHousekeeping(t.Context(), b.client, time.Hour); err != nil {
		t.Fatal(err)
	}
	h := b.client.ScheduleClient().GetHandle(t.Context(), workflows.HousekeepingID)
	if err := h.Trigger(t.Context(), client.ScheduleTriggerOptions{Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL}); err != nil {
		t.Fatal(err)
	}
	round := b.round(workflows.HousekeepingID)
	if err := b.client.GetWorkflow(t.Context(), round, "").Get(t.Context(), nil); err != nil {
		t.Errorf("housekeeping ended with %v", err)
	}
	saveHistory(t, b.client, round, "", "housekeeping")
	if err := workflows.EnsureHousekeeping(t.Context(), b.client, 5*time.Minute); err != nil {
		t.Errorf("changing the schedule: %v", err)
	}
}
