package postgres_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/postgres"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// TestServerCrash: what was acknowledged survives a crash of the server, and what
// failed says that the store is unavailable and can be repeated.
func TestServerCrash(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{})
	db := open(t, server.Database(t))
	w := storetest.MustCreate(t, db, "a")
	storetest.MustOwe(t, db, 0, 10, w.ID)
	revision, _, err := db.ListWebhooks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := server.StopImmediate(); err != nil {
		t.Fatal(err)
	}
	next := []tocsin.NewEvent{storetest.Owe(storetest.Event(10), w.ID)}
	for name, call := range map[string]func() error{
		"Append":   func() error { _, err := db.Append(t.Context(), revision, next); return err },
		"Ring":     func() error { _, err := db.Ring(t.Context(), []string{w.ID}); return err },
		"Begin":    func() error { _, err := db.Begin(t.Context(), w.ID); return err },
		"Balances": func() error { _, err := db.Balances(t.Context()); return err },
		"Ping":     func() error { return db.Ping(t.Context()) },
		"Event":    func() error { _, err := db.Event(t.Context(), "storetest", "evt-000001"); return err },
	} {
		err := call()
		var e *tocsin.Error
		if !errors.As(err, &e) || e.Code != tocsin.CodeUnavailable || e.Err == nil {
			t.Errorf("%s with the server away: got %v (%[2]T), want code %q and a cause", name, err, tocsin.CodeUnavailable)
		}
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	storetest.MustAppend(t, db, next...)
	want := tocsin.Balance{WebhookID: w.ID, Webhook: "a", Accepted: 11, Pending: 11}
	if diff := cmp.Diff(want, storetest.CheckLedger(t, db)[w.ID]); diff != "" {
		t.Errorf("balance after the crash (-want +got):\n%s", diff)
	}
}

// TestOpenWithoutServer: a process may start before its database.
func TestOpenWithoutServer(t *testing.T) {
	db, err := postgres.Open(t.Context(), "postgres://nobody:hunter2@127.0.0.1:1/none?sslmode=disable", postgres.Options{})
	if err != nil {
		t.Fatalf("opening: %v", err)
	}
	defer db.Close()
	err = db.Ping(t.Context())
	if tocsin.CodeOf(err) != tocsin.CodeUnavailable {
		t.Errorf("got error %v, want code %q", err, tocsin.CodeUnavailable)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error shows the password: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, url := range map[string]string{"port": "postgres://u:hunter2@host:notaport/db", "option": "postgres://u:hunter2@host/db?pool_max_conns=many"} {
		_, err := postgres.Open(t.Context(), url, postgres.Options{})
		if err == nil {
			t.Errorf("%s: opened %s", name, url)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
	if _, err := postgres.Open(t.Context(), "postgres://host/db", postgres.Options{MaxConns: -1}); err == nil {
		t.Error("opened with -1 connections")
	}
}

// TestTextThatCannotBeStored names the event and the field; the rest of the batch is
// not written either.
func TestTextThatCannotBeStored(t *testing.T) {
	db := open(t, pgtest.URL(t))
	for name, spoil := range map[string]func(*tocsin.Event){
		"title":     func(e *tocsin.Event) { e.Title = "a\x00b" },
		"dedup_key": func(e *tocsin.Event) { e.DedupKey = "\xff" },
		"labels":    func(e *tocsin.Event) { e.Labels = map[string]string{"a": "\x00"} },
	} {
		bad := storetest.Event(1)
		spoil(&bad)
		_, err := db.Append(t.Context(), 1, []tocsin.NewEvent{storetest.Owe(storetest.Event(0)), storetest.Owe(bad)})
		var e *tocsin.Error
		if !errors.As(err, &e) || e.Code != tocsin.CodeInvalid || len(e.Fields) != 1 || e.Fields[0].Field != name || *e.Fields[0].Index != 1 {
			t.Errorf("%s: got %v, want it refused as field %s of event 1", name, err, name)
		}
	}
	if _, err := db.Event(t.Context(), "storetest", storetest.Event(0).ID); !errors.Is(err, tocsin.ErrNotFound) {
		t.Errorf("the event before it was written: %v", err)
	}
}

// TestOddOutcome: nothing in an error's text or a reference may keep an outcome from
// being recorded.
func TestOddOutcome(t *testing.T) {
	db := open(t, pgtest.URL(t))
	w := storetest.MustCreate(t, db, "a")
	storetest.MustOwe(t, db, 0, 1, w.ID)
	c := claimNext(t, db, w.ID)
	o := tocsin.Outcome{
		DeliveryID: c.Delivery.ID, State: tocsin.DeliveryDead, Reason: "bad\x00byte\xff",
		Attempt: tocsin.Attempt{Number: c.Attempt, Outcome: "permanent", Error: "\x00", Exchanges: []tocsin.Exchange{{ResponseBody: "\x00\xff"}}},
		Refs:    map[string]json.RawMessage{"incident-0": json.RawMessage("not JSON"), "incident-1": json.RawMessage(`"\u0000"`)},
	}
	if _, err := db.Advance(t.Context(), c.fence, tocsin.Step{Record: &o}); err != nil {
		t.Fatal(err)
	}
	d, attempts, _, err := db.Delivery(t.Context(), c.Delivery.ID)
	if err != nil {
		t.Fatal(err)
	}
	if d.State != tocsin.DeliveryDead || d.Reason != "bad\uFFFDbyte\uFFFD" || attempts[0].Exchanges[0].ResponseBody != "\x00\uFFFD" {
		t.Errorf("got %+v, %+v", d, attempts)
	}
}

// TestTimesAreUTC, whatever the machine's zone, and as fine as they came.
func TestTimesAreUTC(t *testing.T) {
	db := open(t, pgtest.URL(t))
	e := storetest.Event(1)
	e.Time = time.Date(2026, 3, 1, 10, 0, 0, 123456789, time.FixedZone("", 3600))
	storetest.MustAppend(t, db, storetest.Owe(e))
	got, err := db.Event(t.Context(), e.Source, e.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Time.Equal(e.Time) || got.Time.Location() != time.UTC || got.ReceivedAt.Location() != time.UTC {
		t.Errorf("got %v received at %v, want %v in UTC", got.Time, got.ReceivedAt, e.Time)
	}
	w := storetest.MustCreate(t, db, "a")
	l, err := db.Begin(t.Context(), w.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Time{w.CreatedAt, w.StateSince, l.Now} {
		if at.Location() != time.UTC {
			t.Errorf("%v is not in UTC", at)
		}
	}
}

// TestSessions: whatever the server's defaults are, a commit is on disk, and a session that
// is left in the middle of a transaction (its process frozen, or cut off) gives up its locks.
func TestSessions(t *testing.T) {
	url := pgtest.URL(t)
	exec(t, url, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$`)
	db := open(t, url)
	w := storetest.MustCreate(t, db, "a")
	exec(t, url, `CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF current_setting('synchronous_commit') = 'off' THEN RAISE EXCEPTION 'this commit would not be on disk'; END IF;
		IF current_setting('idle_in_transaction_session_timeout') = '0' THEN RAISE EXCEPTION 'this session would keep its locks'; END IF;
		RETURN NULL; END $$`)
	exec(t, url, `CREATE TRIGGER look AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION look()`)
	storetest.MustOwe(t, db, 0, 1, w.ID)
}
