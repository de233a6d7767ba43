package sqlite

import (
	"context"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/internal/sweep"
)

// referred are the events from ?1 to ?2 that something refers to. Pending rows are found
// by webhook, and incidents among the unresolved ones: there is no index on what changes with
// every event that fires again.
const referred = `
	SELECT p.seq FROM webhooks w CROSS JOIN pending p ON p.webhook_id = w.id WHERE p.seq BETWEEN ?1 AND ?2
	UNION SELECT seq FROM delivery_events WHERE seq BETWEEN ?1 AND ?2
	UNION SELECT seq FROM suppressed WHERE seq BETWEEN ?1 AND ?2
	UNION SELECT seq FROM incidents INDEXED BY incidents_unresolved WHERE state <> 'resolved' AND seq BETWEEN ?1 AND ?2`

// old is something of a certain age, and whether it is still needed.
type old struct {
	moment
	kept bool
}

func scanOld(r row) (o old, err error) {
	err = r.Scan(&o.seq, &o.at, &o.kept)
	return o, err
}

// looked returns what was looked at, and the numbers of what is not needed.
func looked(rows []old) (w sweep.Window[moment], free []int64) {
	for _, o := range rows {
		w.Seen, w.Last = w.Seen+1, o.moment
		if !o.kept {
			free = append(free, o.seq)
		}
	}
	return w, free
}

func (p *pruning) events(ctx context.Context, before int64) func(moment, int) (sweep.Window[moment], error) {
	return func(after moment, n int) (w sweep.Window[moment], err error) {
		var free []int64
		err = p.db.read(ctx, "looking for old events", func(t *tx) error {
			rows, err := t.oldEvents(before, after, n)
			w, free = looked(rows)
			return err
		})
		if err != nil || len(free) == 0 {
			return w, err
		}
		err = p.db.write(ctx, "pruning events", func(t *tx) (err error) {
			w.Gone, err = t.removeEvents(free)
			return err
		})
		p.gone.Events += int64(w.Gone)
		return w, err
	}
}

// oldEvents reads a window, and what of it is referred to.
func (t *tx) oldEvents(before int64, after moment, n int) ([]old, error) {
	rows, err := list(t, scanOld, `SELECT seq, received_at, 0 FROM events WHERE received_at < ?1 AND (received_at, seq) > (?2, ?3)
		ORDER BY received_at, seq LIMIT ?4`, before, after.at, after.seq, n)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	first, last := rows[0].seq, rows[0].seq
	for _, r := range rows {
		first, last = min(first, r.seq), max(last, r.seq)
	}
	seqs, err := list(t, scanNumber, referred, first, last)
	if err != nil {
		return nil, err
	}
	kept := make(map[int64]bool, len(seqs))
	for _, seq := range seqs {
		kept[seq] = true
	}
	for i := range rows {
		rows[i].kept = kept[rows[i].seq]
	}
	return rows, nil
}

// removeEvents looks again: a replay may have owed one since they were looked for.
func (t *tx) removeEvents(free []int64) (int, error) {
	all, err := asJSON(free)
	if err != nil {
		return 0, err
	}
	first, last := free[0], free[0]
	for _, seq := range free {
		first, last = min(first, seq), max(last, seq)
	}
	return t.exec(`DELETE FROM events WHERE seq IN (SELECT value FROM json_each(?3)) AND seq NOT IN (`+referred+`)`, first, last, all)
}

// keys removes keys whose events are gone, which never come back.
func (p *pruning) keys(ctx context.Context, before int64) func(moment, int) (sweep.Window[moment], error) {
	return func(after moment, n int) (w sweep.Window[moment], err error) {
		var free []int64
		err = p.db.read(ctx, "looking for old keys of events", func(t *tx) error {
			rows, err := list(t, scanOld, `SELECT k.seq, k.received_at, EXISTS (SELECT 1 FROM events e WHERE e.seq = k.seq)
				FROM event_keys k WHERE k.received_at < ?1 AND (k.received_at, k.seq) > (?2, ?3) ORDER BY k.received_at, k.seq LIMIT ?4`,
				before, after.at, after.seq, n)
			w, free = looked(rows)
			return err
		})
		if err != nil || len(free) == 0 {
			return w, err
		}
		all, err := asJSON(free)
		if err != nil {
			return w, err
		}
		err = p.db.write(ctx, "pruning keys of events", func(t *tx) (err error) {
			w.Gone, err = t.exec(`DELETE FROM event_keys WHERE (source, id) IN (SELECT source, id FROM event_keys
				WHERE received_at BETWEEN ?1 AND ?2 AND seq IN (SELECT value FROM json_each(?3)))`, after.at, w.Last.at, all)
			return err
		})
		p.gone.Keys += int64(w.Gone)
		return w, err
	}
}

// repeats walks by key, as there is no index by age.
func (p *pruning) repeats(ctx context.Context, before int64) func(pruneRepeat, int) (sweep.Window[pruneRepeat], error) {
	return func(after pruneRepeat, n int) (w sweep.Window[pruneRepeat], err error) {
		var free [][2]string
		err = p.db.read(ctx, "looking for old repeats", func(t *tx) error {
			_, err := list(t, func(r row) (struct{}, error) {
				var isOld bool
				err := r.Scan(&w.Last.webhookID, &w.Last.dedupKey, &isOld)
				if w.Seen++; isOld {
					free = append(free, [2]string{w.Last.webhookID, w.Last.dedupKey})
				}
				return struct{}{}, err
			}, `SELECT webhook_id, dedup_key, at < ?1 FROM repeats WHERE (webhook_id, dedup_key) > (?2, ?3) ORDER BY webhook_id, dedup_key LIMIT ?4`,
				before, after.webhookID, after.dedupKey, n)
			return err
		})
		if err != nil || len(free) == 0 {
			return w, err
		}
		all, err := asJSON(free)
		if err != nil {
			return w, err
		}
		err = p.db.write(ctx, "pruning repeats", func(t *tx) (err error) {
			w.Gone, err = t.exec(`DELETE FROM repeats WHERE (webhook_id, dedup_key) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?2)) AND at < ?1`, before, all)
			return err
		})
		p.gone.Refs += int64(w.Gone)
		return w, err
	}
}

// Prunable implements tocsin.Pruner: what Prune would remove when called until nothing
// is left.
func (db *DB) Prunable(ctx context.Context, r tocsin.Retention) (p tocsin.Pruned, err error) {
	err = db.read(ctx, "counting what is old", func(t *tx) error {
		before := func(keep time.Duration) any {
			if keep <= 0 {
				return nil // nothing is before NULL
			}
			return micros(t.now.Add(-keep))
		}
		return t.get(prunable, []any{before(r.History), before(r.Keys), before(r.Audit), before(r.Refs), before(sweep.RepeatsKept), before(auditOpen)},
			&p.Deliveries, &p.Attempts, &p.Suppressed, &p.Events, &p.Keys, &p.Audit, &p.Refs, &p.Incidents, &p.Rejections)
	})
	return p, err
}

// prunable reads each count by what Prune would have removed before.
const prunable = `
WITH kept (seq) AS MATERIALIZED (
	SELECT seq FROM pending
	UNION SELECT m.seq FROM deliveries d CROSS JOIN delivery_events m ON m.delivery = d.n WHERE d.finished_at IS NULL OR d.finished_at >= ?1
	UNION SELECT seq FROM suppressed WHERE at >= ?1
	UNION SELECT seq FROM incidents INDEXED BY incidents_unresolved WHERE state <> 'resolved'
), old_events (seq) AS MATERIALIZED (
	SELECT seq FROM events WHERE received_at < ?1 AND seq NOT IN (SELECT seq FROM kept)
)
SELECT (SELECT count(*) FROM deliveries WHERE finished_at < ?1),
	(SELECT count(*) FROM deliveries d CROSS JOIN attempts a ON a.delivery = d.n WHERE d.finished_at < ?1),
	(SELECT count(*) FROM suppressed WHERE at < ?1),
	(SELECT count(*) FROM old_events),
	(SELECT count(*) FROM event_keys k WHERE k.received_at < ?2
		AND (k.seq IN (SELECT seq FROM old_events) OR NOT EXISTS (SELECT 1 FROM events e WHERE e.seq = k.seq))),
	(SELECT count(*) FROM audit WHERE at < ?3 AND (outcome <> '' OR at < ?6)) + (SELECT count(*) FROM replays WHERE finished_at < ?3) + (SELECT count(*) FROM mutes WHERE ends_at < ?3),
	(SELECT count(*) FROM refs WHERE updated_at < ?4) + (SELECT count(*) FROM repeats WHERE at < ?5),
	(SELECT count(*) FROM incidents WHERE state = 'resolved' AND resolved_at < ?1),
	(SELECT count(*) FROM rejections WHERE at < ?1)`
