// Package devtest runs the real programs as real processes for tests: it builds
// tocsin-dev, tocsin and tocsin-worker once per test run, starts them on free ports with
// their output captured, waits until they are ready, and kills or stops them. A Receiver
// records what they deliver.
//
//	func TestMain(m *testing.M) { devtest.Main(m) }
//
//	func TestKill(t *testing.T) {
//		receiver := devtest.NewReceiver(t)
//		dev := devtest.StartDev(t, devtest.DevOptions{})
//		dev.MustCreate(map[string]any{"name": "w", "channel": "webhook", "frequency": "instant",
//			"config": map[string]any{"url": receiver.URL("w")}})
//		ids := dev.MustSend(devtest.Events("custom.test", 2000)...)
//		dev.Kill9()
//		dev.Restart()
//		receiver.MustGet(ids...)
//	}
//
// Nothing here sleeps for a fixed time: everything waits for a condition, and fails the
// test with the processes' output when it takes longer than Patience.
package devtest

import (
	"context"
	"testing"
	"time"
)

// Patience is how long anything may take before it counts as a failure.
const Patience = 2 * time.Minute

// Until polls cond until it returns nil. After Patience it fails the test with cond's
// last error.
func Until(t testing.TB, what string, cond func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := cond()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v", what, err)
		case <-tick.C:
		}
	}
}
