package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// deliveryColumns are what scanDelivery reads, of a table called d.
const deliveryColumns = `d.n, d.id, d.webhook_id, d.position, d.state, d.reason, d.parent, d.count, d.attempts, d.created_at, d.first_attempt, d.finished_at, d.error_class, d.last_error`

// delivery is one as stored.
type delivery struct {
	tocsin.Delivery
	n        int64
	position string
}

func (d *delivery) open() bool {
	return d.State == tocsin.DeliveryReady || d.State == tocsin.DeliverySending
}

func scanDelivery(r row) (delivery, error) {
	var d delivery
	err := r.Scan(&d.n, &d.ID, &d.WebhookID, &d.position, &d.State, &d.Reason, &d.Parent, &d.Count, &d.Attempts,
		at{&d.CreatedAt}, atMaybe{&d.FirstAttempt}, atMaybe{&d.FinishedAt}, &d.ErrorClass, &d.LastError)
	return d, err
}

// lifeEvery is how often looking at work is noted as a sign of life, which costs a
// commit. Everything else that Deliver does notes it each time.
const lifeEvery = time.Second

// Owed implements tocsin.Queue.
func (db *DB) Owed(ctx context.Context, f tocsin.Fence, before time.Time, limit int) (open []tocsin.OpenDelivery, pending []tocsin.PendingEvent, err error) {
	var seen *time.Time
	var now time.Time
	err = db.read(ctx, "reading what is owed", func(t *tx) error {
		now = t.now
		var number int64
		if err := t.get(`SELECT coalesce(max(fence), -1), max(seen_at) FROM leases WHERE webhook_id = ?`, []any{f.WebhookID}, &number, atMaybe{&seen}); err != nil {
			return err
		}
		if number != f.Number {
			return tocsin.ErrFenced
		}
		if open, err = t.openDeliveries(f.WebhookID, min(limit, tocsin.MaxOpen)); err != nil {
			return err
		}
		pending, err = t.pending(f.WebhookID, before, limit)
		return err
	})
	if err == nil && (seen == nil || now.Sub(*seen) >= lifeEvery) {
		err = db.write(ctx, "reading what is owed", func(t *tx) error { return t.hold(f) })
	}
	if err != nil {
		return nil, nil, err
	}
	return open, pending, nil
}

// openDeliveries returns the first in their order, with their incidents.
func (t *tx) openDeliveries(webhookID string, limit int) ([]tocsin.OpenDelivery, error) {
	found, err := list(t, scanDelivery, `SELECT `+deliveryColumns+` FROM deliveries d INDEXED BY deliveries_open
		WHERE d.webhook_id = ? AND d.state IN ('ready', 'sending') ORDER BY d.position LIMIT ?`, webhookID, limit)
	if err != nil {
		return nil, err
	}
	var open []tocsin.OpenDelivery
	for _, d := range found {
		keys, err := list(t, scanID, `SELECT e.dedup_key FROM delivery_events m JOIN events e ON e.seq = m.seq
			WHERE m.delivery = ? AND m.owed GROUP BY e.dedup_key ORDER BY min(m.place)`, d.n)
		if err != nil {
			return nil, err
		}
		open = append(open, tocsin.OpenDelivery{Delivery: d.Delivery, DedupKeys: keys})
	}
	return open, nil
}

func (t *tx) pending(webhookID string, before time.Time, limit int) ([]tocsin.PendingEvent, error) {
	where, args := `webhook_id = ?`, []any{webhookID}
	if !before.IsZero() {
		where, args = where+` AND owed_at <= ?`, append(args, micros(before))
	}
	return list(t, func(r row) (p tocsin.PendingEvent, err error) {
		err = r.Scan(&p.Seq, &p.Generation, &p.DedupKey, &p.BatchKey, &p.Bytes, at{&p.OwedAt})
		return p, err
	}, `SELECT seq, generation, dedup_key, batch_key, bytes, owed_at FROM pending WHERE `+where+` ORDER BY seq, generation LIMIT ?`,
		append(args, limit)...)
}

// Where the events of a delivery are counted; "split" is in a child.
const (
	inFlight        = "in_flight"
	bucketDelivered = "delivered"
	bucketDead      = "dead"
)

// member is one event of a delivery.
type member struct {
	place           int
	seq, generation int64
	bucket          string
}

// plan freezes batches; errNotPlanned when a row is gone.
func (t *tx) plan(webhookID string, batches []tocsin.NewDelivery) error {
	total := 0
	for _, b := range batches {
		if len(b.Events) == 0 {
			return errors.New("planning deliveries: a delivery without events")
		}
		rows := make([][2]int64, len(b.Events))
		members := make([]member, len(b.Events))
		for i, p := range b.Events {
			rows[i] = [2]int64{p.Seq, p.Generation}
			members[i] = member{seq: p.Seq, generation: p.Generation, bucket: inFlight}
		}
		text, err := asJSON(rows)
		if err != nil {
			return err
		}
		gone, err := t.exec(`DELETE FROM pending WHERE webhook_id = ?1
			AND (seq, generation) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?2))`, webhookID, text)
		if err != nil {
			return err
		}
		if gone != len(b.Events) {
			return errNotPlanned
		}
		if err := t.freeze(tocsin.Delivery{ID: b.ID, WebhookID: webhookID}, "", members); err != nil {
			return err
		}
		total += len(b.Events)
	}
	return t.count(webhookID, tocsin.Balance{Pending: -int64(total), InFlight: int64(total)})
}

// freeze adds a delivery that is ready; position is its place in the order of open
// ones, "" for the last.
func (t *tx) freeze(d tocsin.Delivery, position string, members []member) error {
	var n int64
	if err := t.get(`INSERT INTO deliveries (id, webhook_id, position, state, parent, count, created_at) VALUES (?, ?, ?, 'ready', ?, ?, ?) RETURNING n`,
		[]any{d.ID, d.WebhookID, position, d.Parent, len(members), micros(t.now)}, &n); err != nil {
		return err
	}
	if position == "" {
		if _, err := t.exec(`UPDATE deliveries SET position = printf('%016d', n) WHERE n = ?`, n); err != nil {
			return err
		}
	}
	rows := make([][]any, len(members))
	for i, m := range members {
		rows[i] = []any{n, i, m.seq, m.generation, m.bucket, 1}
	}
	return t.insert(`INSERT INTO delivery_events (delivery, place, seq, generation, bucket, owed)`, rows)
}
