package storetest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// BenchmarkPrune removes 20,000 events that were delivered, in deliveries of 20, and
// 20,000 more behind as many that are still owed, while single events are appended. It
// reports rows/s of all kinds, and the latency of Append beside it and without it. open
// returns an empty store, migrated.
func BenchmarkPrune(b *testing.B, open func() tocsin.Store) {
	const n = 20_000
	old := tocsin.Retention{History: time.Nanosecond, Keys: time.Nanosecond}
	for b.Loop() {
		b.StopTimer()
		db := open()
		w, held := MustCreate(b, db, "a"), MustCreate(b, db, "held")
		for from := 0; from < n; from += 1000 {
			MustOwe(b, db, from, 1000, w.ID)
			MustOwe(b, db, n+from, 1000, held.ID)
		}
		deliverAll(b, db, w.ID)
		for from := 0; from < n; from += 1000 {
			MustOwe(b, db, 2*n+from, 1000)
		}
		alone := appending(b, db, 3*n, func() {}, 200)
		var rows int64
		var took time.Duration
		b.StartTimer()
		beside := appending(b, db, 4*n, func() {
			began := time.Now()
			for more := true; more; {
				var p tocsin.Pruned
				var err error
				if p, more, err = db.Prune(context.Background(), old, 10_000); err != nil {
					b.Error(err)
					return
				}
				rows += p.Deliveries + p.Attempts + p.Events + p.Keys + p.Deliveries*20
			}
			took = time.Since(began)
		}, 0)
		b.ReportMetric(float64(rows)/took.Seconds(), "rows/s")
		b.ReportMetric(float64(alone[len(alone)/2].Microseconds()), "alone-p50-µs")
		b.ReportMetric(float64(beside[len(beside)/2].Microseconds()), "beside-p50-µs")
		b.ReportMetric(float64(beside[len(beside)*99/100].Microseconds()), "beside-p99-µs")
	}
}

// appending appends single events until f returns, or at least so many, and returns how
// long each took, sorted.
func appending(b *testing.B, db tocsin.Store, from int, f func(), atLeast int) (took []time.Duration) {
	b.Helper()
	revision, _, err := db.ListWebhooks(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		f()
	})
	for i := 0; ; i++ {
		began := time.Now()
		if _, err := db.Append(b.Context(), revision, []tocsin.NewEvent{Owe(Event(from + i))}); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
		select {
		case <-done:
			if i >= atLeast {
				wg.Wait()
				slices.Sort(took)
				return took
			}
		default:
		}
	}
}

// deliverAll delivers what the webhook is owed, in deliveries of 20, many planned at once.
func deliverAll(b *testing.B, db tocsin.Store, webhookID string) {
	b.Helper()
	lease, err := db.Begin(b.Context(), webhookID)
	if err != nil {
		b.Fatal(err)
	}
	for {
		_, pending, err := db.Owed(b.Context(), lease.Fence, time.Time{}, 1000)
		if err != nil {
			b.Fatal(err)
		}
		if len(pending) == 0 {
			return
		}
		var batches []tocsin.NewDelivery
		for part := range slices.Chunk(pending, 20) {
			batches = append(batches, tocsin.NewDelivery{ID: tocsin.NewID(tocsin.PrefixDelivery), Events: part})
		}
		if _, err := db.Advance(b.Context(), lease.Fence, tocsin.Step{Plan: batches}); err != nil {
			b.Fatal(err)
		}
		for _, batch := range batches {
			c, err := db.Advance(b.Context(), lease.Fence, tocsin.Step{Claim: batch.ID})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := db.Advance(b.Context(), lease.Fence, tocsin.Step{Record: &tocsin.Outcome{
				DeliveryID: batch.ID, State: tocsin.DeliveryDelivered, Attempt: tocsin.Attempt{Number: c.Attempt},
			}}); err != nil {
				b.Fatal(err)
			}
		}
	}
}
