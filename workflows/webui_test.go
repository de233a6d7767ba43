package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdk "go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
	"github.com/tocsin-alerts/tocsin/workflows"
)

// upserts records what a workflow sets as search attributes.
type upserts struct {
	interceptor.WorkerInterceptorBase
	interceptor.WorkflowInboundInterceptorBase
	interceptor.WorkflowOutboundInterceptorBase
	said []string
}

func (u *upserts) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	u.WorkflowInboundInterceptorBase.Next = next
	return u
}

func (u *upserts) Init(outbound interceptor.WorkflowOutboundInterceptor) error {
	u.WorkflowOutboundInterceptorBase.Next = outbound
	return u.WorkflowInboundInterceptorBase.Next.Init(u)
}

func (u *upserts) UpsertTypedSearchAttributes(ctx workflow.Context, updates ...temporal.SearchAttributeUpdate) error {
	attrs := temporal.NewSearchAttributes(updates...)
	said := ""
	if v, ok := attrs.GetKeyword(workflows.AttrStatus); ok {
		said = v
	}
	if v, ok := attrs.GetInt64(workflows.AttrFailures); ok {
		said += fmt.Sprintf(" failures=%d", v)
	}
	if v, ok := attrs.GetInt64(workflows.AttrPending); ok {
		said += fmt.Sprintf(" pending=%d", v)
	}
	if v, ok := attrs.GetTime(workflows.AttrLastDelivery); ok {
		said += " last=" + v.UTC().Format(time.TimeOnly)
	}
	u.said = append(u.said, said)
	return u.WorkflowOutboundInterceptorBase.Next.UpsertTypedSearchAttributes(ctx, updates...)
}

// The lists change with a webhook's state, and with nothing else: each change is an event of
// the history.
func TestListsSayHowAWebhookStoodAtItsLastTransition(t *testing.T) {
	t.Parallel()
	last := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	at := func(state tocsin.State, failures int, counted *activities.Counted) func() (activities.DeliverResult, error) {
		return func() (activities.DeliverResult, error) {
			r := result(activities.NextWait, time.Minute)
			r.State, r.Failures, r.LastDelivery, r.Counted = state, failures, &last, counted
			return r, nil
		}
	}
	s := &script{steps: []func() (activities.DeliverResult, error){
		at(tocsin.StateActive, 0, &activities.Counted{Pending: 3}),
		at(tocsin.StateActive, 2, nil), // fails, and is not failing yet
		at(tocsin.StateFailing, 5, &activities.Counted{Pending: 70, InFlight: 20, At: last}),
		at(tocsin.StateFailing, 6, nil),
		at(tocsin.StateActive, 0, &activities.Counted{Pending: 0, At: last}),
	}}
	var u upserts
	var card string
	run(t, s, workflows.WebhookInput{ID: "wh_1"}, func(env *testsuite.TestWorkflowEnvironment) {
		env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{&u}})
		env.RegisterDelayedCallback(func() { card = metadata(t, env).GetCurrentDetails() }, 3*time.Minute+30*time.Second)
	})
	want := []string{"active failures=0 pending=3 last=09:00:00", "failing failures=5 pending=90 last=09:00:00", "active failures=0 pending=0 last=09:00:00", "deleted failures=0 pending=0"}
	if diff := cmp.Diff(want, u.said); diff != "" {
		t.Errorf("search attributes (-want +got):\n%s", diff)
	}
	if want := "| owed | **90** (70 pending, 20 in flight) as of 2026-11-20T09:00:00Z |"; !strings.Contains(card, want) {
		t.Errorf("the card lacks %q:\n%s", want, card)
	}
}

// Deliver is told what the lists say, so that it counts when they must change.
func TestDeliverIsToldWhatIsShown(t *testing.T) {
	t.Parallel()
	var shown []tocsin.State
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.DeliverInput) (activities.DeliverResult, error) {
		shown = append(shown, in.Shown)
		if len(shown) == 3 {
			return ended()
		}
		return result(activities.NextWait, time.Minute), nil
	}, activity.RegisterOptions{Name: "Deliver"})
	env.ExecuteWorkflow(workflows.Webhook, workflows.WebhookInput{ID: "wh_1"})
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]tocsin.State{"", tocsin.StateActive, tocsin.StateActive}, shown); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
}

// metadata asks as the Web UI does.
func metadata(t *testing.T, env *testsuite.TestWorkflowEnvironment) *sdk.WorkflowMetadata {
	var m sdk.WorkflowMetadata
	v, err := env.QueryWorkflow("__temporal_workflow_metadata")
	if err == nil {
		err = v.Get(&m)
	}
	if err != nil {
		t.Errorf("asking for the metadata: %v", err)
	}
	return &m
}

// described checks that everything a workflow can be sent or asked says what it is, and
// that there is a card.
func described(t *testing.T, m *sdk.WorkflowMetadata, want ...string) {
	d := m.GetDefinition()
	var got []string
	for _, defs := range [][]*sdk.WorkflowInteractionDefinition{d.GetSignalDefinitions(), d.GetUpdateDefinitions(), d.GetQueryDefinitions()} {
		for _, def := range defs {
			if strings.HasPrefix(def.GetName(), "__") {
				continue // the SDK's own
			}
			got = append(got, def.GetName())
			if def.GetDescription() == "" {
				t.Errorf("%s of %s has no description", def.GetName(), d.GetType())
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s can be sent or asked (-want +got):\n%s", d.GetType(), diff)
	}
	if m.GetCurrentDetails() == "" {
		t.Errorf("%s has no current details", d.GetType())
	}
}

func TestEverythingIsDescribed(t *testing.T) {
	t.Parallel()
	look := func(want ...string) func(*testsuite.TestWorkflowEnvironment) {
		return func(env *testsuite.TestWorkflowEnvironment) {
			env.RegisterDelayedCallback(func() { described(t, metadata(t, env), want...) }, 30*time.Second)
		}
	}
	run(t, &script{steps: []func() (activities.DeliverResult, error){does(activities.NextWait, time.Minute)}}, workflows.WebhookInput{ID: "wh_1"},
		look("new-events", "submit-events", "configure", "pause", "redeliver", "resume", "run-now", "status"))
	play(t, &plot{scenes: []func() activities.IncidentResult{scene(tocsin.IncidentOpen, time.Minute), scene(tocsin.IncidentResolved, 0)}}, workflows.IncidentInput{},
		look("acknowledge", "incident-changed", "resolve", "status"))
	project(t, &reel{frames: []func() activities.ReplayResult{stands(tocsin.ReplayRunning, time.Minute), stands(tocsin.ReplayDone, 0)}}, workflows.ReplayInput{ID: "rpl_1"},
		look("replay-changed", "status"))
}

// A round of the sweeper or of the housekeeping is over before anybody looks; its card stays.
func TestCardsOfRounds(t *testing.T) {
	t.Parallel()
	sweep := func(out activities.SweepResult, err error) string {
		var suite testsuite.WorkflowTestSuite
		env := suite.NewTestWorkflowEnvironment()
		env.RegisterActivityWithOptions(func(context.Context) (activities.SweepResult, error) { return out, err }, activity.RegisterOptions{Name: "Sweep"})
		env.ExecuteWorkflow(workflows.Sweep)
		var got activities.SweepResult
		if err == nil && (env.GetWorkflowResult(&got) != nil || got != out) {
			t.Errorf("the sweep returns %+v, want %+v", got, out)
		}
		return metadata(t, env).GetCurrentDetails()
	}
	env, _ := household(t, map[string]bool{"RotateKeys": true})
	tests := []struct{ card, want string }{
		{sweep(activities.SweepResult{}, nil), "nothing to do"},
		{sweep(activities.SweepResult{Rung: 2}, nil), "| webhooks rung | **2** |"},
		{sweep(activities.SweepResult{}, errors.New("away")), "the next one does its work"},
		{metadata(t, env).GetCurrentDetails(), "| events | **7** |"},
		{metadata(t, env).GetCurrentDetails(), "**Not done:** `rotate the signing key"},
	}
	for _, tt := range tests {
		if !strings.Contains(tt.card, tt.want) {
			t.Errorf("the card lacks %q:\n%s", tt.want, tt.card)
		}
	}
}

func TestPathOfAWorkflowInTheWebUI(t *testing.T) {
	t.Parallel()
	got := workflows.WebUIPath("default", workflows.WebhookWorkflowID("wh_1"))
	if want := "/namespaces/default/workflows/webhook%2Fwh_1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The document names every search attribute and everything that can be sent.
func TestDocumentOfTheWebUIIsComplete(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../docs/temporal-ui.md")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{
		workflows.SignalSubmitEvents, workflows.SignalNewEvents, workflows.SignalAcknowledge, workflows.SignalResolve, workflows.SignalReplayChanged,
		workflows.SignalIncidentChanged, workflows.UpdatePause, workflows.UpdateResume, workflows.UpdateRunNow, workflows.UpdateConfigure, workflows.UpdateRedeliver,
		workflows.QueryStatus, workflows.SweepID, workflows.HousekeepingID, workflows.TaskQueue,
	}
	for name := range workflows.SearchAttributes() {
		names = append(names, name)
	}
	for _, name := range names {
		if !strings.Contains(string(doc), name) {
			t.Errorf("docs/temporal-ui.md does not name %s", name)
		}
	}
}
