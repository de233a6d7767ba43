package postgres_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/postgres"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// TestRepeatGoesByTheLastReceived has two calls race: the one that received its event
// first decides last. That event is older than what is known of the incident, which it
// must not take back to "firing": when it fires again, that is no repeat.
func TestRepeatGoesByTheLastReceived(t *testing.T) {
	url := pgtest.URL(t)
	db := open(t, url)
	w := storetest.MustCreate(t, db, "a")
	incident := func(n int, status tocsin.Status) tocsin.NewEvent {
		e := storetest.Event(n)
		e.DedupKey, e.Status = "incident", status
		owed := storetest.Owe(e, w.ID)
		owed.Owed[0].RepeatAfter = time.Hour
		return owed
	}
	other := storetest.Event(9) // by whose key the first call is kept waiting
	g := &gate{t: t, conn: connect(t, url), see: connect(t, url)}
	g.run(g.conn, `BEGIN; INSERT INTO event_keys (source, id, seq, fingerprint, received_at) VALUES ('storetest', '`+other.ID+`', 999, '', now())`)
	first := later(func() error { return appendTo(t, db, incident(0, tocsin.Firing), storetest.Owe(other)) })
	g.waiting(1)
	appendSoon(t, db, incident(1, tocsin.Resolved))
	g.run(g.conn, `ROLLBACK`)
	if err := first(); err != nil {
		t.Fatal(err)
	}
	appendSoon(t, db, incident(2, tocsin.Firing))
	appendSoon(t, db, incident(3, tocsin.Firing))
	var got []string
	for n := range 4 {
		e, err := db.Event(t.Context(), "storetest", storetest.Event(n).ID)
		if err != nil {
			t.Fatal(err)
		}
		traces, err := db.Traces(t.Context(), e.Seq)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, traces[0].Bucket)
	}
	if diff := cmp.Diff([]string{"pending", "pending", "pending", "suppressed"}, got); diff != "" {
		t.Errorf("what became of them (-want +got):\n%s", diff)
	}
}

func appendTo(t *testing.T, db *postgres.DB, batch ...tocsin.NewEvent) error {
	revision, _, err := db.ListWebhooks(t.Context())
	if err == nil {
		_, err = db.Append(t.Context(), revision, batch)
	}
	return err
}
