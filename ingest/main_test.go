package ingest_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Nothing may run on after the tests: an ingest that is closed has ended.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
