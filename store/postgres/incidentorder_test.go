package postgres_test

import (
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/postgres"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// TestEndsAndEventsThatFireAreNumberedInTheirOrder: while one call waits for the key of
// another event, the next about the same incident must not overtake it and yet come later
// for those who are paged.
func TestEndsAndEventsThatFireAreNumberedInTheirOrder(t *testing.T) {
	t.Run("the end first", func(t *testing.T) { numberedInOrder(t, tocsin.Resolved, tocsin.Firing) })
	t.Run("the event that fires first", func(t *testing.T) { numberedInOrder(t, tocsin.Firing, tocsin.Resolved) })
}

func numberedInOrder(t *testing.T, first, second tocsin.Status) {
	url := pgtest.URL(t)
	db := open(t, url)
	w, pager := storetest.MustCreate(t, db, "a"), storetest.MustCreate(t, db, "pager")
	storetest.MustAppend(t, db, paging(0, "x", tocsin.Firing, w, pager))
	other, conn := storetest.Event(5), connect(t, url)
	for _, sql := range []string{"BEGIN", `INSERT INTO event_keys (source, id, fingerprint, seq, received_at)
		VALUES ('` + other.Source + `', '` + other.ID + `', '', nextval('event_seq'), now())`} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	waiting := locks(t, url)
	earlier := later(func() error {
		return appendTo(t, db, paging(1, "x", first, w, pager), storetest.Owe(other))
	})
	for waiting() < 1 {
	}
	done := make(chan error, 1)
	go func() { done <- appendTo(t, db, paging(2, "x", second, w, pager)) }()
	for len(done) == 0 && waiting() < 2 {
	}
	if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := earlier(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	all, _, err := db.ListIncidents(t.Context(), tocsin.IncidentQuery{Page: tocsin.Page{Limit: 5}})
	if err != nil {
		t.Fatal(err)
	}
	if last := lastOwed(t, db, pager.ID); (all[0].State == tocsin.IncidentResolved) != (last == tocsin.Resolved) {
		t.Errorf("the latest of %d incidents is %s, but the last that pager hears is %s", len(all), all[0].State, last)
	}
}

// paging is an event that fires and is owed to a webhook that escalates at once, or one
// that is resolved.
func paging(n int, key string, status tocsin.Status, from, to tocsin.Webhook) tocsin.NewEvent {
	e := storetest.Event(n)
	e.DedupKey, e.Status = key, status
	if status == tocsin.Resolved {
		o := storetest.Owe(e)
		o.Reach = []tocsin.Obligation{{WebhookID: to.ID}}
		return o
	}
	o := storetest.Owe(e, from.ID)
	o.Owed[0].Escalate = []tocsin.Escalated{{Obligation: tocsin.Obligation{WebhookID: to.ID}}}
	return o
}

// locks returns a function that counts the sessions which wait for a lock.
func locks(t *testing.T, url string) func() int {
	conn := connect(t, url)
	return func() (n int) {
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
}

// lastOwed is the status of the last event that is pending for a webhook.
func lastOwed(t *testing.T, db *postgres.DB, webhookID string) tocsin.Status {
	lease, err := db.Begin(t.Context(), webhookID)
	if err != nil {
		t.Fatal(err)
	}
	_, pending, err := db.Owed(t.Context(), lease.Fence, time.Time{}, 10)
	if err != nil || len(pending) == 0 {
		t.Fatalf("nothing is pending: %v, %v", pending, err)
	}
	e, err := db.EventBySeq(t.Context(), pending[len(pending)-1].Seq)
	if err != nil {
		t.Fatal(err)
	}
	return e.Status
}

// TestEventsThatFireAgainTouchNoIndex: an incident that is open while many events fire is
// updated in place.
func TestEventsThatFireAgainTouchNoIndex(t *testing.T) {
	url := pgtest.URL(t)
	db := open(t, url)
	w, pager := storetest.MustCreate(t, db, "a"), storetest.MustCreate(t, db, "pager")
	const events = 60
	for n := range events {
		storetest.MustAppend(t, db, paging(n, "x", tocsin.Firing, w, pager))
	}
	_ = db.Close() // it has told what it wrote
	conn := connect(t, url)
	alone(t, conn)
	var updated, hot int
	if err := conn.QueryRow(t.Context(), `SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'incidents'`).Scan(&updated, &hot); err != nil {
		t.Fatal(err)
	}
	if updated != events-1 || hot < updated*3/4 { // some go to another page
		t.Errorf("%d updates of one incident, %d of them without an index; want %d, and nearly all", updated, hot, events-1)
	}
}
