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
	r := redelivery{}
	err = db.transact(ctx, "redelivering", func(t *tx) error {
		r = redelivery{id: deliveryID}
		var webhook tocsin.State
		t.queue(`SELECT FROM leases WHERE webhook_id = $1 FOR UPDATE`, webhookID)
		t.one(nil, `SELECT state FROM webhooks WHERE id = $1`, []any{webhookID}, &webhook)
		r.look(t)
		if err := t.flush(ctx); err != nil {
			return err
		}
		if r.found && webhook == tocsin.StateDeleted {
			return tocsin.Errorf(tocsin.CodeConflict, "the webhook of delivery %s is deleted", deliveryID)
		}
		if err := r.refusal(); err != nil {
			return err
		}
		ledgerMoves{webhookID: r.reopen(t)}.queue(t)
		return nil
	})
	if err != nil {
		return tocsin.Delivery{}, err
	}
	db.hints.give(webhookID)
	return r.reopened, nil
}

// redelivery is one delivery that is to be sent again: Redeliver's, or one of many of a
// step of a replay. Its webhook's lease is locked before it looks.
type redelivery struct {
	id       string
	found    bool
	webhook  string
	state    tocsin.DeliveryState
	events   censusOf
	reopened tocsin.Delivery
}

// look locks the delivery and reads what the decision rests on.
func (r *redelivery) look(t *tx) {
	r.events = censusOf{}
	t.one(&r.found, `SELECT webhook_id, state FROM deliveries WHERE id = $1 FOR UPDATE`, []any{r.id}, &r.webhook, &r.state)
	r.events.count(t, r.id)
}

// refusal is why the delivery cannot be sent again, or nil.
func (r *redelivery) refusal() error {
	switch {
	case !r.found:
		return tocsin.ErrNotFound
	case r.state == tocsin.DeliveryReady || r.state == tocsin.DeliverySending:
		return tocsin.Errorf(tocsin.CodeConflict, "delivery %s is open already: it is %s", r.id, r.state)
	case r.state == tocsin.DeliverySplit && r.events["dead"] == 0:
		return tocsin.Errorf(tocsin.CodeConflict, "delivery %s was split: redeliver the deliveries it became", r.id)
	case r.due() == 0:
		return tocsin.Errorf(tocsin.CodeConflict, "delivery %s has no event left of its own: redeliver its children", r.id)
	}
	return nil
}

// due counts the events of the next attempt.
func (r *redelivery) due() int64 { return r.events.due(r.state) }

// selected reports whether a replay of this kind sends the delivery again.
func (r *redelivery) selected(what tocsin.ReplayWhat) bool {
	dead := what == tocsin.ReplayDead && restDelivered(r.state) && r.events["dead"] > 0
	return dead || string(r.state) == string(what) // they are called the same
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

// restDelivered reports whether events without a fate of their own were delivered: in a split
// delivery, too, those that are neither dead nor moved.
func restDelivered(state tocsin.DeliveryState) bool {
	return state == tocsin.DeliveryDelivered || state == tocsin.DeliverySplit
}

// undelivered counts the events that are to be owed again.
func (c censusOf) undelivered(state tocsin.DeliveryState) int64 {
	if restDelivered(state) {
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

// reopen makes the delivery ready, and returns how the ledger moves. Sending again what
// was delivered is uncertain by nature: the receiver may answer that it knows the
// delivery.
func (r *redelivery) reopen(t *tx) tocsin.Balance {
	owed, rest := r.events.undelivered(r.state), "delivered"
	if owed == 0 {
		rest = "again"
	}
	t.queue(reopenFates, r.id, restDelivered(r.state), rest)
	t.one(nil, reopenDelivery, []any{r.id, r.due(), owed, owed == 0}, deliveryTargets(&r.reopened)...)
	move := tocsin.Balance{InFlight: owed, Dead: -r.events["dead"]}
	switch r.state {
	case tocsin.DeliveryDead:
		move.Dead -= r.events[""]
	case tocsin.DeliveryCancelled:
		move.Suppressed -= r.events[""]
	}
	return move
}
