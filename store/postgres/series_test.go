package postgres_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
)

// TestPruneActivity: sums are kept for as long as a series may ask for them, whatever the
// retention is.
func TestPruneActivity(t *testing.T) {
	url := pgtest.URL(t)
	db := open(t, url)
	exec(t, url, `INSERT INTO activity SELECT step, date_trunc('hour', now()) - hours * interval '1 hour', '', hours, 0, 0, 0, 0, 0, 0
		FROM (VALUES (1), (15)) AS s (step), (VALUES (1), (2), (4), (5), (23), (70), (74)) AS h (hours)`)
	for more := true; more; {
		p, left, err := db.Prune(t.Context(), tocsin.Retention{}, 2)
		if err != nil || p != (tocsin.Pruned{}) {
			t.Fatalf("pruning: got %+v, %v", p, err)
		}
		more = left
	}
	for step, want := range map[int][]int64{1: {1, 2}, 15: {1, 2, 4, 5, 23, 70}} {
		rows, _ := connect(t, url).Query(t.Context(), `SELECT events FROM activity WHERE step = $1 ORDER BY events`, step)
		got, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("steps of %d minutes, by their age in hours (-want +got):\n%s", step, diff)
		}
	}
}
