package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/internal/series"
)

// latestAttempts are those of some deltas, at most 200 (tocsin.RecentAttempts) of each webhook,
// oldest first.
func latestAttempts(from, where string) string {
	return `SELECT webhook_id, array_agg(minute ORDER BY id) AS minutes, array_agg(took ORDER BY id) AS took FROM (
		SELECT webhook_id, id, floor(extract(epoch FROM at) / 60)::integer AS minute, CASE WHEN failed THEN -1 - took ELSE took END AS took,
			row_number() OVER (PARTITION BY webhook_id ORDER BY id DESC) AS rank
		FROM ` + from + ` WHERE took IS NOT NULL AND ` + where + `) AS ended WHERE rank <= 200 GROUP BY webhook_id`
}

// foldAttempts keeps the latest attempts of the deltas that are gone, one row for each webhook.
var foldAttempts = `ended AS (
	INSERT INTO recent_attempts AS r (webhook_id, minutes, took) ` + latestAttempts("gone", "true") + `
	ON CONFLICT (webhook_id) DO UPDATE SET
		minutes = (r.minutes || excluded.minutes)[greatest(1, cardinality(r.minutes) + cardinality(excluded.minutes) - 199):],
		took = (r.took || excluded.took)[greatest(1, cardinality(r.took) + cardinality(excluded.took) - 199):]
)`

// readFacts goes by the ids: balances, the first of what is owed, and the latest attempts, of
// what is folded and what is not. The ids are joined: compared with an array, each delta would be
// with each of them.
var readFacts = `
WITH asked AS MATERIALIZED (
	SELECT webhook_id FROM unnest($1::text[]) AS webhook_id
), s AS MATERIALIZED (
	SELECT w.id AS webhook_id, w.name, coalesce(sum(accepted), 0)::bigint AS accepted, coalesce(sum(delivered), 0)::bigint AS delivered,
		coalesce(sum(pending), 0)::bigint AS pending, coalesce(sum(in_flight), 0)::bigint AS in_flight, coalesce(sum(dead), 0)::bigint AS dead,
		coalesce(sum(suppressed), 0)::bigint AS suppressed
	FROM webhooks w LEFT JOIN (
		SELECT webhook_id, accepted, delivered, pending, in_flight, dead, suppressed FROM ledger JOIN asked USING (webhook_id)
		UNION ALL SELECT webhook_id, accepted, delivered, pending, in_flight, dead, suppressed FROM ledger_deltas JOIN asked USING (webhook_id)
	) AS rows ON rows.webhook_id = w.id
	WHERE w.id = ANY($1::text[]) GROUP BY w.id, w.name
), late AS (` + latestAttempts("ledger_deltas JOIN asked USING (webhook_id)", "true") + `)
SELECT clock_timestamp(), s.webhook_id, s.name, s.accepted, s.delivered, s.pending, s.in_flight, s.dead, s.suppressed, ` + oldestOwed + `,
	r.minutes, r.took, late.minutes, late.took, j.events, j.at
FROM s LEFT JOIN recent_attempts r USING (webhook_id) LEFT JOIN late USING (webhook_id), LATERAL (
	SELECT count(DISTINCT (batch, event)) AS events, max(at) AS at FROM rejections
	WHERE rejections.webhook_id = s.webhook_id AND at > clock_timestamp() - $2::interval) AS j`

// WebhookFacts implements [tocsin.Facts].
func (db *DB) WebhookFacts(ctx context.Context, ids ...string) (map[string]tocsin.WebhookFacts, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := db.pool.Query(ctx, readFacts, slices.Compact(slices.Sorted(slices.Values(ids))), tocsin.RecentFor)
	if err != nil {
		return nil, wrap("reading facts of webhooks", err)
	}
	all := make(map[string]tocsin.WebhookFacts, len(ids))
	var now time.Time
	var f tocsin.WebhookFacts
	var folded, late series.Attempts
	_, err = pgx.ForEachRow(rows, []any{
		&now, &f.WebhookID, &f.Webhook, &f.Accepted, &f.Delivered, &f.Pending, &f.InFlight, &f.Dead, &f.Suppressed, &f.OldestAt,
		&folded.Minutes, &folded.Took, &late.Minutes, &late.Took, &f.Rejected, &f.RejectedAt,
	}, func() error {
		f.Recent = folded.Then(late).Recent(now)
		all[f.WebhookID] = f
		f.OldestAt, f.RejectedAt = nil, nil // a row of its own for each
		return nil
	})
	return all, wrap("reading facts of webhooks", err)
}
