package postgres_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// TestSearchGoesThroughAll: what no index finds is searched for in windows of 5000, and
// found wherever it lies, once each.
func TestSearchGoesThroughAll(t *testing.T) {
	db := open(t, pgtest.URL(t))
	revision, _, err := db.ListWebhooks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const n, size = 12_000, 3000
	var want []string
	for from := 0; from < n; from += size {
		batch := make([]tocsin.NewEvent, size)
		for i := range batch {
			e := storetest.Event(from + i)
			e.Subject, e.Title = "", "hay"
			if place := from + i; place == 0 || place == 1 || place == 6999 || place == 7000 || place == n-1 {
				e.Title = "a needle"
				want = append([]string{e.ID}, want...)
			}
			batch[i] = storetest.Owe(e)
		}
		if _, err := db.Append(t.Context(), revision, batch); err != nil {
			t.Fatal(err)
		}
	}
	for _, limit := range []int{1, 2, 3, 100} {
		q := tocsin.EventQuery{Page: tocsin.Page{Limit: limit}, Type: "custom.storetest", Text: "NEEDLE"}
		var got []string
		for pages := 0; ; pages++ {
			page, next, err := db.Events(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) > limit || pages > n {
				t.Fatalf("limit %d: a page of %d, after %d pages", limit, len(page), pages)
			}
			for _, e := range page {
				got = append(got, e.ID)
			}
			if q.Cursor = next; next == "" {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", fmt.Sprint("limit ", limit), diff)
		}
	}
}
