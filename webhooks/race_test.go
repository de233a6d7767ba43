package webhooks_test

import (
	"context"
	"testing"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/webhooks"
)

// before is a store where something else happens just before a Begin.
type before struct {
	tocsin.Store
	do func()
}

func (b *before) Begin(ctx context.Context, id string) (tocsin.Lease, error) {
	if do := b.do; do != nil {
		b.do = nil
		do()
	}
	return b.Store.Begin(ctx, id)
}

// Two people resume at once, with on_resume: discard. What arrives after the first
// answer came to an active webhook, and is not the second one's to discard.
func TestASecondResumeDiscardsNothing(t *testing.T) {
	var race *before
	k := newKit(t, func(c *webhooks.Config) {
		race = &before{Store: c.Store}
		c.Store = race
	})
	id := k.mustCreate(t, "soc", map[string]any{"on_resume": "discard"}).Webhook.ID
	if _, err := k.Pause(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	race.do = func() {
		if _, err := k.Resume(t.Context(), id); err != nil {
			t.Errorf("the other's resume: %v", err)
		}
		k.owe(t, id, "after-the-resume")
	}
	if _, err := k.Resume(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if b := k.balance(t, id); b.Suppressed != 0 {
		t.Errorf("ledger %+v: an event of an active webhook was discarded", b)
	}
}
