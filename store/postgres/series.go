package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/internal/series"
)

// movement are the columns of an activity that moved, in their order.
const movement = `events, accepted, delivered, dead, suppressed, attempts, failed`

// sumMovement sums them, of a table that has them.
const sumMovement = `sum(events)::bigint, sum(accepted)::bigint, sum(delivered)::bigint, sum(dead)::bigint, sum(suppressed)::bigint,
	sum(attempts)::bigint, sum(failed)::bigint`

// moved are deltas as movements.
const moved = `webhook_id, at, coalesce(events, 0) AS events, accepted, delivered, dead, suppressed,
	(took IS NOT NULL)::integer AS attempts, coalesce(failed, false)::integer AS failed`

// foldActivity adds the deltas that are gone to the sums by minute and by quarter of an hour, of
// their webhooks and of all. What only went from pending to in flight is in none.
const foldActivity = `moves AS MATERIALIZED (
	SELECT ` + moved + ` FROM gone WHERE at IS NOT NULL
), spans AS (
	SELECT step, date_bin(make_interval(mins => step), at, 'epoch'::timestamptz) AS starts_at, webhook_id, ` + movement + `
	FROM moves, (VALUES (1), (15)) AS s (step)
), added AS (
	INSERT INTO activity AS a (step, starts_at, webhook_id, ` + movement + `)
	SELECT step, starts_at, webhook_id, 0, sum(accepted), sum(delivered), sum(dead), sum(suppressed), sum(attempts), sum(failed)
	FROM spans WHERE webhook_id <> '' AND (accepted, delivered, dead, suppressed, attempts) <> (0, 0, 0, 0, 0) GROUP BY 1, 2, 3
	UNION ALL SELECT step, starts_at, '', ` + sumMovement + `
	FROM spans WHERE (events, accepted, delivered, dead, suppressed, attempts) <> (0, 0, 0, 0, 0, 0) GROUP BY 1, 2
	ON CONFLICT (step, starts_at, webhook_id) DO UPDATE SET events = a.events + excluded.events, accepted = a.accepted + excluded.accepted,
		delivered = a.delivered + excluded.delivered, dead = a.dead + excluded.dead, suppressed = a.suppressed + excluded.suppressed,
		attempts = a.attempts + excluded.attempts, failed = a.failed + excluded.failed
)`

// readSeries looks up each span by its key, and adds what is not folded.
const readSeries = `
SELECT starts_at, ` + sumMovement + ` FROM (
	SELECT starts_at, ` + movement + ` FROM unnest($3::timestamptz[]) AS span (starts_at) JOIN activity USING (starts_at)
	WHERE step = $1 AND webhook_id = $2
	UNION ALL SELECT date_bin(make_interval(mins => $1::integer), at, 'epoch'::timestamptz), CASE WHEN $2 = '' THEN events ELSE 0 END,
		accepted, delivered, dead, suppressed, attempts, failed
	FROM (SELECT ` + moved + ` FROM ledger_deltas WHERE at >= $4 AND ($2 = '' OR webhook_id = $2)) AS moves
) AS found GROUP BY 1`

// Series implements [tocsin.Facts].
func (db *DB) Series(ctx context.Context, webhookID string, window time.Duration) (s tocsin.Series, err error) {
	err = db.snapshot(ctx, "reading activity", func(t *tx) error {
		var now time.Time
		t.one(nil, `SELECT clock_timestamp()`, nil, &now)
		if err := t.flush(ctx); err != nil {
			return err
		}
		if s, err = series.Frame(now, window); err != nil {
			return err
		}
		starts := make([]time.Time, len(s.Spans))
		for i, span := range s.Spans {
			starts[i] = span.Start
		}
		t.queue(readSeries, int16(s.Step/time.Minute), webhookID, starts, starts[0]).Query(func(rows pgx.Rows) error { // #nosec G115 -- 1 or 15
			var start time.Time
			var m tocsin.Movement
			_, err := pgx.ForEachRow(rows, []any{&start, &m.Events, &m.Accepted, &m.Delivered, &m.Dead, &m.Suppressed, &m.Attempts, &m.Failed}, func() error {
				series.Fill(&s, start, m)
				return nil
			})
			return err
		})
		return nil
	})
	return s, err
}

// pruneActivity removes sums that no series asks for any more.
const pruneActivity = `
WITH gone AS (
	DELETE FROM activity WHERE (step, starts_at, webhook_id) IN (
		SELECT step, starts_at, webhook_id FROM activity WHERE step = $3 AND starts_at < $1 ORDER BY starts_at LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING step
) SELECT count(*) FROM gone`
