package e2e_test

import (
	"testing"

	"github.com/tocsin-alerts/tocsin/devserver/devtest"
)

// tocsin-dev as a whole is killed while 2,000 events are under way: some delivered,
// most still pending. After the restart every
// acknowledged event is delivered, under the webhook-id it had, and the ledger balances.
func TestKill9OfEverythingLosesNothing(t *testing.T) {
	const events = 2000
	receiver := devtest.NewReceiver(t)
	d := devtest.StartDev(t, devtest.DevOptions{})
	d.MustCreate(map[string]any{
		"name": "killed", "channel": "webhook", "frequency": "instant", "batch_size": 10,
		"config": map[string]any{"url": receiver.URL("killed")},
	})
	receiver.Hold() // so that nothing is through before everything is acknowledged
	ids := d.MustSend(devtest.Events("custom.test", events)...)
	receiver.MustCount(1)
	receiver.Release()
	receiver.MustCount(20)
	d.Kill9()
	before := len(receiver.Delivered())
	d.Restart()
	receiver.MustGet(ids...)
	receiver.MustKeepIDs()
	b := d.MustSettle("killed")
	if b.Accepted != events || b.Delivered != events {
		t.Errorf("the ledger says %+v, want %d accepted and delivered", b, events)
	}
	if before >= events {
		t.Errorf("all events had been delivered before the kill: it showed nothing")
	}
	twice := 0
	for _, n := range receiver.Delivered() {
		if n > 1 {
			twice++
		}
	}
	t.Logf("%d of %d events were undelivered at the kill; lost 0, delivered twice under the same webhook-id %d", events-before, events, twice)
}
