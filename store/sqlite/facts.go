package sqlite

import (
	"context"

	"github.com/tocsin-alerts/tocsin"
)

// never is later than any moment.
const never = `9223372036854775807`

// oldestOwed is since when the first of what s.webhook_id owes waits.
const oldestOwed = `nullif(min(
	coalesce((SELECT p.owed_at FROM pending p WHERE p.webhook_id = s.webhook_id ORDER BY p.seq, p.generation LIMIT 1), ` + never + `),
	coalesce((SELECT d.created_at FROM deliveries d INDEXED BY deliveries_open
		WHERE d.webhook_id = s.webhook_id AND d.state IN ('ready', 'sending') ORDER BY d.position LIMIT 1), ` + never + `)), ` + never + `)`

// owingNow are the webhooks that owe something.
const owingNow = `
SELECT s.webhook_id, s.pending, s.in_flight, ` + oldestOwed + ` AS oldest
FROM (SELECT ` + summed + ` FROM (` + counted + `) GROUP BY webhook_id) s WHERE s.pending > 0 OR s.in_flight > 0`

// Backlog implements tocsin.Facts.
func (db *DB) Backlog(ctx context.Context, limit int) (top []tocsin.Backlog, total tocsin.BacklogTotal, err error) {
	err = db.read(ctx, "reading the backlog", func(t *tx) error {
		total = tocsin.BacklogTotal{Webhooks: map[tocsin.State]int{}}
		if err := t.get(`SELECT coalesce(sum(accepted), 0), coalesce(sum(delivered), 0), coalesce(sum(pending), 0), coalesce(sum(in_flight), 0),
			coalesce(sum(dead), 0), coalesce(sum(suppressed), 0) FROM (`+counted+`)`, nil,
			&total.Accepted, &total.Delivered, &total.Pending, &total.InFlight, &total.Dead, &total.Suppressed); err != nil {
			return err
		}
		if err := t.get(`SELECT count(*), min(oldest) FROM (`+owingNow+`)`, nil, &total.Owing, atMaybe{&total.OldestAt}); err != nil {
			return err
		}
		top, err = list(t, func(r row) (b tocsin.Backlog, err error) {
			err = r.Scan(&b.WebhookID, &b.Name, &b.Channel, &b.State, &b.Pending, &b.InFlight, atMaybe{&b.OldestAt})
			return b, err
		}, `SELECT o.webhook_id, coalesce(w.name, ''), coalesce(w.settings ->> 'channel', ''), coalesce(w.state, ''), o.pending, o.in_flight, o.oldest
			FROM (`+owingNow+`) o LEFT JOIN webhooks w ON w.id = o.webhook_id ORDER BY o.pending + o.in_flight DESC, o.webhook_id LIMIT ?`, max(0, limit))
		if err != nil {
			return err
		}
		return t.countStates(total.Webhooks)
	})
	if err != nil {
		return nil, tocsin.BacklogTotal{}, err
	}
	return top, total, nil
}

// countStates counts the webhooks that are not deleted.
func (t *tx) countStates(into map[tocsin.State]int) error {
	_, err := list(t, func(r row) (struct{}, error) {
		var state tocsin.State
		var n int
		err := r.Scan(&state, &n)
		into[state] = n
		return struct{}{}, err
	}, `SELECT state, count(*) FROM webhooks WHERE state <> 'deleted' GROUP BY state`)
	return err
}
