package postgres_test

import (
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/postgres"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// claimed is a delivery under way and the right to record it.
type claimed struct {
	tocsin.Claimed
	fence tocsin.Fence
}

// claimNext plans the webhook's pending events (at most 20) and claims the delivery.
func claimNext(t testing.TB, db *postgres.DB, webhookID string) claimed {
	t.Helper()
	l, err := db.Begin(t.Context(), webhookID)
	if err != nil {
		t.Fatal(err)
	}
	return claimWith(t, db, l.Fence)
}

func claimWith(t testing.TB, db *postgres.DB, f tocsin.Fence) claimed {
	t.Helper()
	_, pending, err := db.Owed(t.Context(), f, time.Time{}, 20)
	if err != nil {
		t.Fatal(err)
	}
	id := tocsin.NewID(tocsin.PrefixDelivery)
	if _, err := db.Advance(t.Context(), f, tocsin.Step{Plan: []tocsin.NewDelivery{{ID: id, Events: pending}}}); err != nil {
		t.Fatal(err)
	}
	c, err := db.Advance(t.Context(), f, tocsin.Step{Claim: id})
	if err != nil {
		t.Fatal(err)
	}
	return claimed{c, f}
}

// BenchmarkDeliver is what Deliver asks of the store for each delivery of 20 events:
// Owed, Plan, Claim, Record.
func BenchmarkDeliver(b *testing.B) {
	db := open(b, pgtest.URL(b))
	w := storetest.MustCreate(b, db, "a")
	for from := 0; from < 20*b.N; from += 1000 {
		storetest.MustOwe(b, db, from, 1000, w.ID)
	}
	l, err := db.Begin(b.Context(), w.ID)
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N { // not b.Loop: the events had to be there before
		c := claimWith(b, db, l.Fence)
		o := tocsin.Outcome{DeliveryID: c.Delivery.ID, State: tocsin.DeliveryDelivered, Attempt: tocsin.Attempt{Number: c.Attempt, Outcome: "delivered"}}
		if _, err := db.Advance(b.Context(), l.Fence, tocsin.Step{Record: &o}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*20)/b.Elapsed().Seconds(), "events/s")
}
