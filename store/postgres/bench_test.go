package postgres_test

import (
	"fmt"
	"sync/atomic"
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
	if err := db.Plan(t.Context(), f, []tocsin.NewDelivery{{ID: id, Events: pending}}); err != nil {
		t.Fatal(err)
	}
	c, err := db.Claim(t.Context(), f, id)
	if err != nil {
		t.Fatal(err)
	}
	return claimed{c, f}
}

// BenchmarkAppend appends batches of events owed to one webhook, from several
// goroutines; events/s is what counts.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 100, 500} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			db := open(b, pgtest.URL(b))
			w := storetest.MustCreate(b, db, "a")
			revision, _, err := db.ListWebhooks(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			var next atomic.Int64
			b.SetParallelism(4)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					from := int(next.Add(int64(size))) - size
					batch := make([]tocsin.NewEvent, size)
					for i := range batch {
						batch[i] = storetest.Owe(storetest.Event(from+i), w.ID)
					}
					if _, err := db.Append(b.Context(), revision, batch); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
		})
	}
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
		if err := db.Record(b.Context(), l.Fence, o); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*20)/b.Elapsed().Seconds(), "events/s")
}
