package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tocsin-alerts/tocsin"
)

// owed is one statement, so that open deliveries and pending events come from one
// snapshot. Columns that one kind lacks are empty.
const owed = `
(SELECT true AS open, d.number AS first, d.path AS second, 0::bigint AS generation, ` + deliveryColumns + `,
	(SELECT array_agg(e.dedup_key ORDER BY e.place) FROM delivery_events e
		WHERE e.delivery_id = d.id AND (e.fate IS NULL OR e.fate = 'again')) AS keys, '' AS batch_key, 0 AS bytes
FROM deliveries d WHERE d.webhook_id = $1 AND d.open ORDER BY d.number, d.path LIMIT $4)
UNION ALL
(SELECT false, p.seq, '', p.generation, '', '', '', '', '', 0, 0, p.owed_at, NULL, NULL, ARRAY[p.dedup_key], p.batch_key, p.bytes
FROM pending p WHERE p.webhook_id = $1 AND ($2::timestamptz IS NULL OR p.owed_at <= $2) ORDER BY p.seq, p.generation LIMIT $3)
ORDER BY open DESC, first, second, generation`

// Owed implements [tocsin.Queue].
func (db *DB) Owed(ctx context.Context, f tocsin.Fence, before time.Time, limit int) (open []tocsin.OpenDelivery, pending []tocsin.PendingEvent, err error) {
	var held bool
	var upTo *time.Time
	if !before.IsZero() {
		upTo = &before
	}
	err = db.transact(ctx, "reading what is owed", func(t *tx) error {
		t.fenced(&held, f)
		t.queue(`SELECT ` + lazily) // a sign of life is all that is written
		t.queue(owed, f.WebhookID, upTo, limit, min(limit, tocsin.MaxOpen)).Query(func(rows pgx.Rows) (err error) {
			open, pending, err = scanOwed(rows)
			return err
		})
		return nil
	})
	if err == nil && !held {
		err = tocsin.ErrFenced
	}
	if err != nil {
		return nil, nil, err
	}
	return open, pending, nil
}

func scanOwed(rows pgx.Rows) (open []tocsin.OpenDelivery, pending []tocsin.PendingEvent, err error) {
	for rows.Next() {
		var isOpen bool
		var path string
		var p tocsin.PendingEvent
		var o tocsin.OpenDelivery
		targets := append([]any{&isOpen, &p.Seq, &path, &p.Generation}, deliveryTargets(&o.Delivery)...)
		if err := rows.Scan(append(targets, &o.DedupKeys, &p.BatchKey, &p.Bytes)...); err != nil {
			return nil, nil, err
		}
		if isOpen {
			o.DedupKeys = distinct(o.DedupKeys)
			open = append(open, o)
			continue
		}
		p.DedupKey, p.OwedAt = o.DedupKeys[0], o.CreatedAt
		pending = append(pending, p)
	}
	return open, pending, rows.Err()
}

// distinct keeps the first of each, in order.
func distinct(in []string) []string {
	seen := make(map[string]bool, len(in))
	return slices.DeleteFunc(in, func(s string) bool {
		again := seen[s]
		seen[s] = true
		return again
	})
}

const planDeliveries = `
INSERT INTO deliveries (id, webhook_id, state, count, due, in_flight, created_at)
SELECT b.id, $1, 'ready', b.count, b.count, b.count, clock_timestamp()
FROM unnest($2::text[], $3::integer[]) WITH ORDINALITY AS b (id, count, rank) ORDER BY b.rank
ON CONFLICT (id) DO NOTHING`

// planEvents names rows, never a range: numbers are handed out before commit, so a
// range may hold rows that nobody has seen yet.
const planEvents = `
WITH gone AS (
	DELETE FROM pending p
	USING unnest($2::text[], $3::integer[], $4::bigint[], $5::bigint[]) AS n (delivery_id, place, seq, generation)
	WHERE p.webhook_id = $1 AND p.seq = n.seq AND p.generation = n.generation
	RETURNING n.delivery_id, n.place, p.seq, p.generation, p.dedup_key
)
INSERT INTO delivery_events (delivery_id, place, seq, generation, dedup_key)
SELECT delivery_id, place, seq, generation, dedup_key FROM gone ORDER BY delivery_id, place`

// Plan implements [tocsin.Queue].
func (db *DB) Plan(ctx context.Context, f tocsin.Fence, batches []tocsin.NewDelivery) error {
	var ids, owners []string
	var counts, places []int32
	var seqs, generations []int64
	for _, b := range batches {
		if len(b.Events) == 0 {
			return errors.New("planning deliveries: a delivery without events")
		}
		ids, counts = append(ids, b.ID), append(counts, int32(len(b.Events))) // #nosec G115 -- at most 1000
		for place, e := range b.Events {
			owners, places = append(owners, b.ID), append(places, int32(place))
			seqs, generations = append(seqs, e.Seq), append(generations, e.Generation)
		}
	}
	return db.transact(ctx, "planning deliveries", func(t *tx) error {
		var held bool
		var moved int64
		t.fenced(&held, f)
		if len(ids) > 0 {
			t.queue(planDeliveries, f.WebhookID, ids, counts)
			affected(t.queue(planEvents, f.WebhookID, owners, places, seqs, generations), &moved)
			ledgerMoves{f.WebhookID: {Pending: -int64(len(seqs)), InFlight: int64(len(seqs))}}.queue(t)
		}
		if err := t.flush(ctx); err != nil {
			return err
		}
		if !held || moved != int64(len(seqs)) {
			return tocsin.ErrFenced
		}
		return nil
	})
}

// affected takes the number of rows of a queued statement.
func affected(q *pgx.QueuedQuery, n *int64) {
	q.Exec(func(ct pgconn.CommandTag) error {
		*n = ct.RowsAffected()
		return nil
	})
}

const discardPending = `
WITH gone AS (
	DELETE FROM pending p USING (SELECT seq, generation FROM pending
		WHERE webhook_id = $1 AND ($4::timestamptz IS NULL OR owed_at <= $4) ORDER BY seq, generation LIMIT $2) AS n
	WHERE p.webhook_id = $1 AND p.seq = n.seq AND p.generation = n.generation
	RETURNING p.seq, p.generation
)
INSERT INTO suppressed (webhook_id, seq, generation, reason, at) SELECT $1, seq, generation, $3, clock_timestamp() FROM gone`

const discardOpen = `
WITH cancelled AS (
	SELECT id, due, in_flight FROM deliveries WHERE webhook_id = $1 AND open ORDER BY number, path LIMIT $2 FOR UPDATE
), done AS (
	UPDATE deliveries d SET state = 'cancelled', reason = $3, unsure = d.unsure OR d.state = 'sending', due = 0, in_flight = 0,
		finished_at = clock_timestamp()
	FROM cancelled c WHERE d.id = c.id
)
SELECT coalesce(sum(due), 0)::bigint, coalesce(sum(in_flight), 0)::bigint FROM cancelled`

// Discard implements [tocsin.Queue].
func (db *DB) Discard(ctx context.Context, f tocsin.Fence, before time.Time, reason string, limit int) (int, error) {
	var settled int64
	var upTo *time.Time
	if !before.IsZero() {
		upTo = &before
	}
	err := db.transact(ctx, "discarding what is owed", func(t *tx) error {
		var held bool
		settled = 0
		t.fenced(&held, f)
		affected(t.queue(discardPending, f.WebhookID, limit, reason, upTo), &settled)
		if err := t.flush(ctx); err != nil {
			return err
		}
		if !held {
			return tocsin.ErrFenced
		}
		moves := ledgerMoves{f.WebhookID: {Pending: -settled, Suppressed: settled}}
		if settled == 0 {
			var inFlight int64
			t.one(nil, discardOpen, []any{f.WebhookID, limit, reason}, &settled, &inFlight)
			if err := t.flush(ctx); err != nil {
				return err
			}
			moves = ledgerMoves{f.WebhookID: {InFlight: -inFlight, Suppressed: inFlight}}
		}
		moves.queue(t)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return int(settled), nil
}
