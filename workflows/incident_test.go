package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
	"github.com/tocsin-alerts/tocsin/workflows"
)

// plot stands in for the activities of an incident: each IncidentStep takes the next of
// its scenes, the last one for ever.
type plot struct {
	mu     sync.Mutex
	scenes []func() activities.IncidentResult
	change func(activities.IncidentChange) error // nil: everything is done
	log    []string
}

func (p *plot) note(at time.Duration, what string) {
	p.log = append(p.log, at.Round(time.Second).String()+" "+what)
}

func (p *plot) register(env *testsuite.TestWorkflowEnvironment, began time.Time) {
	env.RegisterActivityWithOptions(func(context.Context, activities.IncidentInput) (activities.IncidentResult, error) {
		p.mu.Lock()
		scene := p.scenes[0]
		if len(p.scenes) > 1 {
			p.scenes = p.scenes[1:]
		}
		p.note(env.Now().Sub(began), "step")
		p.mu.Unlock()
		return scene(), nil
	}, activity.RegisterOptions{Name: "IncidentStep"})
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.IncidentChange) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.note(env.Now().Sub(began), strings.TrimSpace(fmt.Sprintf("%s %s by %s %s", in.ID, in.To, in.By, in.Note)))
		if p.change == nil {
			return nil
		}
		return p.change(in)
	}, activity.RegisterOptions{Name: "ChangeIncident"})
}

// scene is an incident that stands so: with a wait a step follows.
func scene(state tocsin.IncidentState, wait time.Duration) func() activities.IncidentResult {
	r := activities.IncidentResult{
		ID: "inc_1", State: state, Type: "custom.test", Severity: tocsin.SeverityHigh, Events: 1,
		Steps: []activities.IncidentStep{{Webhook: "soc", To: "lead", After: tocsin.Duration(30 * time.Minute), State: tocsin.StepDone}},
		Done:  state == tocsin.IncidentResolved,
	}
	if wait > 0 {
		r.Next, r.Wait, r.Steps[0].State = "lead", wait, tocsin.StepWaiting
	}
	return func() activities.IncidentResult { return r }
}

const testKey = "0123456789abcdef0123456789abcdef"

// play runs an incident's workflow over a plot.
func play(t *testing.T, p *plot, in workflows.IncidentInput, prepare func(*testsuite.TestWorkflowEnvironment)) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	began := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	env.SetStartTime(began)
	env.RegisterWorkflowWithOptions(workflows.Incident, workflow.RegisterOptions{Name: workflows.TypeIncident})
	p.register(env, began)
	env.SetTestTimeout(30 * time.Second)
	if prepare != nil {
		prepare(env)
	}
	in.Key = testKey
	env.ExecuteWorkflow(workflows.TypeIncident, in)
	if !env.IsWorkflowCompleted() {
		t.Fatal("the workflow did not complete")
	}
	return env
}

func (p *plot) want(t *testing.T, lines ...string) {
	t.Helper()
	if diff := cmp.Diff(lines, p.log); diff != "" {
		t.Errorf("what was done (-want +got):\n%s", diff)
	}
}

// tells sends a signal after a while.
func tells(env *testsuite.TestWorkflowEnvironment, after time.Duration, signal string, with any) {
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(signal, with) }, after)
}

func succeeded(t *testing.T, env *testsuite.TestWorkflowEnvironment) {
	t.Helper()
	if err := env.GetWorkflowError(); err != nil {
		t.Error(err)
	}
}

// It sleeps until its next step, looks whenever it is rung, and ends when it is resolved.
func TestIncidentWaitsForItsSteps(t *testing.T) {
	t.Parallel()
	p := &plot{scenes: []func() activities.IncidentResult{
		scene(tocsin.IncidentOpen, 30*time.Minute), scene(tocsin.IncidentOpen, 20*time.Minute), scene(tocsin.IncidentOpen, 0), scene(tocsin.IncidentResolved, 0),
	}}
	env := play(t, p, workflows.IncidentInput{}, func(env *testsuite.TestWorkflowEnvironment) {
		tells(env, 10*time.Minute, workflows.SignalIncidentChanged, nil)
		env.RegisterDelayedCallback(func() {
			v, err := env.QueryWorkflow(workflows.QueryStatus)
			var st workflows.IncidentStatus
			if err != nil || v.Get(&st) != nil || st.Doing != "waiting to escalate to lead" || st.ID != "inc_1" || st.Key != testKey || len(st.Steps) != 1 {
				t.Errorf("status is %+v (%v)", st, err)
			}
		}, 15*time.Minute)
		tells(env, 50*time.Hour, workflows.SignalIncidentChanged, nil)
	})
	succeeded(t, env)
	p.want(t, "0s step", "10m0s step", "30m0s step", "50h0m0s step")
	var out activities.IncidentResult
	if err := env.GetWorkflowResult(&out); err != nil || out.State != tocsin.IncidentResolved {
		t.Errorf("result %+v (%v)", out, err)
	}
}

// People's signals are carried out, and then it looks how it stands. Who does not say who
// they are is Temporal.
func TestIncidentDoesWhatPeopleSignal(t *testing.T) {
	t.Parallel()
	p := &plot{scenes: []func() activities.IncidentResult{
		scene(tocsin.IncidentOpen, 30*time.Minute), scene(tocsin.IncidentAcknowledged, 0), scene(tocsin.IncidentResolved, 0),
	}}
	env := play(t, p, workflows.IncidentInput{}, func(env *testsuite.TestWorkflowEnvironment) {
		tells(env, 20*time.Minute, workflows.SignalAcknowledge, workflows.IncidentSignal{By: "dana", Note: "on it"})
		tells(env, time.Hour, workflows.SignalResolve, nil)
	})
	succeeded(t, env)
	p.want(t, "0s step", "20m0s inc_1 acknowledged by dana on it", "20m0s step", "1h0m0s inc_1 resolved by temporal", "1h0m0s step")
}

// A signal that cannot be read does nothing, and holds up nothing.
func TestSignalThatCannotBeRead(t *testing.T) {
	t.Parallel()
	p := &plot{scenes: []func() activities.IncidentResult{
		scene(tocsin.IncidentOpen, 30*time.Minute), scene(tocsin.IncidentOpen, 10*time.Minute), scene(tocsin.IncidentResolved, 0),
	}}
	env := play(t, p, workflows.IncidentInput{}, func(env *testsuite.TestWorkflowEnvironment) {
		tells(env, 20*time.Minute, workflows.SignalAcknowledge, "on it")
	})
	succeeded(t, env)
	p.want(t, "0s step", "20m0s step", "30m0s step")
}

// A signal that starts the workflow is carried out once it is known which incident it is
// about; where there is none it is refused, and nothing hangs.
func TestFirstSignalOfAnIncident(t *testing.T) {
	t.Parallel()
	ask := func(env *testsuite.TestWorkflowEnvironment) {
		tells(env, 0, workflows.SignalResolve, workflows.IncidentSignal{By: "dana"})
	}
	p := &plot{scenes: []func() activities.IncidentResult{scene(tocsin.IncidentOpen, 0), scene(tocsin.IncidentResolved, 0)}}
	succeeded(t, play(t, p, workflows.IncidentInput{}, ask))
	p.want(t, "0s step", "0s inc_1 resolved by dana", "0s step")

	none := &plot{scenes: []func() activities.IncidentResult{func() activities.IncidentResult { return activities.IncidentResult{Done: true} }}}
	succeeded(t, play(t, none, workflows.IncidentInput{}, ask))
	none.want(t, "0s step")
}

// What is refused is said in the status, and holds up nothing.
func TestRefusedSignalIsSaid(t *testing.T) {
	t.Parallel()
	p := &plot{
		scenes: []func() activities.IncidentResult{scene(tocsin.IncidentOpen, time.Hour), scene(tocsin.IncidentOpen, 50*time.Minute), scene(tocsin.IncidentResolved, 0)},
		change: func(activities.IncidentChange) error {
			return temporal.NewNonRetryableApplicationError("note: too long", string(tocsin.CodeInvalid), nil)
		},
	}
	env := play(t, p, workflows.IncidentInput{}, func(env *testsuite.TestWorkflowEnvironment) {
		tells(env, 10*time.Minute, workflows.SignalAcknowledge, workflows.IncidentSignal{By: "dana"})
		env.RegisterDelayedCallback(func() {
			v, err := env.QueryWorkflow(workflows.QueryStatus)
			var st workflows.IncidentStatus
			if err != nil || v.Get(&st) != nil || st.Refused != "note: too long" {
				t.Errorf("status is %+v (%v)", st, err)
			}
		}, 20*time.Minute)
	})
	succeeded(t, env)
	p.want(t, "0s step", "10m0s inc_1 acknowledged by dana", "10m0s step", "1h0m0s step")
}

// A store that takes no change is asked again, and steps are made meanwhile.
func TestSignalOutlivesAnOutage(t *testing.T) {
	t.Parallel()
	p := &plot{scenes: []func() activities.IncidentResult{scene(tocsin.IncidentOpen, time.Hour)}}
	tries := 0
	p.change = func(activities.IncidentChange) error {
		if tries++; tries < 30 {
			return errors.New("the store is away")
		}
		p.scenes = []func() activities.IncidentResult{scene(tocsin.IncidentResolved, 0)}
		return nil
	}
	env := play(t, p, workflows.IncidentInput{}, func(env *testsuite.TestWorkflowEnvironment) {
		tells(env, 10*time.Minute, workflows.SignalResolve, workflows.IncidentSignal{By: "dana"})
	})
	succeeded(t, env)
	steps := 0
	for _, line := range p.log {
		if strings.HasSuffix(line, " step") {
			steps++
		}
	}
	if tries != 30 || steps < 4 {
		t.Errorf("%d tries and %d looks, want 30 and some between them", tries, steps)
	}
}

// A change that is committed and signalled while the step runs, after it had looked, is
// seen.
func TestSignalDuringAStepMakesItLookAgain(t *testing.T) {
	t.Parallel()
	var env *testsuite.TestWorkflowEnvironment
	p := &plot{scenes: []func() activities.IncidentResult{
		func() activities.IncidentResult {
			env.SignalWorkflow(workflows.SignalIncidentChanged, nil)
			return scene(tocsin.IncidentResolved, 0)()
		},
		func() activities.IncidentResult { // it was opened again, and somebody looks at it at once
			env.SignalWorkflow(workflows.SignalAcknowledge, workflows.IncidentSignal{By: "dana"})
			return scene(tocsin.IncidentResolved, 0)()
		},
		scene(tocsin.IncidentResolved, 0),
	}}
	play(t, p, workflows.IncidentInput{}, func(e *testsuite.TestWorkflowEnvironment) { env = e })
	p.want(t, "0s step", "0s step", "0s inc_1 acknowledged by dana", "0s step")
}

// A new run takes along what people asked for, and what it knew.
func TestIncidentContinuesAsNewWithItsSignals(t *testing.T) {
	t.Parallel()
	var env *testsuite.TestWorkflowEnvironment
	p := &plot{scenes: []func() activities.IncidentResult{func() activities.IncidentResult {
		env.SignalWorkflow(workflows.SignalAcknowledge, workflows.IncidentSignal{By: "dana", Note: "on it"})
		env.SetContinueAsNewSuggested(true)
		return scene(tocsin.IncidentOpen, time.Hour)()
	}}}
	play(t, p, workflows.IncidentInput{}, func(e *testsuite.TestWorkflowEnvironment) { env = e })
	var next *workflow.ContinueAsNewError
	if err := env.GetWorkflowError(); !errors.As(err, &next) {
		t.Fatalf("got %v, want continue-as-new", err)
	}
	var in workflows.IncidentInput
	if err := converter.GetDefaultDataConverter().FromPayloads(next.Input, &in); err != nil {
		t.Fatal(err)
	}
	if in.Key != testKey || in.Last == nil || in.Last.Next != "lead" || len(in.Asked) != 1 || in.Asked[0].By != "dana" {
		t.Errorf("the next run gets %+v", in)
	}
	then := &plot{scenes: []func() activities.IncidentResult{scene(tocsin.IncidentResolved, 0)}}
	play(t, then, in, nil)
	then.want(t, "0s step", "0s inc_1 acknowledged by dana on it", "0s step")
}

// The incident was resolved and opened anew, and somebody who sees the new one acknowledges
// before a worker had a look: it is the new one that is acknowledged.
func TestSignalBehindANewIncident(t *testing.T) {
	t.Parallel()
	var env *testsuite.TestWorkflowEnvironment
	first := func() activities.IncidentResult { // as it stood before; both signals come together
		env.SignalWorkflow(workflows.SignalIncidentChanged, nil)
		env.SignalWorkflow(workflows.SignalAcknowledge, workflows.IncidentSignal{By: "dana"})
		return scene(tocsin.IncidentOpen, time.Hour)()
	}
	second := func() activities.IncidentResult {
		r := scene(tocsin.IncidentOpen, time.Hour)()
		r.ID = "inc_2"
		return r
	}
	p := &plot{scenes: []func() activities.IncidentResult{first, second, scene(tocsin.IncidentResolved, 0)}}
	succeeded(t, play(t, p, workflows.IncidentInput{}, func(e *testsuite.TestWorkflowEnvironment) { env = e }))
	p.want(t, "0s step", "0s step", "0s inc_2 acknowledged by dana", "0s step")
}

// The Web UI's card shows the steps and what comes next, and no text of a producer's breaks
// its table.
func TestCardOfAnIncident(t *testing.T) {
	t.Parallel()
	first := scene(tocsin.IncidentOpen, 30*time.Minute)()
	first.Type = "custom.a|`b\n# c"
	p := &plot{scenes: []func() activities.IncidentResult{func() activities.IncidentResult { return first }, scene(tocsin.IncidentResolved, 0)}}
	var card string
	play(t, p, workflows.IncidentInput{}, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			v, err := env.QueryWorkflow("__temporal_workflow_metadata")
			var m sdk.WorkflowMetadata
			if err == nil {
				err = v.Get(&m)
			}
			if err != nil {
				t.Errorf("reading the card: %v", err)
			}
			card = m.GetCurrentDetails()
			for _, s := range m.GetDefinition().GetSignalDefinitions() {
				if s.GetDescription() == "" {
					t.Errorf("signal %s has no description", s.GetName())
				}
			}
		}, time.Minute)
	})
	for _, want := range []string{"| incident | `inc_1` |", "**open**", "| next | **escalate to `lead`** at 2026-11-20T09:30:00Z |", "| 1 | `soc` | `lead` | 30m |  |", "waiting", "| type | `custom.a¦'b # c` |"} {
		if !strings.Contains(card, want) {
			t.Errorf("the card lacks %s:\n%s", want, card)
		}
	}
}
