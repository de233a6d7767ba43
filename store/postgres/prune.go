package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/internal/sweep"
)

const (
	// pruneChunk bounds the rows of one transaction, whatever limit Prune is given, so that
	// whoever waits for one waits briefly.
	pruneChunk = 1000
	// pruneDeliveries is the same for deliveries, which bring attempts and events.
	pruneDeliveries = 200
)

// moment is the place of an event or key among those that are old.
type moment struct {
	at  time.Time
	seq int64
}

// passes are where this process is in what is old and may still be needed.
type passes struct {
	events, keys sweep.Pass[moment]
	repeats      sweep.Pass[incident]
}

// restart is for those who ask after nothing was left.
func (p *passes) restart() {
	p.events.Restart()
	p.keys.Restart()
	p.repeats.Restart()
}

// pruning is one call of Prune.
type pruning struct {
	db   *DB
	now  time.Time
	gone tocsin.Pruned
}

// Prune implements [tocsin.Pruner]. It waits for nobody: rows that are locked are left
// for the next call. Ingest waits for it only where a producer repeats the very key, or
// the very incident, that a transaction of Prune is about to forget.
func (db *DB) Prune(ctx context.Context, r tocsin.Retention, limit int) (gone tocsin.Pruned, more bool, err error) {
	p := &pruning{db: db}
	if err := db.pool.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&p.now); err != nil {
		return gone, false, wrap("pruning", err)
	}
	limit = max(1, limit)
	plain := func(sql string, count *int64) sweep.Step {
		return func(t time.Time) (bool, error) {
			return sweep.Rounds(limit, pruneChunk, p.plain(ctx, sql, t, count))
		}
	}
	steps := sweep.Steps{
		Deliveries: func(t time.Time) (bool, error) { return sweep.Rounds(limit, pruneDeliveries, p.deliveries(ctx, t)) },
		Suppressed: func(t time.Time) (bool, error) { return sweep.Rounds(limit, pruneChunk, p.suppressed(ctx, t)) },
		Incidents:  func(t time.Time) (bool, error) { return sweep.Rounds(limit, pruneChunk, p.incidents(ctx, t)) },
		Events: func(t time.Time) (bool, error) {
			return db.passes.events.RunAfter(p.gone.Deliveries+p.gone.Suppressed, limit, pruneChunk, p.events(ctx, t))
		},
		Keys: func(t time.Time) (bool, error) {
			return db.passes.keys.RunAfter(p.gone.Events, limit, pruneChunk, p.keys(ctx, t))
		},
		Audit:      plain(pruneAudit, &p.gone.Audit),
		Replays:    plain(pruneReplays, &p.gone.Audit),
		Mutes:      plain(pruneMutes, &p.gone.Audit),
		Refs:       plain(pruneRefs, &p.gone.Refs),
		Rejections: plain(pruneRejections, &p.gone.Rejections),
		Activity: func(step time.Duration, t time.Time) (bool, error) {
			var sums int64                                                                                         // of what is kept elsewhere: they are not counted
			return sweep.Rounds(limit, pruneChunk, p.plain(ctx, pruneActivity, t, &sums, int16(step/time.Minute))) // #nosec G115 -- 1 or 15
		},
		Repeats: func(t time.Time) (bool, error) { return db.passes.repeats.Run(limit, pruneChunk, p.repeats(ctx, t)) },
	}
	if more, err = steps.Run(p.now, r); err != nil {
		return p.gone, more, err
	}
	if !more {
		db.passes.restart()
	}
	return p.gone, more, nil
}

// byIndex keeps the planner on the indexes that are there for pruning: by old statistics
// it may think that reading all of a table is less.
const byIndex = `SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)`

// transact runs fn in a transaction that finds what is old by index.
func (p *pruning) transact(ctx context.Context, fn func(*tx) error) error {
	return p.db.transact(ctx, "pruning", func(t *tx) error {
		t.queue(byIndex)
		return fn(t)
	})
}

// finishedDeliveries locks them. One that is redelivered meanwhile is not finished any
// more when its lock is had, and left out.
const finishedDeliveries = `
SELECT id FROM deliveries WHERE NOT open AND finished_at < $1 ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED`

// pruneDelivery removes deliveries with all that is theirs, and moves what was counted
// to the baseline. The webhooks are in order, so that two that prune do not deadlock.
const pruneDelivery = `
WITH d AS (
	DELETE FROM deliveries WHERE id = ANY($1::text[]) RETURNING id, webhook_id, state
), a AS (
	DELETE FROM attempts WHERE delivery_id = ANY($1::text[]) RETURNING delivery_id
), gone AS (
	DELETE FROM delivery_events WHERE delivery_id = ANY($1::text[]) RETURNING delivery_id, fate
), counts AS (
	SELECT d.webhook_id, ` + bucketOf + ` AS bucket FROM gone e JOIN d ON d.id = e.delivery_id WHERE e.fate IS DISTINCT FROM 'moved'
), b AS (` + addToBaseline + `)
SELECT (SELECT count(*) FROM d), (SELECT count(*) FROM a)`

// addToBaseline adds the buckets of counts, which are of settled obligations only.
const addToBaseline = `
	INSERT INTO ledger_baseline AS l (webhook_id, delivered, dead, suppressed)
	SELECT webhook_id, count(*) FILTER (WHERE bucket = 'delivered'), count(*) FILTER (WHERE bucket = 'dead'),
		count(*) FILTER (WHERE bucket = 'suppressed')
	FROM counts GROUP BY webhook_id ORDER BY webhook_id
	ON CONFLICT (webhook_id) DO UPDATE SET delivered = l.delivered + excluded.delivered, dead = l.dead + excluded.dead,
		suppressed = l.suppressed + excluded.suppressed`

func (p *pruning) deliveries(ctx context.Context, before time.Time) func(n int) (int, error) {
	return func(n int) (int, error) {
		var deliveries, attempts int64
		err := p.transact(ctx, func(t *tx) error {
			var ids []string
			collect(t.queue(finishedDeliveries, before, n), &ids, pgx.RowTo[string])
			if err := t.flush(ctx); err != nil {
				return err
			}
			deliveries, attempts = 0, 0
			if len(ids) > 0 { // a new statement: it sees what was committed before the locks were had
				t.one(nil, pruneDelivery, []any{ids}, &deliveries, &attempts)
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
		p.gone.Deliveries += deliveries
		p.gone.Attempts += attempts
		return int(deliveries), nil
	}
}

const pruneSuppressed = `
WITH old AS (
	SELECT webhook_id, seq, generation FROM suppressed WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED
), counts AS (
	DELETE FROM suppressed s USING old WHERE s.webhook_id = old.webhook_id AND s.seq = old.seq AND s.generation = old.generation
	RETURNING s.webhook_id, 'suppressed' AS bucket
), b AS (` + addToBaseline + `)
SELECT count(*) FROM counts`

func (p *pruning) suppressed(ctx context.Context, before time.Time) func(n int) (int, error) {
	return p.plain(ctx, pruneSuppressed, before, &p.gone.Suppressed)
}

// endedIncidents locks their keys, which keeps those who would open another one waiting
// for a moment. A key that is locked is left with its incidents.
const endedIncidents = `
WITH old AS MATERIALIZED (
	SELECT number, key FROM incidents WHERE state = 'resolved' AND resolved_at < $1 ORDER BY resolved_at LIMIT $2
)
SELECT old.number, k.key FROM old JOIN incident_keys k USING (key) FOR UPDATE OF k SKIP LOCKED`

// incidents removes incidents that are over, with their steps, and keys that have no
// incident any more.
func (p *pruning) incidents(ctx context.Context, before time.Time) func(n int) (int, error) {
	return func(n int) (int, error) {
		var gone int64
		err := p.transact(ctx, func(t *tx) error {
			var numbers []int64
			var keys []string
			t.queue(endedIncidents, before, n).Query(func(rows pgx.Rows) error {
				var number int64
				var key string
				_, err := pgx.ForEachRow(rows, []any{&number, &key}, func() error {
					numbers, keys = append(numbers, number), append(keys, key)
					return nil
				})
				return err
			})
			if err := t.flush(ctx); err != nil {
				return err
			}
			if gone = 0; len(numbers) > 0 {
				affected(t.queue(`DELETE FROM incidents WHERE number = ANY($1::bigint[])`, numbers), &gone)
				t.queue(`DELETE FROM incident_keys k WHERE k.key = ANY($1::text[]) AND NOT EXISTS (SELECT FROM incidents i WHERE i.key = k.key)`, keys)
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
		p.gone.Incidents += gone
		return int(gone), nil
	}
}

// auditOver is for an entry with an outcome, or one that will get none any more.
const auditOver = `outcome <> '' OR at < clock_timestamp() - interval '1 day'`

// What needs no more than to be old. Each statement counts what it removed.
const (
	pruneAudit = `
WITH gone AS (
	DELETE FROM audit WHERE number IN (SELECT number FROM audit WHERE at < $1 AND (` + auditOver + `) ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING number
) SELECT count(*) FROM gone`
	pruneReplays = `
WITH gone AS (
	DELETE FROM replays WHERE number IN (SELECT number FROM replays WHERE finished_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING number
) SELECT count(*) FROM gone`
	pruneMutes = `
WITH gone AS (
	DELETE FROM mutes WHERE number IN (SELECT number FROM mutes WHERE ends_at < $1 ORDER BY ends_at LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING number
) SELECT count(*) FROM gone`
	pruneRejections = `
WITH gone AS (
	DELETE FROM rejections WHERE number IN (SELECT number FROM rejections WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING number
) SELECT count(*) FROM gone`
	pruneRefs = `
WITH old AS (
	SELECT webhook_id, dedup_key FROM refs WHERE updated_at < $1 ORDER BY updated_at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
	DELETE FROM refs r USING old WHERE r.webhook_id = old.webhook_id AND r.dedup_key = old.dedup_key RETURNING r.dedup_key
) SELECT count(*) FROM gone`
)

// plain removes by one of these, and adds to count.
func (p *pruning) plain(ctx context.Context, sql string, before time.Time, count *int64, more ...any) func(n int) (int, error) {
	return func(n int) (int, error) {
		var gone int64
		err := p.transact(ctx, func(t *tx) error {
			t.one(nil, sql, append([]any{before, n}, more...), &gone)
			return nil
		})
		if err != nil {
			return 0, err
		}
		*count += gone
		return int(gone), nil
	}
}
