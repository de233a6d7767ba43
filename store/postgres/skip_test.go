package postgres_test

import (
	"slices"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// TestBeginningOfABacklog: numbers come to light out of order, and replays owe old ones anew.
// While the backlog is young, what comes to lie before its first event is seen by the next
// look, so that nothing of its incident overtakes it; of an old one, at the latest when no
// full window is left. All of it is found, and each look is in order.
func TestBeginningOfABacklog(t *testing.T) {
	for name, age := range map[string]string{"young": "0 seconds", "old": "10 minutes"} {
		t.Run(name, func(t *testing.T) {
			url := pgtest.URL(t)
			db := open(t, url)
			w := storetest.MustCreate(t, db, "a")
			owe := func(from, to int, generation int) {
				exec(t, url, `INSERT INTO pending (webhook_id, seq, generation, dedup_key, batch_key, bytes, owed_at)
					SELECT $1, n, $4, 'k', '', 1, clock_timestamp() - $5::text::interval FROM generate_series($2::integer, $3::integer) AS n`,
					w.ID, from, to, generation, age)
			}
			lease, err := db.Begin(t.Context(), w.ID)
			if err != nil {
				t.Fatal(err)
			}
			// look plans a window of 10 and returns its numbers.
			look := func() (seqs []int64) {
				t.Helper()
				_, pending, err := db.Owed(t.Context(), lease.Fence, time.Time{}, 10)
				if err != nil {
					t.Fatal(err)
				}
				if len(pending) == 0 {
					return nil
				}
				step := tocsin.Step{Plan: []tocsin.NewDelivery{{ID: tocsin.NewID(tocsin.PrefixDelivery), Events: pending}}}
				if _, err := db.Advance(t.Context(), lease.Fence, step); err != nil {
					t.Fatal(err)
				}
				for _, p := range pending {
					seqs = append(seqs, p.Seq)
				}
				if !slices.IsSorted(seqs) {
					t.Errorf("a window is %v", seqs)
				}
				return seqs
			}
			owe(101, 145, 0)
			all := look()
			owe(50, 51, 0) // a transaction that had its numbers before the others
			second := look()
			if name == "young" && !slices.Contains(second, 50) {
				t.Errorf("the second window is %v, without the late one", second)
			}
			all = append(all, second...)
			owe(110, 110, 1) // a replay
			for more := look(); len(more) > 0; more = look() {
				all = append(all, more...)
			}
			slices.Sort(all)
			want := []int64{50, 51}
			for n := int64(101); n <= 145; n++ {
				want = append(want, n)
				if n == 110 {
					want = append(want, n)
				}
			}
			if !slices.Equal(all, want) {
				t.Errorf("found %v, want %v", all, want)
			}
		})
	}
}
