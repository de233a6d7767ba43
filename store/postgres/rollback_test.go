package postgres_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// failInserts makes the next n inserts into a table fail as the server itself would.
// The sequence that counts them is not rolled back.
func failInserts(t *testing.T, url, table, sqlState string, n int) {
	t.Helper()
	exec(t, url, `CREATE SEQUENCE failures_so_far`)
	exec(t, url, `CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF nextval('failures_so_far') <= TG_ARGV[1]::bigint THEN
				RAISE EXCEPTION 'made to fail' USING ERRCODE = TG_ARGV[0];
			END IF;
			RETURN NULL;
		END $$`)
	exec(t, url, `CREATE TRIGGER fail AFTER INSERT ON `+table+` FOR EACH STATEMENT EXECUTE FUNCTION fail('`+sqlState+`', `+strconv.Itoa(n)+`)`)
}

// TestRollback fails Append in its last statement in several ways: those that are for
// another's sake are tried again, and of the others nothing is left behind.
func TestRollback(t *testing.T) {
	for name, c := range map[string]struct {
		state string
		times int
		want  tocsin.Code // "" for success in the end
	}{
		"a deadlock, twice":              {"40P01", 2, ""},
		"a serialization failure, twice": {"40001", 2, ""},
		"deadlocks without end":          {"40P01", 9, tocsin.CodeUnavailable},
		"disk full":                      {"53100", 1, tocsin.CodeUnavailable},
		"shutting down":                  {"57P01", 1, tocsin.CodeUnavailable},
		"read-only standby":              {"25006", 1, tocsin.CodeUnavailable},
		"a bug":                          {"42883", 1, tocsin.CodeInternal},
	} {
		t.Run(name, func(t *testing.T) {
			url := pgtest.URL(t)
			db := open(t, url)
			w := storetest.MustCreate(t, db, "a")
			revision, _, err := db.ListWebhooks(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			failInserts(t, url, "ledger_deltas", c.state, c.times)
			batch := []tocsin.NewEvent{storetest.Owe(storetest.Event(1), w.ID)}
			answers, err := db.Append(t.Context(), revision, batch)
			if got := tocsin.CodeOf(err); got != c.want {
				t.Fatalf("got error %v with code %q, want code %q", err, got, c.want)
			}
			_, lookUp := db.Event(t.Context(), "storetest", storetest.Event(1).ID)
			if c.want == "" {
				if lookUp != nil || answers.Events[0] != tocsin.AppendedNew {
					t.Fatalf("got answers %v and error %v", answers, lookUp)
				}
			} else if !errors.Is(lookUp, tocsin.ErrNotFound) {
				t.Fatalf("after a rollback: got error %v, want %v", lookUp, tocsin.ErrNotFound)
			}
			storetest.CheckLedger(t, db)
		})
	}
}

// TestAppendWaitsForNobody: ingest goes on while everything that deliveries and
// changes of configuration update is locked.
func TestAppendWaitsForNobody(t *testing.T) {
	url := pgtest.URL(t)
	db := open(t, url)
	w := storetest.MustCreate(t, db, "a")
	storetest.MustOwe(t, db, 0, 2, w.ID)
	if asleep, err := db.Ring(t.Context(), []string{w.ID}); err != nil || len(asleep) != 1 {
		t.Fatalf("waking it: got %v, %v", asleep, err)
	}
	claimNext(t, db, w.ID)
	storetest.MustOwe(t, db, 2, 2, w.ID)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	_, err = conn.Exec(t.Context(), `BEGIN; SELECT FROM leases FOR UPDATE; SELECT FROM webhooks FOR UPDATE; SELECT FROM deliveries FOR UPDATE;
		SELECT FROM pending FOR UPDATE; SELECT FROM ledger FOR UPDATE; UPDATE config_revision SET revision = revision + 1`)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	revision, _, err := db.ListWebhooks(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Append(ctx, revision, []tocsin.NewEvent{storetest.Owe(storetest.Event(9), w.ID)}); err != nil {
		t.Errorf("appending: %v", err)
	}
	// Nor does ringing a webhook that is awake.
	if asleep, err := db.Ring(ctx, []string{w.ID}); err != nil || len(asleep) > 0 {
		t.Errorf("ringing: got %v, %v", asleep, err)
	}
}

// TestPrunedObligations are counted from the baseline that pruning leaves.
func TestPrunedObligations(t *testing.T) {
	url := pgtest.URL(t)
	db := open(t, url)
	w := storetest.MustCreate(t, db, "a")
	storetest.MustOwe(t, db, 0, 3, w.ID)
	c := claimNext(t, db, w.ID)
	o := tocsin.Outcome{DeliveryID: c.Delivery.ID, State: tocsin.DeliveryDelivered, Attempt: tocsin.Attempt{Number: 1}, Dead: map[int]string{0: "bad"}}
	if _, err := db.Advance(t.Context(), c.fence, tocsin.Step{Record: &o}); err != nil {
		t.Fatal(err)
	}
	before := storetest.CheckLedger(t, db)[w.ID]
	exec(t, url, `WITH gone AS (DELETE FROM delivery_events RETURNING fate)
		INSERT INTO ledger_baseline (webhook_id, delivered, dead)
		SELECT $1, count(*) FILTER (WHERE fate IS NULL), count(*) FILTER (WHERE fate = 'dead') FROM gone`, w.ID)
	if after := storetest.CheckLedger(t, db)[w.ID]; after != before {
		t.Errorf("got %+v after pruning, want %+v", after, before)
	}
}

// TestReplayStepRollsBack fails a step at each of its statements.
func TestReplayStepRollsBack(t *testing.T) {
	url := pgtest.URL(t)
	db := open(t, url)
	exec(t, url, `CREATE FUNCTION fail_at() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN RAISE EXCEPTION 'made to fail' USING ERRCODE = '53100'; END $$`)
	storetest.ReplayStepsFail(t, db, func(event string) func() {
		_, table, _ := strings.Cut(event, " ON ")
		exec(t, url, `CREATE TRIGGER fail_at AFTER `+event+` FOR EACH ROW EXECUTE FUNCTION fail_at()`)
		return func() { exec(t, url, `DROP TRIGGER fail_at ON `+table) }
	})
}

// TestReplayStepDeadlocks: a step that another transaction made fail is tried again, and
// counts once.
func TestReplayStepDeadlocks(t *testing.T) {
	url := pgtest.URL(t)
	db := open(t, url)
	w := storetest.MustCreate(t, db, "a")
	storetest.MustOwe(t, db, 0, 3)
	r, err := db.CreateReplay(t.Context(), tocsin.Replay{ReplaySelection: tocsin.ReplaySelection{WebhookID: w.ID, What: tocsin.ReplayMissing}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := db.ReplayCandidates(t.Context(), r.ReplaySelection, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	step := tocsin.ReplayStep{Done: true}
	for _, e := range c.Events {
		step.Owe = append(step.Owe, tocsin.Reowed{Seq: e.Seq})
	}
	failInserts(t, url, "ledger_deltas", "40P01", 2)
	if r, err = db.ReplayStep(t.Context(), r.ID, step); err != nil || r.Replayed != 3 || r.State != tocsin.ReplayDone {
		t.Fatalf("got %+v, %v; want 3 replayed", r, err)
	}
	want := tocsin.Balance{WebhookID: w.ID, Webhook: "a", Accepted: 3, Pending: 3}
	if got := storetest.CheckLedger(t, db)[w.ID]; got != want {
		t.Errorf("balance: got %+v, want %+v", got, want)
	}
}

// TestAppendWithRepeatsDeadlocks: what is decided about repeats is decided anew when the
// transaction is.
func TestAppendWithRepeatsDeadlocks(t *testing.T) {
	url := pgtest.URL(t)
	db := open(t, url)
	w := storetest.MustCreate(t, db, "a")
	batch := []tocsin.NewEvent{storetest.Owe(storetest.Event(0), w.ID), storetest.Owe(storetest.Event(7), w.ID)} // of one incident
	for i := range batch {
		batch[i].Event.Status, batch[i].Owed[0].RepeatAfter = tocsin.Firing, time.Hour
	}
	failInserts(t, url, "ledger_deltas", "40P01", 2)
	storetest.MustAppend(t, db, batch...)
	want := tocsin.Balance{WebhookID: w.ID, Webhook: "a", Accepted: 2, Pending: 1, Suppressed: 1}
	if got := storetest.CheckLedger(t, db)[w.ID]; got != want {
		t.Errorf("balance: got %+v, want %+v", got, want)
	}
}

// TestAppendWithIncidentsDeadlocks: what an event does to its incident is done once, however
// often the transaction begins anew.
func TestAppendWithIncidentsDeadlocks(t *testing.T) {
	url := pgtest.URL(t)
	db := open(t, url)
	w, lead := storetest.MustCreate(t, db, "a"), storetest.MustCreate(t, db, "lead")
	batch := []tocsin.NewEvent{storetest.Owe(storetest.Event(0), w.ID), storetest.Owe(storetest.Event(7), w.ID)} // of one incident
	for i := range batch {
		batch[i].Event.Status = tocsin.Firing
		batch[i].Owed[0].Escalate = []tocsin.Escalated{{Obligation: tocsin.Obligation{WebhookID: lead.ID}}}
	}
	failInserts(t, url, "incident_steps", "40P01", 2)
	storetest.MustAppend(t, db, batch...)
	i, _, err := db.Attend(t.Context(), tocsin.IncidentKey(batch[0].Event.DedupKey))
	if err != nil || i.Events != 2 || len(i.Steps) != 1 {
		t.Errorf("got %+v, %v; want two events and one step", i, err)
	}
	want := tocsin.Balance{WebhookID: lead.ID, Webhook: "lead", Accepted: 2, Pending: 2}
	if got := storetest.CheckLedger(t, db)[lead.ID]; got != want {
		t.Errorf("balance: got %+v, want %+v", got, want)
	}
}
