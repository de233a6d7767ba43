package workflows_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/testsuite"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
	"github.com/tocsin-alerts/tocsin/ingest"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
	"github.com/tocsin-alerts/tocsin/workflows"
)

// diary is a sender that writes down what came when, by the store's clock.
type diary struct {
	mu      sync.Mutex
	entries []string
	fail    int // so many attempts fail first
}

func (d *diary) Send(_ context.Context, n tocsin.Notification) (tocsin.Receipt, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail > 0 {
		d.fail--
		return tocsin.Receipt{}, tocsin.RetryAfter(fmt.Errorf("status 503"), 4*time.Minute)
	}
	line := n.At.Format("15:04")
	for _, e := range n.Events {
		line += " " + e.ID
	}
	d.entries = append(d.entries, line)
	return tocsin.Receipt{}, nil
}

func (d *diary) Preview(context.Context, tocsin.Notification) ([]tocsin.Exchange, error) {
	return nil, nil
}

// day is a webhook's day with the real workflow, the real activities and a real store,
// all by the test environment's clock, which skips time.
type day struct {
	t     *testing.T
	env   *testsuite.TestWorkflowEnvironment
	store *sqlite.DB
	hook  tocsin.Webhook
	diary *diary
}

func newDay(t *testing.T, change func(*tocsin.Settings)) *day {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	d := &day{t: t, env: suite.NewTestWorkflowEnvironment(), diary: &diary{}}
	d.env.SetStartTime(time.Date(2026, 11, 20, 9, 7, 0, 0, time.UTC))
	d.env.SetTestTimeout(time.Minute)
	db, err := sqlite.Open(t.Context(), t.TempDir()+"/tocsin.db", sqlite.Options{Now: d.env.Now})
	if err != nil {
		t.Fatalf("opening store: %v", err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatalf("migrating: %v", err)
	}
	d.store = db
	set := tocsin.Settings{
		Name: "periodic", Channel: "webhook", Frequency: tocsin.Periodic, RunEvery: tocsin.Duration(15 * time.Minute),
		BatchSize: 20, Concurrency: 1, RetryFor: tocsin.Duration(72 * time.Hour), OnResume: "deliver",
	}
	if change != nil {
		change(&set)
	}
	d.hook, err = db.CreateWebhook(t.Context(), tocsin.Webhook{ID: "wh_day", Settings: set, Config: json.RawMessage(`{}`), Sealed: []byte("x")})
	if err != nil {
		t.Fatalf("creating webhook: %v", err)
	}
	workflows.Register(d.env, &activities.Activities{
		Store: db, Sender: func(tocsin.Webhook) (tocsin.Sender, error) { return d.diary, nil },
		Backoff: workflows.Backoff, Linger: -1, Submit: deaf{},
	})
	return d
}

// deaf is a Submitter for tests that announcements are nothing to.
type deaf struct{ activities.Submitter }

func (deaf) Announce(context.Context, tocsin.Event, ...string) (ingest.Result, error) {
	return ingest.Result{}, nil
}

// at schedules something for so long after 09:07.
func (d *day) at(after time.Duration, do func()) { d.env.RegisterDelayedCallback(do, after) }

// submit commits an event and rings as ingest does.
func (d *day) submit(id string) {
	d.t.Helper()
	ctx := context.Background()
	revision, _, err := d.store.ListWebhooks(ctx)
	if err != nil {
		d.t.Errorf("reading revision: %v", err)
		return
	}
	e := tocsin.Event{ID: id, Source: "/day", Type: "custom.day", Severity: tocsin.SeverityLow, Status: tocsin.Firing, Time: d.env.Now(), DedupKey: id, Raw: json.RawMessage(`{"id":"` + id + `","source":"/day","type":"custom.day"}`)}
	if _, err := d.store.Append(ctx, revision, []tocsin.NewEvent{{Event: e, Fingerprint: []byte(id), Owed: []tocsin.Obligation{{WebhookID: d.hook.ID}}}}); err != nil {
		d.t.Errorf("appending: %v", err)
		return
	}
	asleep, err := d.store.Ring(ctx, []string{d.hook.ID})
	if err != nil {
		d.t.Errorf("ringing: %v", err)
	}
	if len(asleep) > 0 {
		d.env.SignalWorkflow(workflows.SignalNewEvents, workflows.NewEvents{Count: 1})
	}
}

// update commits a change and sends the update, as the API does.
func (d *day) update(name string, change func() error) {
	if err := change(); err != nil {
		d.t.Errorf("%s: %v", name, err)
	}
	d.env.UpdateWorkflowNoRejection(name, "", d.t, workflows.Control{Version: 99})
}

// state returns a change of state, for at.
func (d *day) state(update string, to tocsin.State) func() {
	return func() {
		d.t.Helper()
		d.update(update, func() error {
			_, err := d.store.SetState(context.Background(), d.hook.ID, to, "by a test")
			return err
		})
	}
}

// run lets the day pass; at its end the webhook is deleted, and the workflow must end.
func (d *day) run(length time.Duration) {
	d.t.Helper()
	d.at(length, func() {
		d.update(workflows.UpdateConfigure, func() error {
			_, err := d.store.SetState(context.Background(), d.hook.ID, tocsin.StateDeleted, "end of day")
			return err
		})
	})
	d.env.ExecuteWorkflow(workflows.TypeWebhook, workflows.WebhookInput{ID: d.hook.ID})
	if !d.env.IsWorkflowCompleted() || d.env.GetWorkflowError() != nil {
		d.t.Fatalf("completed %v with %v, want an orderly end", d.env.IsWorkflowCompleted(), d.env.GetWorkflowError())
	}
}

func (d *day) want(lines ...string) {
	d.t.Helper()
	if diff := cmp.Diff(lines, d.diary.entries); diff != "" {
		d.t.Errorf("deliveries (-want +got):\n%s", diff)
	}
}

func TestPeriodicWaitsForItsTicks(t *testing.T) {
	t.Parallel()
	d := newDay(t, nil) // created 09:07: ticks at :07, :22, :37, :52
	d.at(time.Minute, func() { d.submit("a") })
	d.at(14*time.Minute, func() { d.submit("b") })
	d.at(40*time.Minute, func() { d.submit("c") })             // 09:47, after two quiet ticks
	d.at(46*time.Minute, func() { d.submit("d") })             // 09:53, just after a tick
	d.at(5*time.Hour+time.Second, func() { d.submit("late") }) // 14:07:01
	d.run(24 * time.Hour)
	d.want("09:22 a b", "09:52 c", "10:07 d", "14:22 late")
}

// Every quarter of an hour for a whole day something is owed: 96 ticks, none late, none
// early, none twice.
func TestADayOfTicksDoesNotDrift(t *testing.T) {
	t.Parallel()
	d := newDay(t, nil)
	start := time.Date(2026, 11, 20, 9, 7, 0, 0, time.UTC)
	var want []string
	for i := range 96 {
		d.at(time.Duration(i)*15*time.Minute+time.Minute, func() { d.submit(fmt.Sprint("e", i)) })
		want = append(want, start.Add(time.Duration(i+1)*15*time.Minute).Format("15:04")+fmt.Sprint(" e", i))
	}
	d.run(24*time.Hour + 10*time.Minute)
	d.want(want...)
}

func TestPeriodicAnchorIsSettable(t *testing.T) {
	t.Parallel()
	d := newDay(t, func(s *tocsin.Settings) {
		s.Anchor = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		s.RunEvery = tocsin.Duration(time.Hour)
	})
	d.at(time.Minute, func() { d.submit("a") })
	d.run(3 * time.Hour)
	d.want("10:00 a")
}

// A failed run is tried again when the receiver said so, between ticks; what came
// meanwhile still waits for its tick.
func TestPeriodicRetriesBetweenTicks(t *testing.T) {
	t.Parallel()
	d := newDay(t, nil)
	d.diary.fail = 1
	d.at(time.Minute, func() { d.submit("a") })
	d.at(16*time.Minute, func() { d.submit("b") }) // 09:23, while a backs off
	d.run(2 * time.Hour)
	d.want("09:26 a", "09:37 b")
}

// "Run once" delivers what is owed now and changes nothing else: the ticks stay.
func TestRunNowLeavesTheTicksAlone(t *testing.T) {
	t.Parallel()
	d := newDay(t, nil)
	d.at(time.Minute, func() { d.submit("a") })
	d.at(5*time.Minute, func() {
		d.update(workflows.UpdateRunNow, func() error { return d.store.RunNow(context.Background(), d.hook.ID) })
	})
	d.at(6*time.Minute, func() { d.submit("b") })
	d.run(time.Hour)
	d.want("09:12 a", "09:22 b")
}

func TestPausedHoldsAndResumeDrains(t *testing.T) {
	t.Parallel()
	d := newDay(t, nil)
	d.at(time.Minute, func() { d.submit("a") })
	d.at(2*time.Minute, d.state(workflows.UpdatePause, tocsin.StatePaused))
	d.at(30*time.Minute, func() { d.submit("b") })
	d.at(50*time.Minute, d.state(workflows.UpdateResume, tocsin.StateActive)) // 09:57
	d.run(2 * time.Hour)
	d.want("09:57 a b")
}

// A run that fails across a tick: what was owed before that tick goes when the run is
// done, and does not wait for the one after.
func TestATickThatPassesDuringARunIsNotSkipped(t *testing.T) {
	t.Parallel()
	d := newDay(t, nil)
	d.diary.fail = 5 // 09:22, :26, :30, :34, :38; 09:42 succeeds
	d.at(time.Minute, func() { d.submit("a") })
	d.at(16*time.Minute, func() { d.submit("b") }) // 09:23, due at 09:37
	d.run(2 * time.Hour)
	d.want("09:42 a", "09:42 b")
}

// The same with a pause across a tick, a day apart.
func TestAPauseAcrossATickSkipsNothing(t *testing.T) {
	t.Parallel()
	d := newDay(t, func(s *tocsin.Settings) { s.RunEvery = tocsin.Duration(24 * time.Hour) })
	d.diary.fail = 1
	d.at(time.Minute, func() { d.submit("a") })
	d.at(24*time.Hour+time.Minute, d.state(workflows.UpdatePause, tocsin.StatePaused))
	d.at(25*time.Hour, func() { d.submit("b") })
	d.at(49*time.Hour, d.state(workflows.UpdateResume, tocsin.StateActive))
	d.run(96 * time.Hour)
	d.want("10:07 a", "10:07 b")
}
