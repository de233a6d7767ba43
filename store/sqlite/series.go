package sqlite

import (
	"context"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/internal/series"
)

const (
	// movement are the columns of an activity that moved, in their order.
	movement    = `events, accepted, delivered, dead, suppressed, attempts, failed`
	sumMovement = `sum(events), sum(accepted), sum(delivered), sum(dead), sum(suppressed), sum(attempts), sum(failed)`

	// moved are deltas as movements.
	moved = `SELECT webhook_id, at, coalesce(events, 0) AS events, accepted, delivered, dead, suppressed,
		took IS NOT NULL AS attempts, coalesce(failed, 0) AS failed FROM ledger_deltas WHERE at IS NOT NULL`
)

// foldActivity adds the deltas to the sums by minute and by quarter of an hour, of their
// webhooks and of all. What only went from pending to in flight is in none.
func (t *tx) foldActivity() error {
	for _, s := range series.Steps {
		_, err := t.exec(`INSERT INTO activity (step, starts_at, webhook_id, `+movement+`) SELECT * FROM (
			SELECT ?1, at - at % ?2, webhook_id, 0, sum(accepted), sum(delivered), sum(dead), sum(suppressed), sum(attempts), sum(failed) FROM (`+moved+`)
				WHERE webhook_id <> '' AND (accepted, delivered, dead, suppressed, attempts) <> (0, 0, 0, 0, 0) GROUP BY 2, 3
			UNION ALL SELECT ?1, at - at % ?2, '', `+sumMovement+` FROM (`+moved+`)
				WHERE (events, accepted, delivered, dead, suppressed, attempts) <> (0, 0, 0, 0, 0, 0) GROUP BY 2) WHERE true
			ON CONFLICT DO UPDATE SET events = events + excluded.events, accepted = accepted + excluded.accepted, delivered = delivered + excluded.delivered,
				dead = dead + excluded.dead, suppressed = suppressed + excluded.suppressed, attempts = attempts + excluded.attempts, failed = failed + excluded.failed`,
			int(s.Step/time.Minute), s.Step.Microseconds())
		if err != nil {
			return err
		}
	}
	return nil
}

// readSeries looks up each span by its key, and adds what is not folded.
const readSeries = `
SELECT starts_at, ` + sumMovement + ` FROM (
	SELECT starts_at, ` + movement + ` FROM json_each(?4) span CROSS JOIN activity a ON a.step = ?1 AND a.starts_at = span.value AND a.webhook_id = ?3
	UNION ALL SELECT at - at % ?2, iif(?3 = '', events, 0), accepted, delivered, dead, suppressed, attempts, failed
	FROM (` + moved + `) WHERE at >= ?5 AND (?3 = '' OR webhook_id = ?3)
) GROUP BY 1`

// Series implements tocsin.Facts.
func (db *DB) Series(ctx context.Context, webhookID string, window time.Duration) (s tocsin.Series, err error) {
	err = db.read(ctx, "reading activity", func(t *tx) error {
		if s, err = series.Frame(t.now, window); err != nil {
			return err
		}
		starts := make([]int64, len(s.Spans))
		for i, span := range s.Spans {
			starts[i] = micros(span.Start)
		}
		all, err := asJSON(starts)
		if err != nil {
			return err
		}
		_, err = list(t, func(r row) (struct{}, error) {
			var start time.Time
			var m tocsin.Movement
			err := r.Scan(at{&start}, &m.Events, &m.Accepted, &m.Delivered, &m.Dead, &m.Suppressed, &m.Attempts, &m.Failed)
			if err == nil {
				series.Fill(&s, start, m)
			}
			return struct{}{}, err
		}, readSeries, int(s.Step/time.Minute), s.Step.Microseconds(), webhookID, all, starts[0])
		return err
	})
	return s, err
}

// pruneActivity removes sums that no series asks for any more.
const pruneActivity = `DELETE FROM activity WHERE (step, starts_at, webhook_id) IN (
	SELECT step, starts_at, webhook_id FROM activity WHERE step = ?3 AND starts_at < ?1 ORDER BY starts_at, webhook_id LIMIT ?2)`
