package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
)

// allBalances are the sums by webhook, of what is folded and what is not.
const allBalances = `
SELECT webhook_id, sum(accepted)::bigint AS accepted, sum(delivered)::bigint AS delivered, sum(pending)::bigint AS pending,
	sum(in_flight)::bigint AS in_flight, sum(dead)::bigint AS dead, sum(suppressed)::bigint AS suppressed
FROM (SELECT webhook_id, accepted, delivered, pending, in_flight, dead, suppressed FROM ledger
	UNION ALL SELECT webhook_id, accepted, delivered, pending, in_flight, dead, suppressed FROM ledger_deltas) AS rows
GROUP BY webhook_id`

// oldestOwed is since when the first of what a webhook s.webhook_id owes waits. It looks at
// the first row of two indexes, and only where something is owed.
const oldestOwed = `least(
	CASE WHEN s.pending > 0 THEN (SELECT p.owed_at FROM pending p WHERE p.webhook_id = s.webhook_id ORDER BY p.seq, p.generation LIMIT 1) END,
	CASE WHEN s.in_flight > 0 THEN (SELECT d.created_at FROM deliveries d WHERE d.webhook_id = s.webhook_id AND d.open ORDER BY d.number, d.path LIMIT 1) END)`

// readBacklog computes each oldest once, for the top and for the total.
const readBacklog = `
WITH s AS MATERIALIZED (` + allBalances + `), owing AS MATERIALIZED (
	SELECT s.webhook_id, s.pending, s.in_flight, ` + oldestOwed + ` AS oldest FROM s WHERE s.pending > 0 OR s.in_flight > 0
), total AS (
	SELECT coalesce(sum(accepted), 0)::bigint AS accepted, coalesce(sum(delivered), 0)::bigint AS delivered,
		coalesce(sum(pending), 0)::bigint AS pending, coalesce(sum(in_flight), 0)::bigint AS in_flight,
		coalesce(sum(dead), 0)::bigint AS dead, coalesce(sum(suppressed), 0)::bigint AS suppressed,
		(SELECT count(*) FROM owing) AS owing, (SELECT min(oldest) FROM owing) AS oldest
	FROM s
)
SELECT t.accepted, t.delivered, t.pending, t.in_flight, t.dead, t.suppressed, t.owing, t.oldest,
	o.webhook_id IS NOT NULL, coalesce(o.webhook_id, ''), coalesce(w.name, ''), coalesce(w.settings ->> 'channel', ''), coalesce(w.state, ''),
	coalesce(o.pending, 0), coalesce(o.in_flight, 0), o.oldest
FROM total t
LEFT JOIN (SELECT * FROM owing ORDER BY pending + in_flight DESC, webhook_id LIMIT $1) o ON true
LEFT JOIN webhooks w ON w.id = o.webhook_id
ORDER BY o.pending + o.in_flight DESC, o.webhook_id`

// Backlog implements [tocsin.Facts].
func (db *DB) Backlog(ctx context.Context, limit int) (top []tocsin.Backlog, total tocsin.BacklogTotal, err error) {
	err = db.snapshot(ctx, "reading the backlog", func(t *tx) error {
		top, total = nil, tocsin.BacklogTotal{Webhooks: map[tocsin.State]int{}}
		t.queue(readBacklog, max(0, limit)).Query(func(rows pgx.Rows) error {
			var b tocsin.Backlog
			var owes bool
			_, err := pgx.ForEachRow(rows, []any{
				&total.Accepted, &total.Delivered, &total.Pending, &total.InFlight, &total.Dead, &total.Suppressed, &total.Owing, &total.OldestAt,
				&owes, &b.WebhookID, &b.Name, &b.Channel, &b.State, &b.Pending, &b.InFlight, &b.OldestAt,
			}, func() error {
				if owes {
					top = append(top, b)
				}
				b.OldestAt = nil // a row of its own for each
				return nil
			})
			return err
		})
		t.queue(`SELECT state, count(*) FROM webhooks WHERE state <> 'deleted' GROUP BY state`).Query(func(rows pgx.Rows) error {
			var state tocsin.State
			var n int
			_, err := pgx.ForEachRow(rows, []any{&state, &n}, func() error {
				total.Webhooks[state] = n
				return nil
			})
			return err
		})
		return nil
	})
	if err != nil {
		return nil, tocsin.BacklogTotal{}, err
	}
	return top, total, nil
}
