package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/postgres"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// TestIncidentsOfManyProcesses: however events, people and steps meet, none deadlocks,
// which trying again would hide.
func TestIncidentsOfManyProcesses(t *testing.T) {
	url := pgtest.URL(t)
	a, b := open(t, url), open(t, url)
	storetest.IncidentStorm(t, a, b)
	// Sessions tell what they counted when they end.
	_, _ = a.Close(), b.Close()
	conn := connect(t, url)
	alone(t, conn)
	var deadlocks int
	if err := conn.QueryRow(t.Context(), `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&deadlocks); err != nil {
		t.Fatal(err)
	}
	if deadlocks > 0 {
		t.Errorf("%d deadlocks", deadlocks)
	}
}

// TestIncidentKeysAreForgotten: nothing stays of a key whose incidents are gone, or were
// never opened.
func TestIncidentKeysAreForgotten(t *testing.T) {
	url := pgtest.URL(t)
	db := open(t, url)
	w, lead := storetest.MustCreate(t, db, "a"), storetest.MustCreate(t, db, "lead")
	fires := func(n int, key string, repeatAfter time.Duration) tocsin.NewEvent {
		e := storetest.Event(n)
		e.DedupKey, e.Status = key, tocsin.Firing
		owed := storetest.Owe(e, w.ID)
		owed.Owed[0].RepeatAfter = repeatAfter
		owed.Owed[0].Escalate = []tocsin.Escalated{{Obligation: tocsin.Obligation{WebhookID: lead.ID, RepeatAfter: time.Hour}}}
		return owed
	}
	first := fires(0, "never", time.Hour)
	first.Owed[0].Escalate = nil
	storetest.MustAppend(t, db, first)
	again := fires(0, "never", time.Hour) // known already: it opens none
	storetest.MustAppend(t, db, again)
	storetest.MustAppend(t, db, again, fires(2, "over", 0), fires(3, "open", 0))
	end := storetest.Event(4)
	end.DedupKey, end.Status = "over", tocsin.Resolved
	storetest.MustAppend(t, db, storetest.Owe(end))
	count := func(sql string) (n int) {
		if err := connect(t, url).QueryRow(t.Context(), sql).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count(`SELECT count(*) FROM incident_keys`); n != 2 {
		t.Errorf("%d keys of incidents, want those of two", n)
	}
	if n := count(`SELECT count(*) FROM repeats`); n != 3 {
		t.Errorf("%d remembered events, want one of never, and one for lead of over and open", n)
	}
	for more := true; more; {
		var err error
		if _, more, err = db.Prune(t.Context(), tocsin.Retention{History: time.Nanosecond}, 10); err != nil {
			t.Fatal(err)
		}
	}
	if n, steps := count(`SELECT count(*) FROM incident_keys`), count(`SELECT count(*) FROM incident_steps`); n != 1 || steps != 1 {
		t.Errorf("after pruning: %d keys of incidents and %d steps, want one of each", n, steps)
	}
}

// TestAppendAsksForIncidentsOnce: who escalates nothing does not pay for it. Batches look
// at no table of incidents, and once when they hold events that are resolved.
func TestAppendAsksForIncidentsOnce(t *testing.T) {
	url := pgtest.URL(t)
	conn := connect(t, url)
	for round, c := range []struct {
		status tocsin.Status
		want   int
	}{{tocsin.Firing, 0}, {tocsin.Resolved, 5}} {
		db := open(t, url)
		w := storetest.MustCreate(t, db, string(c.status))
		_ = db.Close() // it has told what it read
		alone(t, conn)
		if _, err := conn.Exec(t.Context(), `SELECT pg_stat_reset()`); err != nil {
			t.Fatal(err)
		}
		db = open(t, url)
		for n := range 5 {
			var batch []tocsin.NewEvent
			for i := range 10 {
				e := storetest.Event(100*round + 10*n + i)
				e.DedupKey, e.Status = "x", c.status
				batch = append(batch, storetest.Owe(e, w.ID))
			}
			storetest.MustAppend(t, db, batch...)
		}
		_ = db.Close()
		alone(t, conn)
		var scans int
		if err := conn.QueryRow(t.Context(), `SELECT coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0) FROM pg_stat_user_tables
			WHERE relname IN ('incidents', 'incident_steps', 'incident_keys')`).Scan(&scans); err != nil {
			t.Fatal(err)
		}
		if scans != c.want {
			t.Errorf("5 batches of events that are %s: %d scans for incidents, want %d", c.status, scans, c.want)
		}
	}
}

// TestEscalateWaitsForTheIncident: while an end is being committed a step waits, and then
// finds that it is skipped.
func TestEscalateWaitsForTheIncident(t *testing.T) {
	url := pgtest.URL(t)
	db := open(t, url)
	w, lead := storetest.MustCreate(t, db, "a"), storetest.MustCreate(t, db, "lead")
	e := storetest.Event(0)
	e.DedupKey, e.Status = "x", tocsin.Firing
	owed := storetest.Owe(e, w.ID)
	owed.Owed[0].Escalate = []tocsin.Escalated{{Obligation: tocsin.Obligation{WebhookID: lead.ID}, After: time.Microsecond}}
	storetest.MustAppend(t, db, owed)
	i, _, err := db.Attend(t.Context(), tocsin.IncidentKey("x"))
	if err != nil {
		t.Fatal(err)
	}
	g := closeGate(t, url, "AFTER", "UPDATE", "incidents")
	end := storetest.Event(1)
	end.DedupKey, end.Status = "x", tocsin.Resolved
	ended := later(func() error { return appendTo(t, db, storetest.Owe(end)) })
	g.waiting(1)
	var got tocsin.Incident
	escalated := later(func() (err error) {
		got, err = db.Escalate(t.Context(), i.ID, i.Steps[0].ID, i.Seq, tocsin.Obligation{WebhookID: lead.ID}, "")
		return err
	})
	g.waiting(2)
	g.open()
	if err := ended(); err != nil {
		t.Fatal(err)
	}
	if err := escalated(); err != nil {
		t.Fatal(err)
	}
	if s := got.Steps[0]; s.State != tocsin.StepSkipped || s.Reason != "resolved" {
		t.Errorf("the step is %s: %q, want it skipped", s.State, s.Reason)
	}
	if b := storetest.CheckLedger(t, db)[lead.ID]; b.Accepted != 0 {
		t.Errorf("lead is owed %+v", b)
	}
}

// manyIncidents is a store in use: forty thousand incidents that are over and two thousand
// that are not, with three steps each; of these, a few nobody has seen or attends to.
const manyIncidents = `
WITH n AS MATERIALIZED (
	SELECT n, encode(substr(sha256(convert_to('k' || n % 21000, 'UTF8')), 1, 16), 'hex') AS key, CASE WHEN n <= 40000 THEN 'resolved' ELSE 'open' END AS state,
		timestamptz '2026-01-01Z' + n * interval '1 second' AS at FROM generate_series(1, 42000) AS n
), k AS (
	INSERT INTO incident_keys SELECT DISTINCT key FROM n
), i AS (
	INSERT INTO incidents (id, key, dedup_key, state, type, title, subject, seq, severity, events, opened_at, updated_at, resolved_at, version, attended, unseen_since)
	SELECT 'inc_' || n, key, 'k' || n % 21000, state, 't', '', '', n, 3, 1, at, at, CASE WHEN state = 'resolved' THEN at END, 2, 2, CASE WHEN n % 4000 = 0 THEN at END FROM n
)
INSERT INTO incident_steps (incident_id, webhook_id, to_id, after_ns, unless, state, reason, due_at, done_at)
SELECT 'inc_' || n, $1, $1, step, '', CASE WHEN step > 1 THEN 'done' WHEN state = 'resolved' THEN 'skipped' ELSE 'waiting' END, '',
	CASE WHEN n % 100 = 0 THEN at ELSE now() + interval '1 hour' END, CASE WHEN step > 1 THEN at END FROM n, generate_series(1, 3) AS step`

// TestIncidentsAreReadByIndex does all that is done with incidents, often enough for the
// server to plan once for all. Nothing may read a table from its beginning.
func TestIncidentsAreReadByIndex(t *testing.T) {
	url := pgtest.URL(t)
	db := open(t, url)
	w := storetest.MustCreate(t, db, "a")
	exec(t, url, manyIncidents, w.ID)
	exec(t, url, `ANALYZE`)
	_ = db.Close()
	conn := connect(t, url)
	alone(t, conn) // see TestReplayReadsItsWindow
	if _, err := conn.Exec(t.Context(), `SELECT pg_stat_reset()`); err != nil {
		t.Fatal(err)
	}
	reader := open(t, url)
	const rounds = 12
	for n := range rounds {
		useIncidents(t, reader, w.ID, n)
	}
	_ = reader.Close()
	alone(t, conn)
	var scans, fetched int64
	var scanned string
	if err := conn.QueryRow(t.Context(), `SELECT coalesce(sum(seq_scan), 0), coalesce(sum(idx_tup_fetch), 0), coalesce(string_agg(relname, ' ') FILTER (WHERE seq_scan > 0), 'none')
		FROM pg_stat_user_tables WHERE relname IN ('incidents', 'incident_steps', 'incident_keys')`).Scan(&scans, &fetched, &scanned); err != nil {
		t.Fatal(err)
	}
	if scans > 0 || fetched == 0 || fetched > rounds*2500 {
		t.Errorf("%d scans of whole tables (%s), %d rows fetched by indexes; want none, and 1 to %d", scans, scanned, fetched, rounds*2500)
	}
}

// useIncidents calls everything once, for incidents of its own.
func useIncidents(t *testing.T, db *postgres.DB, webhookID string, round int) {
	t.Helper()
	ctx := t.Context()
	key := func(n int) string { return fmt.Sprint("k", 19001+100*round+n) } // of 40001+100*round+n
	var batch []tocsin.NewEvent
	for n := range 40 {
		e := storetest.Event(1000*round + n)
		e.DedupKey, e.Status = key(n), []tocsin.Status{tocsin.Firing, tocsin.Resolved}[n%2]
		if n >= 20 {
			e.DedupKey = fmt.Sprint("none ", round, n)
		}
		owed := storetest.Owe(e, webhookID)
		owed.Owed[0].Escalate = []tocsin.Escalated{{Obligation: tocsin.Obligation{WebhookID: webhookID}, After: time.Hour}}
		batch = append(batch, owed)
	}
	err := appendTo(t, db, batch...)
	page := tocsin.Page{Limit: 10}
	for what, call := range map[string]func() error{
		"Append":        func() error { return err },
		"Attend":        func() error { _, _, err := db.Attend(ctx, tocsin.IncidentKey(key(0))); return err },
		"Incident":      func() error { _, err := db.Incident(ctx, "inc_41000"); return err },
		"ListIncidents": func() error { _, _, err := db.ListIncidents(ctx, tocsin.IncidentQuery{Page: page}); return err },
		"of a key": func() error {
			_, _, err := db.ListIncidents(ctx, tocsin.IncidentQuery{Page: page, DedupKey: key(0)})
			return err
		},
		"that are open": func() error {
			_, _, err := db.ListIncidents(ctx, tocsin.IncidentQuery{Page: page, State: "open"})
			return err
		},
		"Unattended": func() error { _, err := db.Unattended(ctx, time.Minute, 10); return err },
		"Prune":      func() error { _, _, err := db.Prune(ctx, tocsin.Retention{History: time.Hour}, 10); return err },
		"Escalate": func() error {
			i, err := db.Incident(ctx, fmt.Sprint("inc_", 40099+100*round))
			if err == nil {
				_, err = db.Escalate(ctx, i.ID, i.Steps[0].ID, i.Seq, tocsin.Obligation{WebhookID: webhookID}, "")
			}
			return err
		},
	} {
		if err := call(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
}
