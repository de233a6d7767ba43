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

const openDeliveries = `
SELECT ` + deliveryColumns + `, (SELECT array_agg(e.dedup_key ORDER BY e.place) FROM delivery_events e
	WHERE e.delivery_id = d.id AND (e.fate IS NULL OR e.fate = 'again'))
FROM deliveries d WHERE d.webhook_id = $1 AND d.open ORDER BY d.number, d.path LIMIT $2`

const pendingEvents = `
SELECT seq, generation, dedup_key, batch_key, bytes, owed_at FROM pending
WHERE webhook_id = $1 AND seq >= $4 AND ($2::timestamptz IS NULL OR owed_at <= $2) ORDER BY seq, generation LIMIT $3`

// Owed implements [tocsin.Queue]. Two statements see what one snapshot would: while the
// lease is locked nothing changes but that more events become pending, and those are
// read last.
func (db *DB) Owed(ctx context.Context, f tocsin.Fence, before time.Time, limit int) ([]tocsin.OpenDelivery, []tocsin.PendingEvent, error) {
	known := db.skips.begin(f.WebhookID, before)
	w := owedWindow{from: known.from, before: before, limit: limit}
	err := db.look(ctx, f, &w)
	if err == nil && w.from > 0 && (!w.full() || w.again != known.again) {
		w.from = 0
		err = db.look(ctx, f, &w)
	}
	if err != nil {
		return nil, nil, err
	}
	db.skips.note(f.WebhookID, w.from, &w)
	return w.open, w.pending, nil
}

// owedWindow is what Owed looks for, and what it found.
type owedWindow struct {
	before time.Time // zero for all
	from   int64     // the lowest number of pending events
	limit  int

	again      int64 // how often old events were owed anew
	id, oldest int64 // of this transaction, and of the oldest that was under way
	open       []tocsin.OpenDelivery
	pending    []tocsin.PendingEvent
}

func (w *owedWindow) full() bool { return w.limit > 0 && len(w.pending) == w.limit }

func (db *DB) look(ctx context.Context, f tocsin.Fence, w *owedWindow) error {
	var held bool
	err := db.transact(ctx, "reading what is owed", func(t *tx) error {
		t.fenced(&held, f)
		// A sign of life is all that is written.
		t.one(nil, `SELECT owed_again, pg_current_xact_id()::text::bigint, pg_snapshot_xmin(pg_current_snapshot())::text::bigint, `+lazily+` FROM leases WHERE webhook_id = $1`,
			[]any{f.WebhookID}, &w.again, &w.id, &w.oldest, nil)
		collect(t.queue(openDeliveries, f.WebhookID, min(w.limit, tocsin.MaxOpen)), &w.open, scanOpen)
		t.queue(pendingEvents, f.WebhookID, unlessZero(w.before), w.limit, w.from).Query(func(rows pgx.Rows) error {
			w.pending = nil
			var p tocsin.PendingEvent
			_, err := pgx.ForEachRow(rows, []any{&p.Seq, &p.Generation, &p.DedupKey, &p.BatchKey, &p.Bytes, &p.OwedAt}, func() error {
				w.pending = append(w.pending, p)
				return nil
			})
			return err
		})
		return nil
	})
	if err == nil && !held {
		err = tocsin.ErrFenced
	}
	return err
}

func scanOpen(row pgx.CollectableRow) (o tocsin.OpenDelivery, err error) {
	err = row.Scan(append(deliveryTargets(&o.Delivery), &o.DedupKeys)...)
	o.DedupKeys = distinct(o.DedupKeys)
	return o, err
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

// planning names rows, never a range alone: numbers are handed out before commit, so a range
// may hold rows that nobody has seen yet. $4 is the delivery of each row, by its place in $2.
// The range from $8 to $9 is what was looked at, and keeps the join to it.
const planning = `
WITH planned AS (
	INSERT INTO deliveries (id, webhook_id, state, count, due, in_flight, created_at)
	SELECT b.id, $1, 'ready', b.count, b.count, b.count, clock_timestamp()
	FROM unnest($2::text[], $3::integer[]) WITH ORDINALITY AS b (id, count, rank) ORDER BY b.rank
	ON CONFLICT (id) DO NOTHING
), counted AS (
	INSERT INTO ledger_deltas (webhook_id, pending, in_flight) VALUES ($1, -cardinality($6::bigint[]), cardinality($6::bigint[]))
), gone AS (
	DELETE FROM pending p
	USING unnest($4::integer[], $5::integer[], $6::bigint[], $7::bigint[]) AS n (delivery, place, seq, generation)
	WHERE p.webhook_id = $1 AND p.seq BETWEEN $8 AND $9 AND p.seq = n.seq AND p.generation = n.generation
	RETURNING n.delivery, n.place, p.seq, p.generation, p.dedup_key
)
INSERT INTO delivery_events (delivery_id, place, seq, generation, dedup_key)
SELECT ($2::text[])[delivery], place, seq, generation, dedup_key FROM gone ORDER BY delivery, place`

// plan is batches as the statements take them.
type plan struct {
	ids                        []string
	counts, deliveries, places []int32
	seqs, generations          []int64
}

func newPlan(batches []tocsin.NewDelivery) (p plan, err error) {
	for i, b := range batches {
		if len(b.Events) == 0 {
			return p, errors.New("planning deliveries: a delivery without events")
		}
		p.ids, p.counts = append(p.ids, b.ID), append(p.counts, int32(len(b.Events))) // #nosec G115 -- at most 1000
		for place, e := range b.Events {
			p.deliveries, p.places = append(p.deliveries, int32(i+1)), append(p.places, int32(place))
			p.seqs, p.generations = append(p.seqs, e.Seq), append(p.generations, e.Generation)
		}
	}
	return p, nil
}

// queue adds the statement; moved is how many rows were there.
func (p *plan) queue(t *tx, webhookID string, moved *int64) {
	t.queue(hashed)
	affected(t.queue(planning, webhookID, p.ids, p.counts, p.deliveries, p.places, p.seqs, p.generations,
		slices.Min(p.seqs), slices.Max(p.seqs)), moved)
	t.queue(nested)
}

// hashed has the joins of a transaction read both sides once, and nested ends that.
const (
	hashed = `SELECT set_config('enable_nestloop', 'off', true)`
	nested = `SELECT set_config('enable_nestloop', 'on', true)`
)

// affected takes the number of rows of a queued statement.
func affected(q *pgx.QueuedQuery, n *int64) {
	q.Exec(func(ct pgconn.CommandTag) error {
		*n = ct.RowsAffected()
		return nil
	})
}

const discardPending = `
WITH gone AS (
	DELETE FROM pending WHERE ctid = ANY (ARRAY(SELECT ctid FROM pending
		WHERE webhook_id = $1 AND ($4::timestamptz IS NULL OR owed_at <= $4) ORDER BY seq, generation LIMIT $2))
	RETURNING seq, generation
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
