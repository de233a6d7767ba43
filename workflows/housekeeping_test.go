package workflows_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
	"github.com/tocsin-alerts/tocsin/workflows"
)

// household runs the housekeeping with activities of which some fail, by name.
func household(t *testing.T, fail map[string]bool) (*testsuite.TestWorkflowEnvironment, map[string]int) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.RegisterWorkflow(workflows.Housekeeping)
	ran := map[string]int{}
	var mu sync.Mutex // the activities run at the same time
	chore := func(name string) error {
		mu.Lock()
		defer mu.Unlock()
		ran[name]++
		if fail[name] {
			return errors.New(name + " is broken")
		}
		return nil
	}
	register := func(name string, do any) {
		env.RegisterActivityWithOptions(do, activity.RegisterOptions{Name: name})
	}
	register("Prune", func(context.Context) (activities.PruneResult, error) {
		return activities.PruneResult{Pruned: tocsin.Pruned{Events: 7}}, chore("Prune")
	})
	register("RotateKeys", func(context.Context) error { return chore("RotateKeys") })
	env.ExecuteWorkflow(workflows.Housekeeping)
	return env, ran
}

func TestHousekeepingDoesEverything(t *testing.T) {
	t.Parallel()
	env, ran := household(t, nil)
	var out workflows.HousekeepingResult
	if err := env.GetWorkflowResult(&out); err != nil {
		t.Fatal(err)
	}
	if out.Pruned.Events != 7 || ran["RotateKeys"] != 1 {
		t.Errorf("got %+v, ran %v", out, ran)
	}
}

// Whatever fails, the rest is done, and the error says what failed.
func TestHousekeepingGoesOnWhenAChoreFails(t *testing.T) {
	t.Parallel()
	chores := []string{"Prune", "RotateKeys"}
	for _, broken := range chores {
		env, ran := household(t, map[string]bool{broken: true})
		var failed *temporal.ApplicationError
		if err := env.GetWorkflowError(); !errors.As(err, &failed) || failed.Type() != workflows.HousekeepingFailed || !strings.Contains(err.Error(), broken+" is broken") {
			t.Errorf("with a broken %s got %v", broken, err)
			continue
		}
		var out workflows.HousekeepingResult
		if err := failed.Details(&out); err != nil || broken != "Prune" && out.Pruned.Events != 7 {
			t.Errorf("details are %+v (%v)", out, err)
		}
		for _, name := range chores {
			if want := map[bool]int{true: 3, false: 1}[name == broken]; ran[name] != want {
				t.Errorf("with a broken %s, %s ran %d times, want %d", broken, name, ran[name], want)
			}
		}
	}
}
