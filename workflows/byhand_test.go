package workflows_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
	"github.com/tocsin-alerts/tocsin/workflows"
)

// asked is the query status of a webhook's workflow.
func asked(t *testing.T, env *testsuite.TestWorkflowEnvironment) (s workflows.Status) {
	v, err := env.QueryWorkflow(workflows.QueryStatus)
	if err == nil {
		err = v.Get(&s)
	}
	if err != nil {
		t.Errorf("querying: %v", err)
	}
	return s
}

// A refusal is one line, without the ids of an activity and the causes behind it.
func TestRefusalOfAnUpdateIsShort(t *testing.T) {
	t.Parallel()
	const why = `the webhook is not valid: run_evry: unknown field; did you mean "run_every"?`
	s := &script{steps: []func() (activities.DeliverResult, error){does(activities.NextWait, time.Hour)}}
	var got error
	run(t, s, workflows.WebhookInput{ID: "wh_1"}, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterActivityWithOptions(func(context.Context, activities.ControlInput) (activities.ControlResult, error) {
			return activities.ControlResult{}, temporal.NewNonRetryableApplicationError(why, string(tocsin.CodeInvalid), tocsin.Invalid("run_evry", "unknown field"))
		}, activity.RegisterOptions{Name: "Do", DisableAlreadyRegisteredCheck: true})
		env.RegisterDelayedCallback(func() {
			env.UpdateWorkflow(workflows.UpdateConfigure, "", &testsuite.TestUpdateCallback{
				OnReject:   func(err error) { t.Errorf("rejected: %v", err) },
				OnAccept:   func() {},
				OnComplete: func(_ any, err error) { got = err },
			}, workflows.Control{Settings: json.RawMessage(`{"run_evry":"30m"}`)})
		}, time.Minute)
	})
	if got == nil || got.Error() != why+" (type: invalid, retryable: false)" {
		t.Errorf("got %v, want %q alone", got, why)
	}
}

// A signal that is no object is said to be rejected; one without events goes to the activity,
// which says so.
func TestSubmittedSignalThatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := &script{steps: []func() (activities.DeliverResult, error){does(activities.NextWait, time.Hour)}}
	run(t, s, workflows.WebhookInput{ID: "wh_1"}, func(env *testsuite.TestWorkflowEnvironment) {
		for _, bad := range []any{"hello", 7, []string{"a"}} {
			env.RegisterDelayedCallback(func() { env.SignalWorkflow(workflows.SignalSubmitEvents, bad) }, time.Minute)
		}
		env.RegisterDelayedCallback(func() {
			env.SignalWorkflow(workflows.SignalSubmitEvents, activities.SubmitInput{Events: json.RawMessage(`[1]`)})
		}, 2*time.Minute)
		env.RegisterDelayedCallback(func() {
			rejected := asked(t, env).Submitted.Rejected
			if len(rejected) != 3 || rejected[0].Field != "events" || !strings.Contains(rejected[0].Message, "cannot be read: want {") {
				t.Errorf("rejected are %+v, want the three signals", rejected)
			}
		}, 3*time.Minute)
	})
	if diff := cmp.Diff([]string{"[1]"}, s.submitted); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}
