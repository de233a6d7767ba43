package sqlite

import (
	"context"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// Discard implements tocsin.Queue. A limit below 1 counts as 1, since 0 settled means
// that nothing is owed.
func (db *DB) Discard(ctx context.Context, f tocsin.Fence, before time.Time, reason string, limit int) (settled int, err error) {
	limit = max(1, limit)
	err = db.write(ctx, "discarding", func(t *tx) error {
		if err := t.hold(f); err != nil {
			return err
		}
		settled, err = t.discardPending(f.WebhookID, before, reason, limit)
		if err != nil || settled > 0 {
			return err
		}
		for settled < limit {
			d, err := list(t, scanDelivery, `SELECT `+deliveryColumns+` FROM deliveries d INDEXED BY deliveries_open
				WHERE d.webhook_id = ? AND d.state IN ('ready', 'sending') ORDER BY d.position LIMIT 1`, f.WebhookID)
			if err != nil || len(d) == 0 {
				return err
			}
			n, err := t.cancel(d[0], reason)
			if err != nil {
				return err
			}
			settled += n
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return settled, nil
}

func (t *tx) discardPending(webhookID string, before time.Time, reason string, limit int) (int, error) {
	const first = `SELECT seq, generation FROM pending WHERE webhook_id = ?1 AND (?2 IS NULL OR owed_at <= ?2) ORDER BY seq, generation LIMIT ?3`
	var upTo any
	if !before.IsZero() {
		upTo = micros(before)
	}
	n, err := t.exec(`INSERT INTO suppressed (webhook_id, seq, generation, reason, at) SELECT ?1, seq, generation, ?4, ?5 FROM (`+first+`)`,
		webhookID, upTo, limit, reason, micros(t.now))
	if err != nil || n == 0 {
		return 0, err
	}
	if _, err := t.exec(`DELETE FROM pending WHERE webhook_id = ?1 AND (seq, generation) IN (`+first+`)`, webhookID, upTo, limit); err != nil {
		return 0, err
	}
	return n, t.count(webhookID, tocsin.Balance{Pending: -int64(n), Suppressed: int64(n)})
}

// cancel suppresses what is owed in a delivery and returns how much that was, at
// least 1, so that Discard goes on.
func (t *tx) cancel(d delivery, reason string) (int, error) {
	moved, err := t.exec(`UPDATE delivery_events SET bucket = 'suppressed', reason = ?, owed = 0
		WHERE delivery = ? AND owed AND bucket = 'in_flight'`, reason, d.n)
	if err != nil {
		return 0, err
	}
	again, err := t.exec(`UPDATE delivery_events SET owed = 0 WHERE delivery = ? AND owed`, d.n)
	if err != nil {
		return 0, err
	}
	if _, err := t.exec(`UPDATE deliveries SET state = 'cancelled', reason = ?, finished_at = ? WHERE n = ?`, reason, micros(t.now), d.n); err != nil {
		return 0, err
	}
	return max(1, moved+again), t.count(d.WebhookID, tocsin.Balance{InFlight: -int64(moved), Suppressed: int64(moved)})
}

const deliveryByID = `SELECT ` + deliveryColumns + ` FROM deliveries d WHERE d.id = ?`

// Redeliver implements tocsin.Queue.
func (db *DB) Redeliver(ctx context.Context, deliveryID string) (tocsin.Delivery, error) {
	var d delivery
	err := db.write(ctx, "redelivering", func(t *tx) (err error) {
		if d, err = one(t, scanDelivery, deliveryByID, deliveryID); err != nil {
			return err
		}
		w, err := t.webhook(d.WebhookID)
		if err != nil {
			return err
		}
		if _, err := t.redeliver(d, w); err != nil {
			return err
		}
		d, err = one(t, scanDelivery, deliveryByID, deliveryID)
		return err
	})
	if err != nil {
		return tocsin.Delivery{}, err
	}
	return d.Delivery, nil
}

// redeliver makes a delivery ready and returns how many events it sends; an *Error
// with CodeConflict, and nothing written, when it cannot be sent again.
func (t *tx) redeliver(d delivery, w tocsin.Webhook) (events int, err error) {
	switch {
	case d.open():
		return 0, tocsin.Errorf(tocsin.CodeConflict, "delivery %s is owed already", d.ID)
	case w.State == tocsin.StateDeleted:
		return 0, tocsin.Errorf(tocsin.CodeConflict, "webhook %s of delivery %s is deleted", w.Name, d.ID)
	}
	if d.State == tocsin.DeliverySplit {
		dead, err := t.hasDead(d.n)
		if err != nil {
			return 0, err
		}
		if !dead {
			return 0, tocsin.Errorf(tocsin.CodeConflict, "delivery %s was split: redeliver its children", d.ID)
		}
	}
	if events, err = t.oweAgain(d); err != nil {
		return 0, err
	}
	if events == 0 {
		return 0, tocsin.Errorf(tocsin.CodeConflict, "delivery %s has no event left of its own: redeliver its children", d.ID)
	}
	_, err = t.exec(`UPDATE deliveries SET state = 'ready', reason = '', first_attempt = NULL, finished_at = NULL WHERE n = ?`, d.n)
	return events, err
}

// hasDead reports whether events of a delivery are dead on their own.
func (t *tx) hasDead(n int64) (dead bool, err error) {
	err = t.get(`SELECT EXISTS (SELECT 1 FROM delivery_events WHERE delivery = ? AND bucket = 'dead')`, []any{n}, &dead)
	return dead, err
}

// oweAgain owes what was not delivered; where all was, all of it once more. It returns
// how many events that is.
func (t *tx) oweAgain(d delivery) (int, error) {
	var dead, suppressed int
	if err := t.get(`SELECT count(*) FILTER (WHERE bucket = 'dead'), count(*) FILTER (WHERE bucket = 'suppressed')
		FROM delivery_events WHERE delivery = ?`, []any{d.n}, &dead, &suppressed); err != nil {
		return 0, err
	}
	if dead+suppressed == 0 {
		return t.exec(`UPDATE delivery_events SET owed = 1 WHERE delivery = ? AND bucket <> 'split'`, d.n)
	}
	if _, err := t.exec(`UPDATE delivery_events SET owed = 1, bucket = 'in_flight', reason = ''
		WHERE delivery = ? AND bucket IN ('dead', 'suppressed')`, d.n); err != nil {
		return 0, err
	}
	return dead + suppressed, t.count(d.WebhookID, tocsin.Balance{InFlight: int64(dead + suppressed), Dead: -int64(dead), Suppressed: -int64(suppressed)})
}
