package workflows_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
	"github.com/tocsin-alerts/tocsin/workflows"
)

// script stands in for the activities: each Deliver takes the next step of it.
type script struct {
	mu        sync.Mutex
	steps     []func() (activities.DeliverResult, error)
	at        []time.Time // when each Deliver began, by the workflow's clock
	submitted []string
	did       []activities.ControlInput
}

func result(next activities.Next, wait time.Duration) activities.DeliverResult {
	return activities.DeliverResult{Name: "sec-alerts", Channel: "slack", State: tocsin.StateActive, Version: 1, Next: next, Wait: wait, Why: "next run"}
}

func does(next activities.Next, wait time.Duration) func() (activities.DeliverResult, error) {
	return func() (activities.DeliverResult, error) { return result(next, wait), nil }
}

func ended() (activities.DeliverResult, error) {
	return activities.DeliverResult{Name: "sec-alerts", Channel: "slack", State: tocsin.StateDeleted, Next: activities.NextEnded}, nil
}

// run executes a webhook's workflow against a script, with time skipping.
func run(t *testing.T, s *script, in workflows.WebhookInput, prepare func(*testsuite.TestWorkflowEnvironment)) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.RegisterWorkflowWithOptions(workflows.Webhook, workflow.RegisterOptions{Name: workflows.TypeWebhook})
	env.RegisterActivityWithOptions(func(context.Context, activities.DeliverInput) (activities.DeliverResult, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.at = append(s.at, env.Now())
		if len(s.steps) == 0 {
			return ended()
		}
		step := s.steps[0]
		s.steps = s.steps[1:]
		return step()
	}, activity.RegisterOptions{Name: "Deliver"})
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.SubmitBatch) (activities.SubmitResult, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, signal := range in.Signals {
			s.submitted = append(s.submitted, string(signal.Events))
		}
		return activities.SubmitResult{Accepted: len(in.Signals)}, nil
	}, activity.RegisterOptions{Name: "SubmitEvents"})
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.ControlInput) (activities.ControlResult, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.did = append(s.did, in)
		return activities.ControlResult{State: tocsin.StatePaused, Version: 2}, nil
	}, activity.RegisterOptions{Name: "Do"})
	env.SetTestTimeout(30 * time.Second)
	if prepare != nil {
		prepare(env)
	}
	env.ExecuteWorkflow(workflows.TypeWebhook, in)
	if !env.IsWorkflowCompleted() {
		t.Fatal("the workflow did not complete")
	}
	return env
}

func (s *script) offsets() []time.Duration {
	var out []time.Duration
	for _, at := range s.at {
		out = append(out, at.Sub(s.at[0]).Round(time.Second))
	}
	return out
}

func TestEveryRunBeginsAsIfRungAndADeletedWebhookEnds(t *testing.T) {
	t.Parallel()
	s := &script{}
	env := run(t, s, workflows.WebhookInput{ID: "wh_1"}, nil)
	if err := env.GetWorkflowError(); err != nil {
		t.Fatalf("got error %v, want none", err)
	}
	if len(s.at) != 1 {
		t.Errorf("delivered %d times, want once", len(s.at))
	}
}

func TestTimerSignalAndWorkDecideWhenToDeliver(t *testing.T) {
	t.Parallel()
	s := &script{steps: []func() (activities.DeliverResult, error){
		does(activities.NextWait, 15*time.Minute), // waits for its tick
		does(activities.NextAgain, 0),             // at 15 min; goes on at once
		does(activities.NextIdle, 0),              // idle until the doorbell rings at 40 min
		does(activities.NextWait, time.Hour),      // rung again at 50 min
	}}
	env := run(t, s, workflows.WebhookInput{ID: "wh_1"}, func(env *testsuite.TestWorkflowEnvironment) {
		ring := func() { env.SignalWorkflow(workflows.SignalNewEvents, workflows.NewEvents{}) }
		env.RegisterDelayedCallback(ring, 40*time.Minute)
		env.RegisterDelayedCallback(ring, 50*time.Minute)
	})
	if err := env.GetWorkflowError(); err != nil {
		t.Fatalf("got error %v, want none", err)
	}
	want := []time.Duration{0, 15 * time.Minute, 15 * time.Minute, 40 * time.Minute, 50 * time.Minute}
	if diff := cmp.Diff(want, s.offsets()); diff != "" {
		t.Errorf("times of Deliver (-want +got):\n%s", diff)
	}
}

// The doorbell rings while Deliver is under way, and Deliver, which looked just before,
// says idle. Draining after Deliver instead of before it would sleep for ever here.
func TestSignalDuringDeliverForcesAnother(t *testing.T) {
	t.Parallel()
	s := &script{}
	var env *testsuite.TestWorkflowEnvironment
	s.steps = []func() (activities.DeliverResult, error){func() (activities.DeliverResult, error) {
		env.SignalWorkflow(workflows.SignalNewEvents, workflows.NewEvents{})
		return result(activities.NextIdle, 0), nil
	}}
	run(t, s, workflows.WebhookInput{ID: "wh_1"}, func(e *testsuite.TestWorkflowEnvironment) { env = e })
	if len(s.at) != 2 {
		t.Errorf("delivered %d times, want 2", len(s.at))
	}
}

func TestUpdateCutsABackoffShort(t *testing.T) {
	t.Parallel()
	s := &script{steps: []func() (activities.DeliverResult, error){func() (activities.DeliverResult, error) {
		return activities.DeliverResult{}, temporal.NewApplicationErrorWithOptions("status 503", activities.FailureType, temporal.ApplicationErrorOptions{NextRetryDelay: time.Hour})
	}}}
	env := run(t, s, workflows.WebhookInput{ID: "wh_1"}, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			env.UpdateWorkflowNoRejection(workflows.UpdateRunNow, "", t, workflows.Control{Version: 3})
		}, 10*time.Minute)
	})
	if err := env.GetWorkflowError(); err != nil {
		t.Fatalf("got error %v, want none", err)
	}
	if diff := cmp.Diff([]time.Duration{0, 10 * time.Minute}, s.offsets()); diff != "" {
		t.Errorf("times of Deliver (-want +got):\n%s", diff)
	}
	if len(s.did) != 0 {
		t.Errorf("an update with a version wrote rows: %v", s.did)
	}
}

// The sweeper, and a deletion, come by the doorbell alone.
func TestDoorbellCutsABackoffShort(t *testing.T) {
	t.Parallel()
	s := &script{steps: []func() (activities.DeliverResult, error){func() (activities.DeliverResult, error) {
		return activities.DeliverResult{}, temporal.NewApplicationErrorWithOptions("status 503", activities.FailureType, temporal.ApplicationErrorOptions{NextRetryDelay: 24 * time.Hour})
	}}}
	run(t, s, workflows.WebhookInput{ID: "wh_1"}, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() { env.SignalWorkflow(workflows.SignalNewEvents, nil) }, 10*time.Minute)
	})
	if diff := cmp.Diff([]time.Duration{0, 10 * time.Minute}, s.offsets()); diff != "" {
		t.Errorf("times of Deliver (-want +got):\n%s", diff)
	}
}

func TestUpdateByHandWritesTheRows(t *testing.T) {
	t.Parallel()
	s := &script{steps: []func() (activities.DeliverResult, error){does(activities.NextIdle, 0)}}
	run(t, s, workflows.WebhookInput{ID: "wh_1"}, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			env.UpdateWorkflowNoRejection(workflows.UpdatePause, "", t, workflows.Control{})
		}, time.Minute)
	})
	want := []activities.ControlInput{{WebhookID: "wh_1", Update: "pause"}}
	if diff := cmp.Diff(want, s.did); diff != "" {
		t.Errorf("updates carried out (-want +got):\n%s", diff)
	}
	if len(s.at) != 2 {
		t.Errorf("delivered %d times, want 2: a change must be looked at", len(s.at))
	}
}

func TestUpdatesByHandAreChecked(t *testing.T) {
	t.Parallel()
	tests := []struct {
		update, want string
		control      workflows.Control
	}{
		{workflows.UpdateConfigure, "needs settings", workflows.Control{}},
		{workflows.UpdateConfigure, "config cannot be changed here", workflows.Control{Settings: json.RawMessage(`{"config":{}}`)}},
		{workflows.UpdateRedeliver, "needs", workflows.Control{}},
	}
	for _, tt := range tests {
		s := &script{steps: []func() (activities.DeliverResult, error){does(activities.NextWait, time.Hour)}}
		var rejected error
		run(t, s, workflows.WebhookInput{ID: "wh_1"}, func(env *testsuite.TestWorkflowEnvironment) {
			env.RegisterDelayedCallback(func() {
				env.UpdateWorkflow(tt.update, "", &testsuite.TestUpdateCallback{
					OnReject:   func(err error) { rejected = err },
					OnAccept:   func() {},
					OnComplete: func(any, error) {},
				}, tt.control)
			}, time.Minute)
		})
		if rejected == nil || !strings.Contains(rejected.Error(), tt.want) {
			t.Errorf("%s %+v: got %v, want a rejection with %q", tt.update, tt.control, rejected, tt.want)
		}
		if len(s.did) != 0 {
			t.Errorf("%s: a rejected update wrote rows: %v", tt.update, s.did)
		}
	}
}

func TestSubmittedEventsAreStoredWhileDelivering(t *testing.T) {
	t.Parallel()
	s := &script{steps: []func() (activities.DeliverResult, error){does(activities.NextIdle, 0), does(activities.NextIdle, 0)}}
	run(t, s, workflows.WebhookInput{ID: "wh_1"}, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			env.SignalWorkflow(workflows.SignalSubmitEvents, activities.SubmitInput{Events: json.RawMessage(`[{"id":"1"}]`)})
			env.SignalWorkflow(workflows.SignalSubmitEvents, activities.SubmitInput{Events: json.RawMessage(`[{"id":"2"}]`)})
		}, time.Minute)
		env.RegisterDelayedCallback(func() {
			v, err := env.QueryWorkflow(workflows.QueryStatus)
			if err != nil {
				t.Errorf("querying status: %v", err)
				return
			}
			var st workflows.Status
			if err := v.Get(&st); err != nil || st.Submitted.Accepted != 2 || st.Webhook != "sec-alerts" || st.Doing != "next run" {
				t.Errorf("status is %+v (%v)", st, err)
			}
			env.SignalWorkflow(workflows.SignalNewEvents, nil)
		}, 2*time.Minute)
		env.RegisterDelayedCallback(func() { env.SignalWorkflow(workflows.SignalNewEvents, nil) }, 3*time.Minute)
	})
	if diff := cmp.Diff([]string{`[{"id":"1"}]`, `[{"id":"2"}]`}, s.submitted); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

// Submitted events that come as the run fills up are stored, or go along to the next
// run, which stores them: they exist nowhere else.
func TestContinueAsNewKeepsSubmittedEvents(t *testing.T) {
	t.Parallel()
	for _, size := range []int{10, 300 << 10} {
		s := &script{}
		var env *testsuite.TestWorkflowEnvironment
		s.steps = []func() (activities.DeliverResult, error){func() (activities.DeliverResult, error) {
			env.SetContinueAsNewSuggested(true)
			for range 5 {
				env.SignalWorkflow(workflows.SignalSubmitEvents, activities.SubmitInput{Events: json.RawMessage(`"` + strings.Repeat("x", size) + `"`)})
			}
			return result(activities.NextIdle, 0), nil
		}}
		run(t, s, workflows.WebhookInput{ID: "wh_1"}, func(e *testsuite.TestWorkflowEnvironment) { env = e })
		var next *workflow.ContinueAsNewError
		if err := env.GetWorkflowError(); !errors.As(err, &next) {
			t.Fatalf("got %v, want continue-as-new", err)
		}
		var in workflows.WebhookInput
		if err := converter.GetDefaultDataConverter().FromPayloads(next.Input, &in); err != nil {
			t.Fatal(err)
		}
		if got := len(s.submitted) + len(in.Unstored); got != 5 {
			t.Errorf("%d signals were stored and %d went along, want 5 in all", len(s.submitted), len(in.Unstored))
		}
	}
}

// What a run was handed is stored by it.
func TestUnstoredEventsOfThePreviousRunAreStored(t *testing.T) {
	t.Parallel()
	s := &script{steps: []func() (activities.DeliverResult, error){does(activities.NextWait, time.Minute)}}
	run(t, s, workflows.WebhookInput{ID: "wh_1", Unstored: []activities.SubmitInput{{Events: json.RawMessage(`[1]`)}, {Events: json.RawMessage(`[2]`)}}}, nil)
	if diff := cmp.Diff([]string{"[1]", "[2]"}, s.submitted); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}
