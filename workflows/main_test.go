package workflows_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Nothing may run on after the tests.
func TestMain(m *testing.M) {
	// The SDK's test environment leaves an activity behind that waits for its retry when
	// the workflow ends, as one that is cut does.
	const env = "go.temporal.io/sdk/internal.(*testWorkflowEnvironmentImpl)."
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(env+"executeActivityWithRetryForTest"), goleak.IgnoreAnyFunction(env+"ExecuteActivity.func2"))
}
