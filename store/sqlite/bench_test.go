package sqlite_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// BenchmarkAppend appends batches owed to one webhook, flushed to disk each.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 100, 500} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			db := open(b, filepath.Join(b.TempDir(), "tocsin.db"), sqlite.Options{})
			w := storetest.MustCreate(b, db, "a")
			revision, _, err := db.ListWebhooks(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			n := 0
			for b.Loop() {
				batch := make([]tocsin.NewEvent, size)
				for i := range batch {
					batch[i] = storetest.Owe(storetest.Event(n), w.ID)
					n++
				}
				if _, err := db.Append(b.Context(), revision, batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkDeliver takes a backlog through Owed, Plan, Claim and Record.
func BenchmarkDeliver(b *testing.B) {
	for _, size := range []int{1, 20} {
		b.Run(fmt.Sprintf("batches of %d", size), func(b *testing.B) {
			db := open(b, filepath.Join(b.TempDir(), "tocsin.db"), sqlite.Options{})
			w := storetest.MustCreate(b, db, "a")
			lease, err := db.Begin(b.Context(), w.ID)
			if err != nil {
				b.Fatal(err)
			}
			n, left := 0, 0
			for b.Loop() {
				if left < size {
					b.StopTimer()
					storetest.MustOwe(b, db, n+left, 1000-left, w.ID)
					left = 1000
					b.StartTimer()
				}
				deliver(b, db, lease.Fence, size)
				n, left = n+size, left-size
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// deliver sends one delivery of the given size.
func deliver(b *testing.B, db *sqlite.DB, f tocsin.Fence, size int) {
	b.Helper()
	_, pending, err := db.Owed(b.Context(), f, time.Time{}, size)
	if err != nil {
		b.Fatal(err)
	}
	id := tocsin.NewID(tocsin.PrefixDelivery)
	if _, err := db.Advance(b.Context(), f, tocsin.Step{Plan: []tocsin.NewDelivery{{ID: id, Events: pending}}}); err != nil {
		b.Fatal(err)
	}
	c, err := db.Advance(b.Context(), f, tocsin.Step{Claim: id})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := db.Advance(b.Context(), f, tocsin.Step{Record: &tocsin.Outcome{
		DeliveryID: id, State: tocsin.DeliveryDelivered, Attempt: tocsin.Attempt{Number: c.Attempt, Outcome: "delivered"},
	}}); err != nil {
		b.Fatal(err)
	}
}
