package sqlite

import (
	"context"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/internal/sweep"
)

const (
	// pruneChunk bounds the rows of one transaction, whatever limit Prune is given: there
	// is one writer, and ingest waits for it.
	pruneChunk = 500
	// pruneDeliveries is the same for deliveries, which bring attempts and events.
	pruneDeliveries = 50
	// auditOpen is how long an audit entry may still get its outcome.
	auditOpen = 24 * time.Hour
)

// moment is the place of an event or key among those that are old, in microseconds.
type moment struct{ at, seq int64 }

// pruneRepeat is what one webhook hears about under one dedup key.
type pruneRepeat struct{ webhookID, dedupKey string }

// passes are where this process is in what is old and may still be needed.
type passes struct {
	events, keys sweep.Pass[moment]
	repeats      sweep.Pass[pruneRepeat]
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
	gone tocsin.Pruned
}

// Prune implements tocsin.Pruner. What may be long, looking for what nothing refers to,
// it does beside the writer.
func (db *DB) Prune(ctx context.Context, r tocsin.Retention, limit int) (gone tocsin.Pruned, more bool, err error) {
	p := &pruning{db: db}
	now := db.now()
	limit = max(1, limit)
	plain := func(sql string, count *int64, more ...any) sweep.Step {
		return func(t time.Time) (bool, error) {
			return sweep.Rounds(limit, pruneChunk, p.plain(ctx, sql, micros(t), count, more...))
		}
	}
	steps := sweep.Steps{
		Deliveries: func(t time.Time) (bool, error) {
			return sweep.Rounds(limit, pruneDeliveries, p.deliveries(ctx, micros(t)))
		},
		Suppressed: func(t time.Time) (bool, error) { return sweep.Rounds(limit, pruneChunk, p.suppressed(ctx, micros(t))) },
		Incidents:  plain(pruneIncidents, &p.gone.Incidents),
		Events: func(t time.Time) (bool, error) {
			return db.passes.events.RunAfter(p.gone.Deliveries+p.gone.Suppressed, limit, pruneChunk, p.events(ctx, micros(t)))
		},
		Keys: func(t time.Time) (bool, error) {
			return db.passes.keys.RunAfter(p.gone.Events, limit, pruneChunk, p.keys(ctx, micros(t)))
		},
		Audit:      plain(pruneAudit, &p.gone.Audit, micros(now.Add(-auditOpen))),
		Replays:    plain(pruneReplays, &p.gone.Audit),
		Mutes:      plain(pruneMutes, &p.gone.Audit),
		Refs:       plain(pruneRefs, &p.gone.Refs),
		Rejections: plain(pruneRejections, &p.gone.Rejections),
		Activity: func(step time.Duration, t time.Time) (bool, error) {
			var sums int64 // of what is kept elsewhere: they are not counted
			return sweep.Rounds(limit, pruneChunk, p.plain(ctx, pruneActivity, micros(t), &sums, int(step/time.Minute)))
		},
		Repeats: func(t time.Time) (bool, error) {
			return db.passes.repeats.Run(limit, pruneChunk, p.repeats(ctx, micros(t)))
		},
	}
	if more, err = steps.Run(now, r); err != nil {
		return p.gone, more, err
	}
	if !more {
		db.passes.restart()
	}
	return p.gone, more, nil
}

func scanNumber(r row) (n int64, err error) {
	err = r.Scan(&n)
	return n, err
}

// toBaseline adds what rows count for, which are of settled obligations only; rows
// selects webhook_id and bucket.
func (t *tx) toBaseline(rows string, args ...any) error {
	_, err := t.exec(`INSERT INTO ledger_baseline (webhook_id, accepted, delivered, dead, suppressed)
		SELECT webhook_id, count(*), count(*) FILTER (WHERE bucket = 'delivered'), count(*) FILTER (WHERE bucket = 'dead'),
			count(*) FILTER (WHERE bucket = 'suppressed') FROM (`+rows+`) WHERE true GROUP BY webhook_id
		ON CONFLICT DO UPDATE SET accepted = accepted + excluded.accepted, delivered = delivered + excluded.delivered,
			dead = dead + excluded.dead, suppressed = suppressed + excluded.suppressed`, args...)
	return err
}

func (p *pruning) deliveries(ctx context.Context, before int64) func(n int) (int, error) {
	return func(n int) (gone int, err error) {
		attempts := 0
		err = p.db.write(ctx, "pruning deliveries", func(t *tx) error {
			finished, err := list(t, scanNumber, `SELECT n FROM deliveries WHERE finished_at < ? AND state NOT IN ('ready', 'sending')
				ORDER BY finished_at LIMIT ?`, before, n)
			if err != nil || len(finished) == 0 {
				return err
			}
			gone = len(finished)
			attempts, err = t.removeDeliveries(finished)
			return err
		})
		if err != nil {
			return 0, err
		}
		p.gone.Deliveries += int64(gone)
		p.gone.Attempts += int64(attempts)
		return gone, nil
	}
}

// removeDeliveries removes them with all that is theirs, and counts their attempts.
func (t *tx) removeDeliveries(finished []int64) (attempts int, err error) {
	all, err := asJSON(finished)
	if err != nil {
		return 0, err
	}
	if err := t.toBaseline(`SELECT d.webhook_id, m.bucket FROM json_each(?) j CROSS JOIN deliveries d ON d.n = j.value
		CROSS JOIN delivery_events m ON m.delivery = d.n WHERE m.bucket <> 'split'`, all); err != nil {
		return 0, err
	}
	if _, err := t.exec(`DELETE FROM delivery_events WHERE delivery IN (SELECT value FROM json_each(?))`, all); err != nil {
		return 0, err
	}
	if attempts, err = t.exec(`DELETE FROM attempts WHERE delivery IN (SELECT value FROM json_each(?))`, all); err != nil {
		return 0, err
	}
	_, err = t.exec(`DELETE FROM deliveries WHERE n IN (SELECT value FROM json_each(?))`, all)
	return attempts, err
}

func (p *pruning) suppressed(ctx context.Context, before int64) func(n int) (int, error) {
	const old = `SELECT webhook_id, seq, generation FROM suppressed WHERE at < ?1 ORDER BY at, webhook_id, seq, generation LIMIT ?2`
	return func(n int) (gone int, err error) {
		err = p.db.write(ctx, "pruning suppressed obligations", func(t *tx) (err error) {
			if err := t.toBaseline(`SELECT webhook_id, 'suppressed' AS bucket FROM (`+old+`)`, before, n); err != nil {
				return err
			}
			gone, err = t.exec(`DELETE FROM suppressed WHERE (webhook_id, seq, generation) IN (`+old+`)`, before, n)
			return err
		})
		if err != nil {
			return 0, err
		}
		p.gone.Suppressed += int64(gone)
		return gone, nil
	}
}

// What needs no more than to be old.
const (
	pruneAudit   = `DELETE FROM audit WHERE n IN (SELECT n FROM audit WHERE at < ?1 AND (outcome <> '' OR at < ?3) ORDER BY at LIMIT ?2)`
	pruneReplays = `DELETE FROM replays WHERE n IN (SELECT n FROM replays WHERE finished_at < ? LIMIT ?)`
	pruneMutes   = `DELETE FROM mutes WHERE n IN (SELECT n FROM mutes WHERE ends_at < ? ORDER BY ends_at LIMIT ?)`
	// Their steps go with them.
	pruneIncidents  = `DELETE FROM incidents WHERE n IN (SELECT n FROM incidents WHERE state = 'resolved' AND resolved_at < ? ORDER BY resolved_at LIMIT ?)`
	pruneRejections = `DELETE FROM rejections WHERE n IN (SELECT n FROM rejections WHERE at < ? ORDER BY at LIMIT ?)`
	pruneRefs       = `DELETE FROM refs WHERE (webhook_id, dedup_key) IN (SELECT webhook_id, dedup_key FROM refs WHERE updated_at < ? ORDER BY updated_at LIMIT ?)`
)

// plain removes by one of these, and adds to count.
func (p *pruning) plain(ctx context.Context, sql string, before int64, count *int64, more ...any) func(n int) (int, error) {
	return func(n int) (gone int, err error) {
		err = p.db.write(ctx, "pruning", func(t *tx) (err error) {
			gone, err = t.exec(sql, append([]any{before, n}, more...)...)
			return err
		})
		if err != nil {
			return 0, err
		}
		*count += int64(gone)
		return gone, nil
	}
}
