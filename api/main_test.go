package api_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Nothing may run on after the tests. Connections of the default client end when their
// servers close.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
