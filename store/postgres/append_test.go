package postgres_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// variants are events that differ in what a row may lack, and in its last digits.
func variants(n int) (all []tocsin.NewEvent) {
	for i := range n {
		e := storetest.Event(n - i) // numbers do not follow the order of keys
		e.Time = e.Time.Add(time.Duration(i) * time.Nanosecond)
		switch i % 4 {
		case 1:
			e.Labels = nil
		case 2:
			e.Data = nil
		case 3:
			e.Data = json.RawMessage(`{"apart":true}`)
		}
		if i == 4 {
			e.Time = time.Date(1969, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
		}
		all = append(all, storetest.Owe(e))
	}
	return all
}

// TestManyAreStoredLikeOne: however many come at once, events and what is owed are what
// they were, and numbered in their order.
func TestManyAreStoredLikeOne(t *testing.T) {
	const n = 60
	for _, size := range []int{1, n} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			db := open(t, pgtest.URL(t))
			w := storetest.MustCreate(t, db, "a")
			revision, _, err := db.ListWebhooks(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			batch := variants(n)
			for i := range batch {
				batch[i].Owed = []tocsin.Obligation{{WebhookID: w.ID, BatchKey: fmt.Sprint("key ", i%2)}}
			}
			for part := range slices.Chunk(batch, size) {
				if _, err := db.Append(t.Context(), revision, part); err != nil {
					t.Fatal(err)
				}
			}
			owed := owedBySeq(t, db, w.ID)
			var last int64
			for i := range batch {
				want := batch[i].Event
				got, err := db.Event(t.Context(), want.Source, want.ID)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(tocsin.Event{}, "Seq", "ReceivedAt")); diff != "" {
					t.Errorf("event %d (-want +got):\n%s", i, diff)
				}
				if got.Seq <= last {
					t.Errorf("event %d has number %d, the one before %d", i, got.Seq, last)
				}
				last = got.Seq
				row := tocsin.PendingEvent{Seq: got.Seq, DedupKey: want.DedupKey, BatchKey: batch[i].Owed[0].BatchKey, Bytes: len(want.Raw), OwedAt: got.ReceivedAt}
				if diff := cmp.Diff(row, owed[got.Seq]); diff != "" {
					t.Errorf("owed for event %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

func owedBySeq(t *testing.T, db tocsin.Store, webhookID string) map[int64]tocsin.PendingEvent {
	t.Helper()
	l, err := db.Begin(t.Context(), webhookID)
	if err != nil {
		t.Fatal(err)
	}
	_, pending, err := db.Owed(t.Context(), l.Fence, time.Time{}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	all := map[int64]tocsin.PendingEvent{}
	for _, p := range pending {
		all[p.Seq] = p
	}
	return all
}
