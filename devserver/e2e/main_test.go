// Package e2e_test runs the real programs: events in, kill -9 in the middle, deliveries
// out.
package e2e_test

import (
	"testing"

	"github.com/tocsin-alerts/tocsin/devserver/devtest"
)

func TestMain(m *testing.M) { devtest.Main(m) }
