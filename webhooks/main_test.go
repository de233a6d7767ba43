package webhooks_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Nothing may run on after the tests. Kept connections of the channels' HTTP clients end
// when their receivers close.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
