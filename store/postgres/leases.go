package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
)

const begin = `
UPDATE leases l SET fence = l.fence + 1, applied_version = w.version, seen_at = clock_timestamp(),
	awake = l.awake OR w.state IN ('active', 'failing')
FROM webhooks w WHERE w.id = l.webhook_id AND l.webhook_id = $1
RETURNING l.fence, l.seen_at, l.run_cutoff, l.run_now, l.rejections, ` + activityColumns + `, ` + webhookColumns

// Begin implements [tocsin.Leases]. Awake is set before any look for work, and Rest is the
// only way back, so nobody who rings meanwhile is overlooked.
func (db *DB) Begin(ctx context.Context, webhookID string) (tocsin.Lease, error) {
	var lease tocsin.Lease
	var found bool
	err := db.transact(ctx, "beginning to deliver", func(t *tx) error {
		var n int
		t.one(&found, `SELECT 1 FROM leases WHERE webhook_id = $1 FOR UPDATE`, []any{webhookID}, &n)
		t.queue(begin, webhookID).QueryRow(func(row pgx.Row) error {
			l := tocsin.Lease{}
			webhook, finish := webhookTargets(&l.Webhook)
			targets := append([]any{&l.Number, &l.Now, &l.RunCutoff, &l.RunNow, &l.Rejections}, activityTargets(&l.Activity)...)
			err := row.Scan(append(targets, webhook...)...)
			if err == nil {
				err = finish()
			}
			if err != nil {
				return notFound(err)
			}
			l.WebhookID, l.Version = l.Webhook.ID, l.Webhook.Version
			lease = l
			return nil
		})
		return nil
	})
	return lease, err
}

// BeginRun implements [tocsin.Leases].
func (db *DB) BeginRun(ctx context.Context, f tocsin.Fence) (time.Time, error) {
	var cutoff time.Time
	err := db.pool.QueryRow(ctx, `UPDATE leases SET seen_at = clock_timestamp(), next_run_at = NULL,
			due_at = CASE WHEN run_now AND run_cutoff IS NULL THEN NULL ELSE due_at END,
			run_now = run_now AND run_cutoff IS NOT NULL, run_cutoff = coalesce(run_cutoff, clock_timestamp())
		WHERE webhook_id = $1 AND fence = $2 RETURNING run_cutoff`, f.WebhookID, f.Number).Scan(&cutoff)
	return cutoff, wrap("beginning a run", orFenced(err))
}

// EndRun implements [tocsin.Leases].
func (db *DB) EndRun(ctx context.Context, f tocsin.Fence) error {
	return db.lease(ctx, "ending a run", `UPDATE leases SET seen_at = clock_timestamp(), run_cutoff = NULL
		WHERE webhook_id = $1 AND fence = $2 RETURNING fence`, f.WebhookID, f.Number)
}

// Park implements [tocsin.Leases].
func (db *DB) Park(ctx context.Context, f tocsin.Fence, next time.Time) error {
	return db.lease(ctx, "waiting for the next tick", `UPDATE leases SET seen_at = clock_timestamp(), next_run_at = CASE WHEN run_now THEN NULL ELSE $3::timestamptz END
		WHERE webhook_id = $1 AND fence = $2 RETURNING fence`, f.WebhookID, f.Number, next)
}

// Announce implements [tocsin.Queue].
func (db *DB) Announce(ctx context.Context, f tocsin.Fence, level int) error {
	return db.lease(ctx, "noting an announcement", `UPDATE leases SET seen_at = clock_timestamp(), announced = $3
		WHERE webhook_id = $1 AND fence = $2 RETURNING fence`, f.WebhookID, f.Number, level)
}

// lease runs one statement that returns the fence it was made by.
func (db *DB) lease(ctx context.Context, doing, sql string, args ...any) error {
	var number int64
	return wrap(doing, orFenced(db.pool.QueryRow(ctx, sql, args...).Scan(&number)))
}

// orFenced turns "no rows" of a statement that names a fence into ErrFenced.
func orFenced(err error) error {
	if notFound(err) == tocsin.ErrNotFound {
		return tocsin.ErrFenced
	}
	return err
}

// RunNow implements [tocsin.Leases].
func (db *DB) RunNow(ctx context.Context, webhookID string) error {
	err := db.transact(ctx, "asking for a run", func(t *tx) error {
		if _, err := t.lock(ctx, webhookID); err != nil {
			return err
		}
		t.queue(`UPDATE leases SET run_now = true, due_at = NULL, next_run_at = NULL WHERE webhook_id = $1`, webhookID)
		return nil
	})
	if err == nil {
		db.hints.give(webhookID)
	}
	return err
}

// overdue reads all leases, which are few, and looks for owed work of those alone that
// the cheap conditions leave. Those that owe come first, since a great many new ones may
// wait for no more than to be looked at; then the longest unheard of.
const overdue = `
SELECT l.webhook_id FROM leases l JOIN webhooks w ON w.id = l.webhook_id
CROSS JOIN (SELECT clock_timestamp() - $1::interval AS at) AS past
WHERE l.applied_version < w.version AND w.updated_at < past.at
	OR w.state IN ('active', 'failing') AND l.seen_at < past.at
		AND (l.due_at IS NULL OR l.due_at < past.at) AND (l.next_run_at IS NULL OR l.next_run_at < past.at) AND ` + owes + `
	OR w.state = 'deleted' AND ` + owes + `
ORDER BY ` + owes + ` DESC, l.seen_at LIMIT $2`

// Overdue implements [tocsin.Leases].
func (db *DB) Overdue(ctx context.Context, grace time.Duration, limit int) ([]string, error) {
	rows, _ := db.pool.Query(ctx, overdue, grace, limit) // CollectRows returns its error
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return ids, wrap("looking for overdue webhooks", err)
}
