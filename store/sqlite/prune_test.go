package sqlite_test

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// TestPruneByAge: what is older goes, what is younger stays, row by row; remembered
// repeats go after 30 days.
func TestPruneByAge(t *testing.T) {
	const month = 30 * 24 * time.Hour
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	db := open(t, sqlite.Memory, sqlite.Options{Now: func() time.Time { return now }})
	w := storetest.MustCreate(t, db, "a")
	for i := range 2 {
		n := storetest.Owe(storetest.Event(i), w.ID)
		n.Owed[0].RepeatAfter = time.Hour
		storetest.MustAppend(t, db, n)
		finish(t, db, w.ID, map[string]string{storetest.Event(i).DedupKey: `1`, "used": `2`})
		muted := storetest.Owe(storetest.Event(i+10), w.ID)
		muted.Owed[0].Suppressed = tocsin.ReasonMuted
		storetest.MustAppend(t, db, muted)
		if _, err := db.BeginAudit(t.Context(), tocsin.AuditEntry{Actor: "a", Action: "b.c"}); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			now = now.Add(40 * 24 * time.Hour)
		}
	}
	r := tocsin.Retention{History: month, Keys: month, Audit: month, Refs: month}
	want := tocsin.Pruned{Deliveries: 1, Attempts: 1, Suppressed: 1, Events: 2, Keys: 2, Audit: 1, Refs: 2}
	if got, err := db.Prunable(t.Context(), r); err != nil || got != want {
		t.Errorf("prunable: got %+v, %v; want %+v", got, err, want)
	}
	if got, more, err := db.Prune(t.Context(), r, 100); err != nil || more || got != want {
		t.Errorf("pruned: got %+v, more %v, %v; want %+v", got, more, err, want)
	}
	storetest.CheckLedger(t, db)
}

// TestUsedReferenceStays: something is sent about an incident now and then, and the
// vendor never says its name again.
func TestUsedReferenceStays(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	db := open(t, sqlite.Memory, sqlite.Options{Now: func() time.Time { return now }})
	w := storetest.MustCreate(t, db, "a")
	for i := range 4 { // the same incident: every seventh event
		storetest.MustOwe(t, db, 7*i, 1, w.ID)
		refs := map[string]string{}
		if i == 0 {
			refs[storetest.Event(0).DedupKey], refs["unused"] = `"JIRA-1"`, `"JIRA-2"`
		}
		c := finish(t, db, w.ID, refs)
		if _, there := c.Refs[storetest.Event(0).DedupKey]; i > 0 && !there {
			t.Fatalf("after %d days the reference is gone", 20*i)
		}
		now = now.Add(20 * day)
		if _, _, err := db.Prune(t.Context(), tocsin.Retention{Refs: 30 * day}, 100); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := db.Prunable(t.Context(), tocsin.Retention{Refs: time.Hour}); err != nil || left.Refs != 1 {
		t.Errorf("got %+v, %v; want the used reference alone", left, err)
	}
}

// finish delivers what the webhook is owed.
func finish(t testing.TB, db *sqlite.DB, webhookID string, refs map[string]string) tocsin.Claimed {
	t.Helper()
	lease, err := db.Begin(t.Context(), webhookID)
	if err != nil {
		t.Fatal(err)
	}
	_, pending, err := db.Owed(t.Context(), lease.Fence, time.Time{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	id := tocsin.NewID(tocsin.PrefixDelivery)
	if _, err := db.Advance(t.Context(), lease.Fence, tocsin.Step{Plan: []tocsin.NewDelivery{{ID: id, Events: pending}}}); err != nil {
		t.Fatal(err)
	}
	c, err := db.Advance(t.Context(), lease.Fence, tocsin.Step{Claim: id})
	if err != nil {
		t.Fatal(err)
	}
	o := tocsin.Outcome{DeliveryID: id, State: tocsin.DeliveryDelivered, Attempt: tocsin.Attempt{Number: c.Attempt}, Refs: rawRefs(refs)}
	if _, err := db.Advance(t.Context(), lease.Fence, tocsin.Step{Record: &o}); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestPruneRollback fails the disk while Prune works: nothing is left half removed.
func TestPruneRollback(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "tocsin.db"), sqlite.Options{})
	w := storetest.MustCreate(t, db, "a")
	storetest.MustOwe(t, db, 0, 3, w.ID)
	finish(t, db, w.ID, nil)
	before := storetest.CheckLedger(t, db)[w.ID]
	if err := db.FailOn(t.Context(), "deliveries"); err != nil {
		t.Fatal(err)
	}
	if got, _, err := db.Prune(t.Context(), tocsin.Retention{History: time.Nanosecond}, 10); err == nil || got != (tocsin.Pruned{}) {
		t.Errorf("got %+v and error %v, want nothing and an error", got, err)
	}
	if after := storetest.CheckLedger(t, db)[w.ID]; after != before {
		t.Errorf("balance: got %+v, want %+v", after, before)
	}
	all, _, err := db.Deliveries(t.Context(), tocsin.DeliveryQuery{Page: tocsin.Page{Limit: 10}})
	if err != nil || len(all) != 1 {
		t.Fatalf("got %d deliveries, %v", len(all), err)
	}
	if _, attempts, events, err := db.Delivery(t.Context(), all[0].ID); err != nil || len(attempts) != 1 || len(events) != 3 {
		t.Errorf("got %d attempts, %d events, %v", len(attempts), len(events), err)
	}
}

func rawRefs(refs map[string]string) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for key, value := range refs {
		out[key] = json.RawMessage(value)
	}
	return out
}
