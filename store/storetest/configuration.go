package storetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

func (k *kit) refreshed(known tocsin.Configuration) tocsin.Configuration {
	k.t.Helper()
	c, err := k.s.Configuration(k.ctx, known)
	k.ok(err)
	return c
}

// configurationKnown changes everything that can change, one by one and all together.
func configurationKnown(k *kit) {
	changed, named, gone := k.webhook("b"), k.webhook("c"), k.webhook("d")
	k.webhook("e")
	first := k.configuration()
	k.same("nothing was changed", k.refreshed(first), first)
	known := first
	step := func(what string, change func() error) {
		k.t.Helper()
		k.ok(change())
		next := k.refreshed(known)
		if next.Revision == known.Revision {
			k.t.Fatalf("%s: the revision is still %d", what, known.Revision)
		}
		k.same("after "+what, next, k.configuration())
		known = next
	}
	before := slices.Clone(first.Webhooks)
	step("changing", func() error {
		changed.BatchSize = 7
		_, err := k.s.UpdateWebhook(k.ctx, changed)
		return err
	})
	step("naming", func() error {
		named.Name = "z"
		_, err := k.s.UpdateWebhook(k.ctx, named)
		return err
	})
	step("pausing", func() error { _, err := k.s.SetState(k.ctx, named.ID, tocsin.StatePaused, "by hand"); return err })
	step("deleting", func() error { _, err := k.s.SetState(k.ctx, gone.ID, tocsin.StateDeleted, ""); return err })
	step("creating", func() error { _, err := k.s.CreateWebhook(k.ctx, Webhook("a")); return err })
	step("taking the name of a deleted one", func() error { _, err := k.s.CreateWebhook(k.ctx, Webhook("d")); return err })
	step("muting", func() error { k.mute(0, time.Hour); return nil })
	k.same("all at once", k.refreshed(first), known)
	k.same("what was known is as it was", first.Webhooks, before)
}

// configurationRaced reads while others create: each revision has what belongs to it.
func configurationRaced(k *kit) {
	const creators, each = 3, 10
	k.webhook("first")
	first := k.configuration()
	var wg sync.WaitGroup
	for i := range creators {
		wg.Go(func() {
			for n := range each {
				if _, err := k.s.CreateWebhook(k.ctx, Webhook(fmt.Sprintf("%d-%d", i, n))); err != nil {
					k.t.Errorf("creating: %v", err)
				}
			}
		})
	}
	for known := first; known.Revision < first.Revision+creators*each && !k.t.Failed(); {
		known = k.refreshed(known)
		k.same("webhooks of this revision", int64(len(known.Webhooks)-1), known.Revision-first.Revision)
	}
	wg.Wait()
}
