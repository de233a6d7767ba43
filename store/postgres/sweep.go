package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/internal/sweep"
)

// errPruned is Append's for a key that was there and is gone: the transaction begins
// anew, and inserts it.
var errPruned = errors.New("a key in the way is gone: pruned meanwhile")

// oldEvents are those after a place, each with whether something refers to it. Pending
// rows are found by webhook, so they are looked up for the window as a whole.
const oldEvents = `
WITH old AS MATERIALIZED (
	SELECT seq, received_at FROM events WHERE received_at < $1 AND received_at >= $2 AND (received_at, seq) > ($2, $3)
	ORDER BY received_at, seq LIMIT $4
), bounds AS MATERIALIZED (SELECT min(seq) AS first, max(seq) AS last FROM old), owed AS MATERIALIZED (` + pendingWithin + `)
SELECT o.seq, o.received_at, o.seq IN (SELECT seq FROM owed)
	OR EXISTS (SELECT FROM delivery_events e WHERE e.seq = o.seq) OR EXISTS (SELECT FROM suppressed s WHERE s.seq = o.seq)
	OR EXISTS (` + latestOf + ` OFFSET 0)
FROM old o ORDER BY o.received_at, o.seq`

// latestOf is the incident that refers to an event o, being not resolved. It is found by its
// key, tocsin.IncidentKey, since an index on seq would make each event that fires again
// costlier. With OFFSET 0 that is done only for events to which nothing else refers.
const latestOf = `SELECT FROM events e JOIN incidents i ON i.key = encode(substr(sha256(convert_to(e.dedup_key, 'UTF8')), 1, 16), 'hex') COLLATE "C"
		AND i.seq = e.seq AND i.state <> 'resolved' WHERE e.seq = o.seq`

// pendingWithin are the events within bounds that are pending. OFFSET 0 makes it one
// look at the index for each webhook.
const pendingWithin = `
	SELECT p.seq FROM bounds, webhooks w CROSS JOIN LATERAL (
		SELECT seq FROM pending WHERE pending.webhook_id = w.id AND pending.seq BETWEEN bounds.first AND bounds.last OFFSET 0) AS p`

// lockEvents locks events that nothing seemed to refer to. A replay locks an event FOR
// KEY SHARE before it owes it again, so either it is skipped here, or the replay waits,
// and finds it gone.
const lockEvents = `SELECT seq FROM events WHERE seq = ANY($1::bigint[]) FOR UPDATE SKIP LOCKED`

// pruneEvents looks again, in a new statement: what a replay committed before the lock
// was had may be in no earlier snapshot. Incidents refer to new events only.
const pruneEvents = `
WITH bounds AS MATERIALIZED (SELECT min(seq) AS first, max(seq) AS last FROM unnest($1::bigint[]) AS seq),
owed AS MATERIALIZED (` + pendingWithin + `), gone AS (
	DELETE FROM events o WHERE o.seq = ANY($1::bigint[]) AND o.seq NOT IN (SELECT seq FROM owed)
		AND NOT EXISTS (SELECT FROM delivery_events e WHERE e.seq = o.seq) AND NOT EXISTS (SELECT FROM suppressed s WHERE s.seq = o.seq)
	RETURNING o.seq
)
SELECT count(*) FROM gone`

func (p *pruning) events(ctx context.Context, before time.Time) func(moment, int) (sweep.Window[moment], error) {
	return func(after moment, n int) (w sweep.Window[moment], err error) {
		var free []int64
		err = p.transact(ctx, func(t *tx) error {
			w, free, err = p.old(ctx, t, oldEvents, before, after, n)
			return err
		})
		if err != nil || len(free) == 0 {
			return w, err
		}
		var gone int64
		err = p.transact(ctx, func(t *tx) error {
			var ours []int64
			gone = 0
			collect(t.queue(lockEvents, free), &ours, pgx.RowTo[int64])
			if err := t.flush(ctx); err != nil {
				return err
			}
			if len(ours) > 0 {
				t.one(nil, pruneEvents, []any{ours}, &gone)
			}
			return nil
		})
		if err != nil {
			return w, err
		}
		w.Gone = int(gone)
		p.gone.Events += gone
		return w, nil
	}
}

// old reads a window, and the numbers of what nothing refers to.
func (p *pruning) old(ctx context.Context, t *tx, sql string, before time.Time, after moment, n int) (w sweep.Window[moment], free []int64, err error) {
	t.queue(sql, before, after.at, after.seq, n).Query(func(rows pgx.Rows) error {
		var m moment
		var kept bool
		_, err := pgx.ForEachRow(rows, []any{&m.seq, &m.at, &kept}, func() error {
			w.Seen, w.Last = w.Seen+1, m
			if !kept {
				free = append(free, m.seq)
			}
			return nil
		})
		return err
	})
	err = t.flush(ctx)
	return w, free, err
}

const oldKeys = `
SELECT k.seq, k.received_at, EXISTS (SELECT FROM events e WHERE e.seq = k.seq)
FROM event_keys k WHERE k.received_at < $1 AND k.received_at >= $2 AND (k.received_at, k.seq) > ($2, $3)
ORDER BY k.received_at, k.seq LIMIT $4`

// pruneKeys removes keys received within a window whose events are gone. An event that
// is gone never comes back, so nothing has to be looked at twice.
const pruneKeys = `
WITH old AS (
	SELECT source, id FROM event_keys WHERE received_at BETWEEN $1 AND $2 AND seq = ANY($3::bigint[]) FOR UPDATE SKIP LOCKED
), gone AS (
	DELETE FROM event_keys k USING old WHERE k.source = old.source AND k.id = old.id RETURNING k.seq
)
SELECT count(*) FROM gone`

func (p *pruning) keys(ctx context.Context, before time.Time) func(moment, int) (sweep.Window[moment], error) {
	return func(after moment, n int) (w sweep.Window[moment], err error) {
		var gone int64
		err = p.transact(ctx, func(t *tx) error {
			var free []int64
			if w, free, err = p.old(ctx, t, oldKeys, before, after, n); err != nil {
				return err
			}
			if gone = 0; len(free) > 0 {
				t.one(nil, pruneKeys, []any{after.at, w.Last.at, free}, &gone)
			}
			return nil
		})
		if err != nil {
			return w, err
		}
		w.Gone = int(gone)
		p.gone.Keys += gone
		return w, nil
	}
}

// pruneRepeats walks by key, since updates of these rows are to touch no index.
const pruneRepeats = `
WITH part AS MATERIALIZED (
	SELECT webhook_id, dedup_key, at FROM repeats WHERE (webhook_id, dedup_key) > ($2, $3) ORDER BY webhook_id, dedup_key LIMIT $4
), old AS (
	SELECT r.webhook_id, r.dedup_key FROM repeats r JOIN part USING (webhook_id, dedup_key) WHERE part.at < $1 AND r.at < $1 FOR UPDATE OF r SKIP LOCKED
), gone AS (
	DELETE FROM repeats r USING old WHERE r.webhook_id = old.webhook_id AND r.dedup_key = old.dedup_key RETURNING r.dedup_key
)
SELECT webhook_id, dedup_key, (SELECT count(*) FROM part), (SELECT count(*) FROM gone) FROM part
ORDER BY webhook_id DESC, dedup_key DESC LIMIT 1`

func (p *pruning) repeats(ctx context.Context, before time.Time) func(incident, int) (sweep.Window[incident], error) {
	return func(after incident, n int) (w sweep.Window[incident], err error) {
		err = p.transact(ctx, func(t *tx) error {
			w = sweep.Window[incident]{}
			t.one(nil, pruneRepeats, []any{before, after.webhookID, after.dedupKey, n}, &w.Last.webhookID, &w.Last.dedupKey, &w.Seen, &w.Gone)
			return nil
		})
		if err == nil {
			p.gone.Refs += int64(w.Gone)
		}
		return w, err
	}
}

// prunable reads each count by what Prune would have removed before.
const prunable = `
WITH old_events AS MATERIALIZED (
	SELECT o.seq FROM events o WHERE o.received_at < $1 AND NOT EXISTS (SELECT FROM pending p WHERE p.seq = o.seq)
		AND NOT EXISTS (SELECT FROM delivery_events e JOIN deliveries d ON d.id = e.delivery_id
			WHERE e.seq = o.seq AND (d.open OR d.finished_at >= $1))
		AND NOT EXISTS (SELECT FROM suppressed s WHERE s.seq = o.seq AND s.at >= $1)
		AND NOT EXISTS (` + latestOf + `)
)
SELECT (SELECT count(*) FROM deliveries WHERE NOT open AND finished_at < $1),
	(SELECT count(*) FROM attempts a JOIN deliveries d ON d.id = a.delivery_id WHERE NOT d.open AND d.finished_at < $1),
	(SELECT count(*) FROM suppressed WHERE at < $1),
	(SELECT count(*) FROM old_events),
	(SELECT count(*) FROM event_keys k LEFT JOIN events e USING (seq) LEFT JOIN old_events o USING (seq)
		WHERE k.received_at < $2 AND (e.received_at IS NULL OR o.seq IS NOT NULL)),
	(SELECT count(*) FROM audit WHERE at < $3 AND (` + auditOver + `)) + (SELECT count(*) FROM replays WHERE finished_at < $3) + (SELECT count(*) FROM mutes WHERE ends_at < $3),
	(SELECT count(*) FROM refs WHERE updated_at < $4) + (SELECT count(*) FROM repeats WHERE at < $5),
	(SELECT count(*) FROM incidents WHERE state = 'resolved' AND resolved_at < $1),
	(SELECT count(*) FROM rejections WHERE at < $1)`

// Prunable implements [tocsin.Pruner]: what Prune would remove when called until
// nothing is left.
func (db *DB) Prunable(ctx context.Context, r tocsin.Retention) (p tocsin.Pruned, err error) {
	err = db.snapshot(ctx, "counting what is old", func(t *tx) error {
		var now time.Time
		t.one(nil, `SELECT clock_timestamp()`, nil, &now)
		if err := t.flush(ctx); err != nil {
			return err
		}
		before := func(keep time.Duration) *time.Time {
			if keep <= 0 {
				return nil // nothing is before NULL
			}
			at := now.Add(-keep)
			return &at
		}
		t.one(nil, prunable, []any{before(r.History), before(r.Keys), before(r.Audit), before(r.Refs), before(sweep.RepeatsKept)},
			&p.Deliveries, &p.Attempts, &p.Suppressed, &p.Events, &p.Keys, &p.Audit, &p.Refs, &p.Incidents, &p.Rejections)
		return nil
	})
	return p, err
}
