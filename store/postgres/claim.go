package postgres

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
)

// claim opens an attempt if the fence, the webhook's version and state, and the
// delivery's state all allow it; otherwise it does nothing. An attempt that is open
// already has an unknown outcome from now on.
const claim = `
WITH d AS (
	UPDATE deliveries d SET state = 'sending', attempts = d.attempts + 1, unsure = d.unsure OR d.state = 'sending',
		first_attempt_at = coalesce(d.first_attempt_at, l.seen_at)
	FROM leases l JOIN webhooks w ON w.id = l.webhook_id
	WHERE l.webhook_id = $1 AND l.fence = $2 AND w.version = $3 AND w.state IN ('active', 'failing')
		AND d.id = $4 AND d.webhook_id = l.webhook_id AND d.open
	RETURNING d.*, l.seen_at AS at
), a AS (
	INSERT INTO attempts (delivery_id, number, started_at) SELECT id, attempts, at FROM d
)
SELECT ` + deliveryColumns + `, d.at, d.unsure FROM d`

const claimedEvents = `
SELECT ` + eventColumns + ` FROM delivery_events de JOIN events e USING (seq)
WHERE de.delivery_id = $1 AND (de.fate IS NULL OR de.fate = 'again') ORDER BY de.place`

// claimedRefs notes once a day that a reference is still used, which keeps it from being
// pruned.
const claimedRefs = `
WITH r AS (
	SELECT webhook_id, dedup_key, value, updated_at FROM refs WHERE webhook_id = $1 AND dedup_key IN (
		SELECT dedup_key FROM delivery_events WHERE delivery_id = $2 AND (fate IS NULL OR fate = 'again'))
), used AS (
	UPDATE refs SET updated_at = clock_timestamp() FROM r
	WHERE refs.webhook_id = r.webhook_id AND refs.dedup_key = r.dedup_key AND r.updated_at < clock_timestamp() - interval '1 day'
)
SELECT dedup_key, value FROM r`

// Claim implements [tocsin.Queue]. One round trip: all conditions are in the
// statements.
func (db *DB) Claim(ctx context.Context, f tocsin.Fence, deliveryID string) (tocsin.Claimed, error) {
	var c tocsin.Claimed
	var held, claimed, allowed bool
	err := db.transact(ctx, "claiming delivery", func(t *tx) error {
		c = tocsin.Claimed{}
		t.fenced(&held, f)
		t.one(nil, `SELECT version = $2 AND state IN ('active', 'failing') FROM webhooks WHERE id = $1`, []any{f.WebhookID, f.Version}, &allowed)
		t.one(&claimed, claim, []any{f.WebhookID, f.Number, f.Version, deliveryID}, append(deliveryTargets(&c.Delivery), &c.At, &c.Uncertain)...)
		collect(t.queue(claimedEvents, deliveryID), &c.Events, scanEvent)
		t.queue(claimedRefs, f.WebhookID, deliveryID).Query(func(rows pgx.Rows) error {
			var dedupKey string
			var value []byte
			_, err := pgx.ForEachRow(rows, []any{&dedupKey, &value}, func() error {
				if c.Refs == nil {
					c.Refs = map[string]json.RawMessage{}
				}
				c.Refs[dedupKey] = append(json.RawMessage(nil), value...)
				return nil
			})
			return err
		})
		return nil
	})
	switch {
	case err != nil:
	case !held:
		err = tocsin.ErrFenced
	case !allowed:
		err = tocsin.ErrVersion
	case !claimed:
		err = tocsin.ErrNotFound
	}
	if err != nil {
		return tocsin.Claimed{}, err
	}
	c.Attempt = c.Delivery.Attempts
	return c, nil
}

// deliveryColumns are those that deliveryTargets takes, of a table named d.
const deliveryColumns = `d.id, d.webhook_id, d.state, d.reason, d.parent, d.count, d.attempts, d.created_at, d.first_attempt_at, d.finished_at`

func deliveryTargets(d *tocsin.Delivery) []any {
	return []any{&d.ID, &d.WebhookID, &d.State, &d.Reason, &d.Parent, &d.Count, &d.Attempts, &d.CreatedAt, &d.FirstAttempt, &d.FinishedAt}
}

func scanDelivery(row pgx.CollectableRow) (d tocsin.Delivery, err error) {
	err = row.Scan(deliveryTargets(&d)...)
	return d, err
}

func scanAttempt(row pgx.CollectableRow) (a tocsin.Attempt, err error) {
	var number int
	var started time.Time
	var finished *time.Time
	var body []byte
	if err := row.Scan(&number, &started, &finished, &body); err != nil {
		return a, err
	}
	if body == nil {
		return tocsin.Attempt{Number: number, StartedAt: started, Outcome: "unknown"}, nil
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return a, err
	}
	a.Number, a.StartedAt, a.FinishedAt = number, started, finished
	return a, nil
}
