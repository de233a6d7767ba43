package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
)

// lazily makes the commit of the transaction it is selected in not wait for the disk.
// It is for writes whose loss in a crash of the server does no harm.
const lazily = `set_config('synchronous_commit', 'off', true)`

// Most webhooks that are rung are awake. To see that is a look without a lock, and far
// cheaper than the update.
const asleepAmong = `SELECT webhook_id FROM leases WHERE webhook_id = ANY($1::text[]) AND NOT awake`

// ring locks in the order of ids, and only the rows that are asleep: a webhook that is
// awake costs no lock. A crash that forgets awake = true makes for one more signal.
const ring = `
UPDATE leases SET awake = true
WHERE webhook_id IN (
	SELECT webhook_id FROM leases WHERE webhook_id = ANY($1::text[]) AND NOT awake ORDER BY webhook_id FOR UPDATE)
RETURNING webhook_id, ` + lazily

// Ring implements [tocsin.EventLog]. Each of its statements is its own transaction: its
// snapshot is newer than whatever the caller committed. Hints go out first, to all: nobody
// listens for a webhook that is asleep.
func (db *DB) Ring(ctx context.Context, webhookIDs []string) ([]string, error) {
	if len(webhookIDs) == 0 {
		return nil, nil
	}
	db.hints.give(webhookIDs...)
	rows, _ := db.pool.Query(ctx, asleepAmong, webhookIDs) // CollectRows returns its error
	asleep, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(asleep) == 0 {
		return nil, wrap("ringing webhooks", err)
	}
	rows, _ = db.pool.Query(ctx, ring, asleep)
	asleep, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (id string, err error) {
		err = row.Scan(&id, nil)
		return id, err
	})
	return asleep, wrap("ringing webhooks", err)
}

// fenced checks the fence and locks the lease row, as the first statement of a
// transaction. It is a sign of life. What comes after sees all that was committed by
// those who held the lock before.
func (t *tx) fenced(held *bool, f tocsin.Fence) {
	var number int64
	t.one(held, `UPDATE leases SET seen_at = clock_timestamp() WHERE webhook_id = $1 AND fence = $2 RETURNING fence, `+byKey,
		[]any{f.WebhookID, f.Number}, &number, nil)
}

// owes is whether webhook w has pending events or open deliveries. Asking for the first
// in order, and not just whether one EXISTS, keeps the planner on the index: for the
// latter it may read all of pending, expecting to meet a row soon.
const owes = `(
	(SELECT p.seq FROM pending p WHERE p.webhook_id = w.id ORDER BY p.seq, p.generation LIMIT 1) IS NOT NULL
	OR (SELECT d.number FROM deliveries d WHERE d.webhook_id = w.id AND d.open ORDER BY d.number, d.path LIMIT 1) IS NOT NULL)`

// Rest implements [tocsin.Leases]. Each of its steps is committed before the next
// begins, so that a Ring either sees awake = false or has its work seen here.
func (db *DB) Rest(ctx context.Context, f tocsin.Fence) (bool, error) {
	asleep, err := db.fallAsleep(ctx, f)
	if err != nil || !asleep {
		return false, err
	}
	var owed bool
	err = db.pool.QueryRow(ctx, `SELECT `+owes+` FROM webhooks w WHERE w.id = $1`, f.WebhookID).Scan(&owed)
	if err != nil || !owed {
		return false, wrap("looking for owed work", notFound(err))
	}
	return db.wakeUp(ctx, f)
}

// fallAsleep commits awake = false, unless the webhook is in a state that holds.
func (db *DB) fallAsleep(ctx context.Context, f tocsin.Fence) (asleep bool, err error) {
	var held bool
	err = db.transact(ctx, "going idle", func(t *tx) error {
		t.fenced(&held, f)
		var id string
		t.one(&asleep, `UPDATE leases l SET awake = false, next_run_at = NULL FROM webhooks w
			WHERE w.id = l.webhook_id AND w.state IN ('active', 'failing') AND l.webhook_id = $1 AND l.fence = $2 RETURNING l.webhook_id`,
			[]any{f.WebhookID, f.Number}, &id)
		return nil
	})
	if err == nil && !held {
		err = tocsin.ErrFenced
	}
	return asleep, err
}

// wakeUp sets awake where it is still false and reports whether it did.
func (db *DB) wakeUp(ctx context.Context, f tocsin.Fence) (won bool, err error) {
	var held bool
	err = db.transact(ctx, "going on", func(t *tx) error {
		t.fenced(&held, f)
		var id string
		t.one(&won, `UPDATE leases SET awake = true WHERE webhook_id = $1 AND fence = $2 AND NOT awake RETURNING webhook_id`,
			[]any{f.WebhookID, f.Number}, &id)
		return nil
	})
	if err == nil && !held {
		err = tocsin.ErrFenced
	}
	return won, err
}
