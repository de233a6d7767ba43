package storetest

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tocsin-alerts/tocsin"
)

// CheckLedger fails the test unless every webhook's balance adds up, equals what a
// recount of rows finds, and is the same before and after Fold. It returns the
// balances by webhook id.
func CheckLedger(t testing.TB, s tocsin.Store) map[string]tocsin.Balance {
	t.Helper()
	before, err := s.Balances(t.Context())
	if err != nil {
		t.Fatalf("reading balances: %v", err)
	}
	checkRecount(t, s, before)
	if err := s.Fold(t.Context()); err != nil {
		t.Fatalf("folding: %v", err)
	}
	after, err := s.Balances(t.Context())
	if err != nil {
		t.Fatalf("reading balances: %v", err)
	}
	if diff := cmp.Diff(before, after, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("Fold changed balances (-before +after):\n%s", diff)
	}
	checkRecount(t, s, before)
	out := map[string]tocsin.Balance{}
	for _, b := range before {
		if b.Difference() != 0 {
			t.Fatalf("balance of %s differs by %d: %+v", b.Webhook, b.Difference(), b)
		}
		out[b.WebhookID] = b
	}
	return out
}

// checkRecount compares counters with rows.
func checkRecount(t testing.TB, s tocsin.Store, want []tocsin.Balance) {
	t.Helper()
	counted, recounted, err := s.Recount(t.Context())
	if err != nil {
		t.Fatalf("recounting: %v", err)
	}
	if diff := cmp.Diff(want, counted, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("Recount's counters differ from Balances (-balances +recount):\n%s", diff)
	}
	if diff := cmp.Diff(counted, recounted, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("rows differ from counters (-counters +rows):\n%s", diff)
	}
	if !slices.IsSortedFunc(want, func(a, b tocsin.Balance) int { return strings.Compare(a.Webhook, b.Webhook) }) {
		t.Fatalf("balances are not by name: %+v", want)
	}
}

// balance checks the whole ledger and compares one webhook's counters.
func (k *kit) balance(w tocsin.Webhook, want tocsin.Balance) {
	k.t.Helper()
	got := CheckLedger(k.t, k.s)[w.ID]
	want.WebhookID, want.Webhook = w.ID, w.Name
	if diff := cmp.Diff(want, got); diff != "" {
		k.t.Fatalf("balance of %s (-want +got):\n%s", w.Name, diff)
	}
}
