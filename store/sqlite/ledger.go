package sqlite

import (
	"context"

	"github.com/tocsin-alerts/tocsin"
)

// count writes a delta, in the transaction that moves what it counts.
func (t *tx) count(webhookID string, b tocsin.Balance) error {
	if b == (tocsin.Balance{}) {
		return nil
	}
	return t.note(webhookID, delta{Balance: b})
}

// delta is what moved, and what came with it; nil for none.
type delta struct {
	tocsin.Balance
	events       any // new ones
	took, failed any // of an attempt that ended
}

// note writes a delta, also one that moves nothing.
func (t *tx) note(webhookID string, d delta) error {
	_, err := t.exec(`INSERT INTO ledger_deltas (webhook_id, accepted, delivered, pending, in_flight, dead, suppressed, at, events, took, failed)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		webhookID, d.Accepted, d.Delivered, d.Pending, d.InFlight, d.Dead, d.Suppressed, micros(t.now), d.events, d.took, d.failed)
	return err
}

const (
	counters = `webhook_id, accepted, delivered, pending, in_flight, dead, suppressed`
	summed   = `webhook_id, sum(accepted) AS accepted, sum(delivered) AS delivered, sum(pending) AS pending,
		sum(in_flight) AS in_flight, sum(dead) AS dead, sum(suppressed) AS suppressed`

	counted = `SELECT ` + counters + ` FROM ledger UNION ALL SELECT ` + counters + ` FROM ledger_deltas`

	// Accepted is the number of obligations there are, wherever they are.
	rowsCounted = `
		SELECT webhook_id, accepted, delivered, 0 AS pending, 0 AS in_flight, dead, suppressed FROM ledger_baseline
		UNION ALL SELECT webhook_id, count(*), 0, count(*), 0, 0, 0 FROM pending GROUP BY webhook_id
		UNION ALL SELECT webhook_id, count(*), 0, 0, 0, 0, count(*) FROM suppressed GROUP BY webhook_id
		UNION ALL SELECT d.webhook_id, count(*), count(*) FILTER (WHERE m.bucket = 'delivered'), 0,
			count(*) FILTER (WHERE m.bucket = 'in_flight'), count(*) FILTER (WHERE m.bucket = 'dead'),
			count(*) FILTER (WHERE m.bucket = 'suppressed')
			FROM delivery_events m JOIN deliveries d ON d.n = m.delivery WHERE m.bucket <> 'split' GROUP BY d.webhook_id`
)

// balances sums counters by webhook, by name.
func (t *tx) balances(from string) ([]tocsin.Balance, error) {
	return list(t, func(r row) (b tocsin.Balance, err error) {
		err = r.Scan(&b.WebhookID, &b.Webhook, &b.Accepted, &b.Delivered, &b.Pending, &b.InFlight, &b.Dead, &b.Suppressed)
		return b, err
	}, `SELECT s.webhook_id, coalesce(w.name, ''), s.accepted, s.delivered, s.pending, s.in_flight, s.dead, s.suppressed
		FROM (SELECT `+summed+` FROM (`+from+`) GROUP BY webhook_id) s LEFT JOIN webhooks w ON w.id = s.webhook_id
		WHERE s.accepted <> 0 OR s.delivered <> 0 OR s.pending <> 0 OR s.in_flight <> 0 OR s.dead <> 0 OR s.suppressed <> 0
		ORDER BY w.name, s.webhook_id`)
}

// Balances implements tocsin.Ledger.
func (db *DB) Balances(ctx context.Context) (all []tocsin.Balance, err error) {
	err = db.read(ctx, "reading ledger", func(t *tx) error {
		all, err = t.balances(counted)
		return err
	})
	return all, err
}

// Recount implements tocsin.Ledger.
func (db *DB) Recount(ctx context.Context) (fromCounters, fromRows []tocsin.Balance, err error) {
	err = db.read(ctx, "recounting ledger", func(t *tx) error {
		if fromCounters, err = t.balances(counted); err != nil {
			return err
		}
		fromRows, err = t.balances(rowsCounted)
		return err
	})
	return fromCounters, fromRows, err
}

// Fold implements tocsin.Ledger. It is one transaction: a process that dies in it has folded
// nothing, and the next call finds the deltas. So what was folded is in the ledger and in the
// series, exactly once in each.
func (db *DB) Fold(ctx context.Context) error {
	return db.write(ctx, "folding ledger", func(t *tx) error {
		if _, err := t.exec(`INSERT INTO ledger (` + counters + `) SELECT ` + summed + ` FROM ledger_deltas WHERE webhook_id <> '' GROUP BY webhook_id
			ON CONFLICT DO UPDATE SET accepted = accepted + excluded.accepted, delivered = delivered + excluded.delivered,
				pending = pending + excluded.pending, in_flight = in_flight + excluded.in_flight,
				dead = dead + excluded.dead, suppressed = suppressed + excluded.suppressed`); err != nil {
			return err
		}
		if err := t.foldActivity(); err != nil {
			return err
		}
		if err := t.foldAttempts(); err != nil {
			return err
		}
		_, err := t.exec(`DELETE FROM ledger_deltas`)
		return err
	})
}
