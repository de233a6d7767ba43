package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
)

// Redeliver implements [tocsin.Queue].
func (db *DB) Redeliver(ctx context.Context, deliveryID string) (tocsin.Delivery, error) {
	var webhookID string
	err := db.pool.QueryRow(ctx, `SELECT webhook_id FROM deliveries WHERE id = $1`, deliveryID).Scan(&webhookID)
	if err != nil {
		return tocsin.Delivery{}, wrap("looking for delivery", notFound(err))
	}
	var d tocsin.Delivery
	err = db.transact(ctx, "redelivering", func(t *tx) error {
		c := censusOf{}
		var state tocsin.DeliveryState
		var webhook tocsin.State
		var found bool
		t.queue(`SELECT FROM leases WHERE webhook_id = $1 FOR UPDATE`, webhookID)
		t.one(nil, `SELECT state FROM webhooks WHERE id = $1`, []any{webhookID}, &webhook)
		t.one(&found, `SELECT state FROM deliveries WHERE id = $1 FOR UPDATE`, []any{deliveryID}, &state)
		c.count(t, deliveryID)
		if err := t.flush(ctx); err != nil {
			return err
		}
		switch {
		case !found:
			return tocsin.ErrNotFound
		case webhook == tocsin.StateDeleted:
			return tocsin.Errorf(tocsin.CodeConflict, "the webhook of delivery %s is deleted", deliveryID)
		case state == tocsin.DeliveryReady || state == tocsin.DeliverySending:
			return tocsin.Errorf(tocsin.CodeConflict, "delivery %s is open already: it is %s", deliveryID, state)
		case state == tocsin.DeliverySplit:
			return tocsin.Errorf(tocsin.CodeConflict, "delivery %s was split: redeliver the deliveries it became", deliveryID)
		}
		if c.due(state) == 0 {
			return tocsin.Errorf(tocsin.CodeConflict, "delivery %s has no event left of its own: redeliver its children", deliveryID)
		}
		c.reopen(t, webhookID, deliveryID, state, &d)
		return nil
	})
	if err != nil {
		return tocsin.Delivery{}, err
	}
	db.hints.give(webhookID)
	return d, nil
}

// censusOf counts a delivery's events by fate; "" for those that share the delivery's.
type censusOf map[string]int64

func (c censusOf) count(t *tx, deliveryID string) {
	t.queue(`SELECT coalesce(fate, ''), count(*) FROM delivery_events WHERE delivery_id = $1 GROUP BY 1`, deliveryID).
		Query(func(rows pgx.Rows) error {
			var fate string
			var n int64
			_, err := pgx.ForEachRow(rows, []any{&fate, &n}, func() error {
				c[fate] = n
				return nil
			})
			return err
		})
}

// undelivered counts the events that are to be owed again.
func (c censusOf) undelivered(state tocsin.DeliveryState) int64 {
	if state == tocsin.DeliveryDelivered {
		return c["dead"]
	}
	return c["dead"] + c[""]
}

// due counts the events the next attempt is about: the undelivered ones, or all when
// everything was delivered.
func (c censusOf) due(state tocsin.DeliveryState) int64 {
	if n := c.undelivered(state); n > 0 {
		return n
	}
	return c[""] + c["delivered"] + c["again"]
}

const reopenFates = `
UPDATE delivery_events SET reason = '', fate = CASE
	WHEN fate = 'dead' THEN NULL
	WHEN fate IS NOT NULL OR $2 THEN $3 -- delivered
	END
WHERE delivery_id = $1 AND fate IS DISTINCT FROM 'moved' AND (fate IS NOT NULL OR $2)`

const reopenDelivery = `
UPDATE deliveries d SET state = 'ready', reason = '', first_attempt_at = NULL, finished_at = NULL, due = $2, in_flight = $3, unsure = d.unsure OR $4
WHERE d.id = $1 RETURNING ` + deliveryColumns

// reopen makes the delivery ready. Sending again what was delivered is uncertain by
// nature: the receiver may answer that it knows the delivery.
func (c censusOf) reopen(t *tx, webhookID, deliveryID string, state tocsin.DeliveryState, d *tocsin.Delivery) {
	owed, rest := c.undelivered(state), "delivered"
	if owed == 0 {
		rest = "again"
	}
	t.queue(reopenFates, deliveryID, state == tocsin.DeliveryDelivered, rest)
	t.one(nil, reopenDelivery, []any{deliveryID, c.due(state), owed, owed == 0}, deliveryTargets(d)...)
	move := tocsin.Balance{InFlight: owed, Dead: -c["dead"]}
	switch state {
	case tocsin.DeliveryDead:
		move.Dead -= c[""]
	case tocsin.DeliveryCancelled:
		move.Suppressed -= c[""]
	}
	ledgerMoves{webhookID: move}.queue(t)
}
