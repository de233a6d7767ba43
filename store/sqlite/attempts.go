package sqlite

import (
	"context"
	"slices"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/internal/series"
)

// lateAttempts are those that are not folded, at most as many of each webhook as are looked
// at, oldest first; of all webhooks without ids.
func (t *tx) lateAttempts(ids string) (map[string]series.Attempts, error) {
	late := map[string]series.Attempts{}
	_, err := list(t, func(r row) (struct{}, error) {
		var id string
		var minute, took int32
		err := r.Scan(&id, &minute, &took)
		a := late[id]
		late[id] = series.Attempts{Minutes: append(a.Minutes, minute), Took: append(a.Took, took)}
		return struct{}{}, err
	}, `SELECT webhook_id, minute, took FROM (
			SELECT webhook_id, n, at / 60000000 AS minute, iif(failed, -1 - took, took) AS took, row_number() OVER (PARTITION BY webhook_id ORDER BY n DESC) AS rank
			FROM ledger_deltas WHERE took IS NOT NULL AND (?1 = '' OR webhook_id IN (SELECT value FROM json_each(?1))))
		WHERE rank <= ?2 ORDER BY n`, ids, tocsin.RecentAttempts)
	return late, err
}

// foldAttempts keeps the latest attempts of the deltas, one row for each webhook.
func (t *tx) foldAttempts() error {
	late, err := t.lateAttempts("")
	if err != nil {
		return err
	}
	for id, attempts := range late {
		var kept series.Attempts
		_, err := list(t, func(r row) (struct{}, error) {
			return struct{}{}, r.Scan(inJSON{&kept.Minutes}, inJSON{&kept.Took})
		}, `SELECT minutes, took FROM recent_attempts WHERE webhook_id = ?`, id)
		if err != nil {
			return err
		}
		kept = kept.Then(attempts)
		minutes, err := asJSON(kept.Minutes)
		if err != nil {
			return err
		}
		took, err := asJSON(kept.Took)
		if err != nil {
			return err
		}
		if _, err := t.exec(`INSERT INTO recent_attempts (webhook_id, minutes, took) VALUES (?, ?, ?)
			ON CONFLICT DO UPDATE SET minutes = excluded.minutes, took = excluded.took`, id, minutes, took); err != nil {
			return err
		}
	}
	return nil
}

// readFacts goes by the ids: balances, the first of what is owed, and the latest attempts that
// are folded.
const readFacts = `
SELECT s.webhook_id, s.name, s.accepted, s.delivered, s.pending, s.in_flight, s.dead, s.suppressed, ` + oldestOwed + `, r.minutes, r.took,
	(SELECT count(DISTINCT batch || ' ' || coalesce(event, '')) FROM rejections j WHERE j.webhook_id = s.webhook_id AND j.at > ?2),
	(SELECT max(at) FROM rejections j WHERE j.webhook_id = s.webhook_id AND j.at > ?2)
FROM (SELECT w.id AS webhook_id, w.name, coalesce(sum(accepted), 0) AS accepted, coalesce(sum(delivered), 0) AS delivered, coalesce(sum(pending), 0) AS pending,
		coalesce(sum(in_flight), 0) AS in_flight, coalesce(sum(dead), 0) AS dead, coalesce(sum(suppressed), 0) AS suppressed
	FROM json_each(?1) ids CROSS JOIN webhooks w ON w.id = ids.value
	LEFT JOIN (SELECT * FROM (` + counted + `) WHERE webhook_id IN (SELECT value FROM json_each(?1))) rows ON rows.webhook_id = w.id GROUP BY w.id) s
LEFT JOIN recent_attempts r ON r.webhook_id = s.webhook_id`

// WebhookFacts implements tocsin.Facts.
func (db *DB) WebhookFacts(ctx context.Context, ids ...string) (map[string]tocsin.WebhookFacts, error) {
	all := make(map[string]tocsin.WebhookFacts, len(ids))
	wanted, err := asJSON(slices.Compact(slices.Sorted(slices.Values(append([]string{}, ids...)))))
	if err != nil {
		return nil, err
	}
	err = db.read(ctx, "reading facts of webhooks", func(t *tx) error {
		late, err := t.lateAttempts(wanted)
		if err != nil {
			return err
		}
		_, err = list(t, func(r row) (struct{}, error) {
			var f tocsin.WebhookFacts
			var folded series.Attempts
			err := r.Scan(&f.WebhookID, &f.Webhook, &f.Accepted, &f.Delivered, &f.Pending, &f.InFlight, &f.Dead, &f.Suppressed, atMaybe{&f.OldestAt},
				inJSON{&folded.Minutes}, inJSON{&folded.Took}, &f.Rejected, atMaybe{&f.RejectedAt})
			f.Recent = folded.Then(late[f.WebhookID]).Recent(t.now)
			all[f.WebhookID] = f
			return struct{}{}, err
		}, readFacts, wanted, micros(t.now.Add(-tocsin.RecentFor)))
		return err
	})
	return all, err
}
