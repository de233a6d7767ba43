package app_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Nothing may run on after the tests: an app that is stopped has ended.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
