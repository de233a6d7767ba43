package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
)

// ledgerMoves are what one transaction adds to the buckets of each webhook.
type ledgerMoves map[string]tocsin.Balance

func (m ledgerMoves) add(webhookID string, b tocsin.Balance) { m[webhookID] = m[webhookID].Add(b) }

// owed returns the webhooks with more pending than before.
func (m ledgerMoves) owed() (ids []string) {
	for id, b := range m {
		if b.Pending > 0 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// queue appends the deltas to the transaction that moves the state.
func (m ledgerMoves) queue(t *tx) { m.queueWith(t, 0) }

// queueWith is queue for what came in with so many new events. They go along with one of the
// deltas, and with one of their own, of nobody, only where there is none: the way in writes no
// row more than it did.
func (m ledgerMoves) queueWith(t *tx, events int) {
	var ids []string
	var columns [6][]int64
	for id, b := range m {
		if b == (tocsin.Balance{}) {
			continue
		}
		ids = append(ids, id)
		for i, n := range [...]int64{b.Accepted, b.Delivered, b.Pending, b.InFlight, b.Dead, b.Suppressed} {
			columns[i] = append(columns[i], n)
		}
	}
	switch {
	case events == 0 && len(ids) == 0:
		return
	case len(ids) == 0:
		t.queue(`INSERT INTO ledger_deltas (webhook_id, events) VALUES ('', $1)`, events)
		return
	}
	t.queue(`INSERT INTO ledger_deltas (webhook_id, accepted, delivered, pending, in_flight, dead, suppressed, events)
		SELECT d.webhook_id, d.accepted, d.delivered, d.pending, d.in_flight, d.dead, d.suppressed, CASE WHEN d.place = 1 THEN nullif($8::integer, 0) END
		FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
			WITH ORDINALITY AS d (webhook_id, accepted, delivered, pending, in_flight, dead, suppressed, place)`,
		ids, columns[0], columns[1], columns[2], columns[3], columns[4], columns[5], events)
}

// queueEnd appends the delta of an attempt that ended, with what it moved.
func (r *recording) queueEnd(t *tx, b tocsin.Balance) {
	t.queue(`INSERT INTO ledger_deltas (webhook_id, delivered, in_flight, dead, took, failed) VALUES ($1, $2, $3, $4, `+took("$5::timestamptz - $6::timestamptz")+`, $7)`,
		r.f.WebhookID, b.Delivered, b.InFlight, b.Dead, r.now, r.startedAt, !r.delivered)
}

// took is a duration in milliseconds, as far as a column holds it.
func took(interval string) string {
	return `least(greatest(0, extract(epoch FROM ` + interval + `) * 1000), 2147483647)::integer`
}

// bucketOf is the bucket of an obligation in delivery_events e of deliveries d, as the
// migration describes fates. A split delivery's events that are neither moved nor dead
// were delivered.
const bucketOf = `CASE
	WHEN e.fate = 'dead' THEN 'dead'
	WHEN e.fate IN ('delivered', 'again') THEN 'delivered'
	WHEN d.state IN ('ready', 'sending') THEN 'in_flight'
	WHEN d.state = 'dead' THEN 'dead'
	WHEN d.state = 'cancelled' THEN 'suppressed'
	ELSE 'delivered' END`

const readBalances = `
SELECT webhook_id, coalesce(name, ''), sum(accepted)::bigint, sum(delivered)::bigint, sum(pending)::bigint,
	sum(in_flight)::bigint, sum(dead)::bigint, sum(suppressed)::bigint
FROM (SELECT webhook_id, accepted, delivered, pending, in_flight, dead, suppressed FROM ledger
	UNION ALL SELECT webhook_id, accepted, delivered, pending, in_flight, dead, suppressed FROM ledger_deltas) AS rows
LEFT JOIN webhooks w ON w.id = webhook_id
WHERE webhook_id <> '' -- events that nobody is owed
GROUP BY webhook_id, name
ORDER BY coalesce(name, ''), webhook_id`

const recount = `
WITH counts AS (
	SELECT webhook_id, 'pending' AS bucket, count(*) AS n FROM pending GROUP BY 1
	UNION ALL SELECT webhook_id, 'suppressed', count(*) FROM suppressed GROUP BY 1
	UNION ALL SELECT d.webhook_id, ` + bucketOf + `, count(*)
		FROM delivery_events e JOIN deliveries d ON d.id = e.delivery_id
		WHERE e.fate IS DISTINCT FROM 'moved' GROUP BY 1, 2
	UNION ALL SELECT webhook_id, 'delivered', delivered FROM ledger_baseline
	UNION ALL SELECT webhook_id, 'dead', dead FROM ledger_baseline
	UNION ALL SELECT webhook_id, 'suppressed', suppressed FROM ledger_baseline
)
SELECT webhook_id, coalesce(name, ''), sum(n)::bigint,
	coalesce(sum(n) FILTER (WHERE bucket = 'delivered'), 0)::bigint, coalesce(sum(n) FILTER (WHERE bucket = 'pending'), 0)::bigint,
	coalesce(sum(n) FILTER (WHERE bucket = 'in_flight'), 0)::bigint, coalesce(sum(n) FILTER (WHERE bucket = 'dead'), 0)::bigint,
	coalesce(sum(n) FILTER (WHERE bucket = 'suppressed'), 0)::bigint
FROM counts LEFT JOIN webhooks w ON w.id = webhook_id
GROUP BY webhook_id, name
ORDER BY coalesce(name, ''), webhook_id`

// Balances implements [tocsin.Ledger].
func (db *DB) Balances(ctx context.Context) ([]tocsin.Balance, error) {
	rows, _ := db.pool.Query(ctx, readBalances) // CollectRows returns its error
	all, err := pgx.CollectRows(rows, scanBalance)
	return all, wrap("reading balances", err)
}

// Recount implements [tocsin.Ledger].
func (db *DB) Recount(ctx context.Context) (counted, recounted []tocsin.Balance, err error) {
	err = db.snapshot(ctx, "recounting the ledger", func(t *tx) error {
		collect(t.queue(readBalances), &counted, scanBalance)
		collect(t.queue(recount), &recounted, scanBalance)
		return t.flush(ctx)
	})
	return counted, recounted, err
}

func scanBalance(row pgx.CollectableRow) (b tocsin.Balance, err error) {
	err = row.Scan(&b.WebhookID, &b.Webhook, &b.Accepted, &b.Delivered, &b.Pending, &b.InFlight, &b.Dead, &b.Suppressed)
	return b, err
}

// foldChunk bounds the deltas of one transaction of Fold.
const foldChunk = 10_000

// fold moves deltas into the sums in one statement, so that every snapshot sees them
// in one of the two. A process that dies on it has folded nothing: the deltas stay, and the
// next one finds them. So what was folded is in the ledger and in the series, exactly once in
// each.
var fold = `
WITH gone AS (
	DELETE FROM ledger_deltas WHERE id IN (SELECT id FROM ledger_deltas ORDER BY id LIMIT $1)
	RETURNING id, webhook_id, accepted, delivered, pending, in_flight, dead, suppressed, at, events, took, failed
), sums AS (
	INSERT INTO ledger AS l (webhook_id, accepted, delivered, pending, in_flight, dead, suppressed)
	SELECT webhook_id, sum(accepted), sum(delivered), sum(pending), sum(in_flight), sum(dead), sum(suppressed)
	FROM gone WHERE webhook_id <> '' GROUP BY webhook_id
	ON CONFLICT (webhook_id) DO UPDATE SET accepted = l.accepted + excluded.accepted, delivered = l.delivered + excluded.delivered,
		pending = l.pending + excluded.pending, in_flight = l.in_flight + excluded.in_flight, dead = l.dead + excluded.dead,
		suppressed = l.suppressed + excluded.suppressed
), ` + foldActivity + `, ` + foldAttempts + `
SELECT count(*) FROM gone`

// foldLock is an arbitrary number that only Fold locks ("fold").
const foldLock = 0x666f6c64

// Fold implements [tocsin.Ledger]. Of concurrent calls, in any process, one folds and
// the others have nothing to do.
func (db *DB) Fold(ctx context.Context) error {
	for {
		var folded int64
		var ours bool
		err := db.transact(ctx, "folding the ledger", func(t *tx) error {
			t.one(nil, `SELECT pg_try_advisory_xact_lock($1)`, []any{int64(foldLock)}, &ours)
			if err := t.flush(ctx); err != nil || !ours {
				return err
			}
			t.one(nil, fold, []any{foldChunk}, &folded)
			return nil
		})
		if err != nil || !ours || folded < foldChunk {
			return err
		}
	}
}

// collect fills into with the rows of a queued query, from nothing.
func collect[T any](q *pgx.QueuedQuery, into *[]T, scan pgx.RowToFunc[T]) {
	q.Query(func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectRows(rows, scan)
		return err
	})
}
