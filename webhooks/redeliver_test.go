package webhooks_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// A webhook that waits for its tick is awake, and so is not rung: only the update tells
// it that a delivery was made ready again.
func TestRedeliverWakesAWebhookThatIsAwake(t *testing.T) {
	k := newKit(t)
	w := k.mustCreate(t, "digest", nil).Webhook
	k.owe(t, w.ID, "1")
	lease, err := k.store.Begin(t.Context(), w.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, pending, err := k.store.Owed(t.Context(), lease.Fence, time.Time{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.store.Advance(t.Context(), lease.Fence, tocsin.Step{Plan: []tocsin.NewDelivery{{ID: "dlv_1", Events: pending}}}); err != nil {
		t.Fatal(err)
	}
	c, err := k.store.Advance(t.Context(), lease.Fence, tocsin.Step{Claim: "dlv_1"})
	if err != nil {
		t.Fatal(err)
	}
	dead := tocsin.Outcome{DeliveryID: "dlv_1", State: tocsin.DeliveryDead, Reason: "422", Attempt: tocsin.Attempt{Number: c.Attempt}}
	if _, err := k.store.Advance(t.Context(), lease.Fence, tocsin.Step{Record: &dead}); err != nil {
		t.Fatal(err)
	}

	if err := k.Redeliver(t.Context(), "dlv_1"); err != nil {
		t.Fatalf("redelivering: %v", err)
	}
	if want := fmt.Sprintf("redeliver %s %d", w.ID, w.Version); !slices.Contains(k.conductor.calls, want) {
		t.Errorf("the conductor was told %q, want %q among it", k.conductor.calls, want)
	}
	if b := k.balance(t, w.ID); b.InFlight != 1 {
		t.Errorf("ledger %+v, want the event owed again", b)
	}
	if err := k.Redeliver(t.Context(), "dlv_1"); tocsin.CodeOf(err) != tocsin.CodeConflict {
		t.Errorf("redelivering what is owed already: %v, want a conflict", err)
	}
	if err := k.Redeliver(t.Context(), "dlv_none"); !errors.Is(err, tocsin.ErrNotFound) {
		t.Errorf("redelivering nothing: %v, want ErrNotFound", err)
	}
}
