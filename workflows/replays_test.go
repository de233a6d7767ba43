package workflows_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
	"github.com/tocsin-alerts/tocsin/workflows"
)

// reel stands in for ReplayStep: each call takes its next frame, the last one for ever.
type reel struct {
	mu     sync.Mutex
	frames []func() activities.ReplayResult
	calls  []string
}

func (r *reel) step(env *testsuite.TestWorkflowEnvironment, began time.Time) func(context.Context, activities.ReplayInput) (activities.ReplayResult, error) {
	return func(_ context.Context, in activities.ReplayInput) (activities.ReplayResult, error) {
		r.mu.Lock()
		frame := r.frames[0]
		if len(r.frames) > 1 {
			r.frames = r.frames[1:]
		}
		call := env.Now().Sub(began).Round(time.Second).String()
		if in.Look {
			call += " look"
		}
		r.calls = append(r.calls, call)
		r.mu.Unlock()
		return frame(), nil
	}
}

func stands(state tocsin.ReplayState, wait time.Duration) func() activities.ReplayResult {
	return func() activities.ReplayResult {
		return activities.ReplayResult{Webhook: "sec-alerts", State: state, Total: 9, Replayed: 3, MaxRate: 1, Wait: wait, Done: state.Final()}
	}
}

// project runs a replay's workflow over a reel.
func project(t *testing.T, r *reel, in workflows.ReplayInput, prepare func(*testsuite.TestWorkflowEnvironment)) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	began := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	env.SetStartTime(began)
	env.RegisterWorkflowWithOptions(workflows.Replay, workflow.RegisterOptions{Name: workflows.TypeReplay})
	env.RegisterActivityWithOptions(r.step(env, began), activity.RegisterOptions{Name: "ReplayStep"})
	env.SetTestTimeout(30 * time.Second)
	if prepare != nil {
		prepare(env)
	}
	env.ExecuteWorkflow(workflows.TypeReplay, in)
	if !env.IsWorkflowCompleted() {
		t.Fatal("the workflow did not complete")
	}
	return env
}

func (r *reel) want(t *testing.T, calls ...string) {
	t.Helper()
	if diff := cmp.Diff(calls, r.calls); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func changed(env *testsuite.TestWorkflowEnvironment) func() {
	return func() { env.SignalWorkflow(workflows.SignalReplayChanged, nil) }
}

// It waits as its rate asks. A signal meanwhile makes it look, not step: it is no way
// around the rate.
func TestReplayKeepsItsRateWhateverRings(t *testing.T) {
	t.Parallel()
	r := &reel{frames: []func() activities.ReplayResult{
		stands(tocsin.ReplayRunning, time.Minute), stands(tocsin.ReplayRunning, 0), stands(tocsin.ReplayRunning, time.Minute), stands(tocsin.ReplayDone, 0),
	}}
	env := project(t, r, workflows.ReplayInput{ID: "replay_1"}, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(changed(env), 20*time.Second)
	})
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	r.want(t, "0s", "20s look", "1m0s", "2m0s")
	var out activities.ReplayResult
	if err := env.GetWorkflowResult(&out); err != nil || out.State != tocsin.ReplayDone {
		t.Errorf("result %+v (%v), want done", out, err)
	}
}

// Paused, it waits for the signal, and looks once an hour: signals may be lost.
func TestPausedReplayWaitsForTheSignal(t *testing.T) {
	t.Parallel()
	r := &reel{frames: []func() activities.ReplayResult{stands(tocsin.ReplayPaused, 0), stands(tocsin.ReplayRunning, 0), stands(tocsin.ReplayCancelled, 0)}}
	env := project(t, r, workflows.ReplayInput{ID: "replay_1"}, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			v, err := env.QueryWorkflow(workflows.QueryStatus)
			var st workflows.ReplayStatus
			if err != nil || v.Get(&st) != nil || st.Doing != "paused" || st.ID != "replay_1" || st.Replayed != 3 {
				t.Errorf("status is %+v (%v)", st, err)
			}
		}, 10*time.Minute)
		env.RegisterDelayedCallback(changed(env), 59*time.Minute)
	})
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	r.want(t, "0s", "59m0s", "59m0s")
}

// It was cancelled, and Temporal was away when that was to be signalled.
func TestPausedReplayNoticesItsEndWithoutASignal(t *testing.T) {
	t.Parallel()
	r := &reel{frames: []func() activities.ReplayResult{stands(tocsin.ReplayPaused, 0), stands(tocsin.ReplayPaused, 0), stands(tocsin.ReplayCancelled, 0)}}
	env := project(t, r, workflows.ReplayInput{ID: "replay_1"}, nil)
	var out activities.ReplayResult
	if err := env.GetWorkflowResult(&out); err != nil || out.State != tocsin.ReplayCancelled {
		t.Errorf("got %+v (%v), want cancelled", out, err)
	}
	r.want(t, "0s", "1h0m0s", "2h0m0s")
}

// A change that is committed and signalled while the step runs, after it had looked,
// is seen: the signal is drained before the step, never after it.
func TestSignalDuringAReplayStepMakesItLookAgain(t *testing.T) {
	t.Parallel()
	var env *testsuite.TestWorkflowEnvironment
	r := &reel{frames: []func() activities.ReplayResult{
		func() activities.ReplayResult {
			env.SignalWorkflow(workflows.SignalReplayChanged, nil)
			return stands(tocsin.ReplayPaused, 0)()
		},
		stands(tocsin.ReplayDone, 0),
	}}
	project(t, r, workflows.ReplayInput{ID: "replay_1"}, func(e *testsuite.TestWorkflowEnvironment) { env = e })
	r.want(t, "0s", "0s")
}

// A new run knows what the rate asked for.
func TestReplayContinuesAsNewWithItsRate(t *testing.T) {
	t.Parallel()
	var env *testsuite.TestWorkflowEnvironment
	r := &reel{frames: []func() activities.ReplayResult{func() activities.ReplayResult {
		env.SetContinueAsNewSuggested(true)
		return stands(tocsin.ReplayRunning, time.Minute)()
	}}}
	project(t, r, workflows.ReplayInput{ID: "replay_1"}, func(e *testsuite.TestWorkflowEnvironment) { env = e })
	var next *workflow.ContinueAsNewError
	if err := env.GetWorkflowError(); !errors.As(err, &next) {
		t.Fatalf("got %v, want continue-as-new", err)
	}
	var in workflows.ReplayInput
	if err := converter.GetDefaultDataConverter().FromPayloads(next.Input, &in); err != nil {
		t.Fatal(err)
	}
	if in.ID != "replay_1" || in.Last == nil || in.Last.Replayed != 3 || !in.NotBefore.Equal(time.Date(2026, 11, 20, 9, 1, 0, 0, time.UTC)) {
		t.Errorf("the next run gets %+v", in)
	}
	then := &reel{frames: []func() activities.ReplayResult{stands(tocsin.ReplayRunning, 0), stands(tocsin.ReplayDone, 0)}}
	project(t, then, in, nil)
	then.want(t, "0s look", "1m0s")
}

// film is a replay with real activities on a real store, by a clock that skips: 10
// deliveries of one event each.
type film struct {
	env  *testsuite.TestWorkflowEnvironment
	hook tocsin.Webhook
	rung *bell
	id   string // of the replay
}

func newFilm(t *testing.T, rate float64) *film {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	var ahead time.Duration // the environment's clock stands still until it runs
	db, err := sqlite.Open(t.Context(), t.TempDir()+"/tocsin.db", sqlite.Options{Now: func() time.Time { return env.Now().Add(ahead) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	set := tocsin.Settings{Name: "rerun", Channel: "webhook", Frequency: tocsin.Instant, RunEvery: tocsin.Duration(time.Hour), BatchSize: 1, Concurrency: 1}
	hook, err := db.CreateWebhook(t.Context(), tocsin.Webhook{ID: "wh_rerun", Settings: set, Config: json.RawMessage(`{}`), Sealed: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	sent := &diary{}
	rung := &bell{}
	acts := &activities.Activities{Store: db, Conductor: rung, Sender: func(tocsin.Webhook) (tocsin.Sender, error) { return sent, nil }, Backoff: workflows.Backoff, Linger: -1}
	revision, _, err := db.ListWebhooks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		id := fmt.Sprint("e", i)
		e := tocsin.Event{ID: id, Source: "/day", Type: "custom.day", Severity: tocsin.SeverityLow, Status: tocsin.Firing, Time: env.Now(), DedupKey: id, Raw: json.RawMessage(`{}`)}
		if _, err := db.Append(t.Context(), revision, []tocsin.NewEvent{{Event: e, Fingerprint: []byte(id), Owed: []tocsin.Obligation{{WebhookID: hook.ID}}}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := acts.Deliver(t.Context(), activities.DeliverInput{WebhookID: hook.ID}); err != nil || len(sent.entries) != 10 {
		t.Fatalf("delivered %d (%v), want 10", len(sent.entries), err)
	}
	ahead = time.Second
	rep, err := db.CreateReplay(t.Context(), tocsin.Replay{
		ID: tocsin.NewID(tocsin.PrefixReplay), ReplaySelection: tocsin.ReplaySelection{WebhookID: hook.ID, What: tocsin.ReplayDelivered}, MaxRate: rate,
	})
	if err != nil {
		t.Fatal(err)
	}
	workflows.Register(env, acts)
	return &film{env, hook, rung, rep.ID}
}

// show runs the workflow to its end, and must replay everything.
func (f *film) show(t *testing.T) {
	t.Helper()
	f.env.ExecuteWorkflow(workflows.TypeReplay, workflows.ReplayInput{ID: f.id})
	var out activities.ReplayResult
	if err := f.env.GetWorkflowResult(&out); err != nil || out.State != tocsin.ReplayDone || out.Replayed != 10 || out.Deliveries != 10 {
		t.Fatalf("got %+v (%v), want 10 replayed", out, err)
	}
	if !slices.Contains(f.rung.ids, f.hook.ID) {
		t.Errorf("rang %v, want the webhook", f.rung.ids)
	}
}

// Temporal is away when the webhook, marked awake by then, is to be signalled. Who comes
// after that finds it awake, and must signal it all the same.
func TestReplayRingsUntilItIsHeard(t *testing.T) {
	t.Parallel()
	f := newFilm(t, 0)
	f.rung.fail = 2
	f.show(t)
}

// One event in two seconds.
func TestReplayOfADayKeepsItsRate(t *testing.T) {
	t.Parallel()
	f := newFilm(t, 0.5)
	began := f.env.Now()
	f.show(t)
	if took := f.env.Now().Sub(began); took < 18*time.Second || took > 30*time.Second {
		t.Errorf("it took %s by the workflow's clock, want about 20 s", took)
	}
}

// bell is a conductor that keeps whom it rang.
type bell struct {
	mu   sync.Mutex
	ids  []string
	keys []string // of incidents
	fail int      // so many calls fail first
}

func (b *bell) Ring(_ context.Context, ids ...string) error { return b.hear(&b.ids, ids) }

func (b *bell) rang() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.ids)
}

func (b *bell) hear(all *[]string, more []string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail > 0 {
		b.fail--
		return errors.New("Temporal is away")
	}
	*all = append(*all, more...)
	return nil
}

func (b *bell) Apply(context.Context, string, string, int64) error { return nil }

func (b *bell) Replay(context.Context, string) error { return nil }

func (b *bell) Incidents(_ context.Context, keys ...string) error { return b.hear(&b.keys, keys) }
