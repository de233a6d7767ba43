package activities_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Nothing may run on after the tests.
func TestMain(m *testing.M) {
	// PostgreSQL serves all tests and ends after them.
	const cluster = "github.com/tocsin-alerts/tocsin/store/postgres/pgtest.(*Cluster).Restart.func1"
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(cluster))
}
