package postgres

import (
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/internal/recent"
)

// claim opens an attempt if the fence, the webhook's version and state, the delivery's
// state, and the attempt that ended in the same step ($5, $6) allow it; otherwise it does
// nothing. An attempt that is open already has an unknown outcome from now on.
const claim = `
WITH d AS (
	UPDATE deliveries d SET state = 'sending', attempts = d.attempts + 1, unsure = d.unsure OR d.state = 'sending',
		first_attempt_at = coalesce(d.first_attempt_at, l.seen_at)
	FROM leases l JOIN webhooks w ON w.id = l.webhook_id
	WHERE l.webhook_id = $1 AND l.fence = $2 AND w.version = $3 AND w.state IN ('active', 'failing')
		AND d.id = $4 AND d.webhook_id = l.webhook_id AND d.open
		AND ($5 = '' OR EXISTS (SELECT FROM attempts WHERE delivery_id = $5 AND number = $6))
	RETURNING d.*, l.seen_at AS at
), a AS (
	INSERT INTO attempts (delivery_id, number, started_at) SELECT id, attempts, at FROM d
)
SELECT ` + deliveryColumns + `, d.at, d.unsure FROM d`

// unclaimed says why a claim did nothing. It may be asked later: a version or a fence that
// was passed stays so, and nothing becomes allowed again under the same version.
const unclaimed = `
SELECT l.fence = $2, w.version = $3 AND w.state IN ('active', 'failing')
FROM leases l JOIN webhooks w ON w.id = l.webhook_id WHERE l.webhook_id = $1`

const claimedEvents = `
SELECT ` + eventColumns + `, de.generation FROM delivery_events de JOIN events e USING (seq)
WHERE de.delivery_id = $1 AND (de.fate IS NULL OR de.fate = 'again') ORDER BY de.place`

// claimedSeqs is claimedEvents for events that are at hand.
const claimedSeqs = `
SELECT seq, generation FROM delivery_events WHERE delivery_id = $1 AND (fate IS NULL OR fate = 'again') ORDER BY place`

// claimedRefs notes once a day that a reference is still used, which keeps it from being
// pruned. A webhook without any, as all of most channels, costs one look.
const claimedRefs = `
WITH r AS (
	SELECT webhook_id, dedup_key, value, updated_at FROM refs
	WHERE (SELECT true FROM refs WHERE webhook_id = $1 LIMIT 1) AND webhook_id = $1 AND dedup_key IN (
		SELECT dedup_key FROM delivery_events WHERE delivery_id = $2 AND (fate IS NULL OR fate = 'again'))
), used AS (
	UPDATE refs SET updated_at = clock_timestamp() FROM r
	WHERE refs.webhook_id = r.webhook_id AND refs.dedup_key = r.dedup_key AND r.updated_at < clock_timestamp() - interval '1 day'
)
SELECT dedup_key, value FROM r`

// queueClaim adds the statements of a step's claim; claimed says whether they did anything.
// atHand are all events of the delivery, or nil.
func (t *tx) queueClaim(f tocsin.Fence, s *tocsin.Step, atHand []tocsin.Event, c *tocsin.Claimed, claimed *bool) {
	deliveryID := s.Claim
	var ended string // the attempt that ends in the same step, if any
	var number int
	if after := s.Record; after != nil {
		ended, number = after.DeliveryID, after.Attempt.Number
	}
	t.one(claimed, claim, []any{f.WebhookID, f.Number, f.Version, deliveryID, ended, number},
		append(deliveryTargets(&c.Delivery), &c.At, &c.Uncertain)...)
	if atHand != nil {
		t.queue(claimedSeqs, deliveryID).Query(func(rows pgx.Rows) error { return pick(rows, atHand, c) })
	} else {
		t.queue(claimedEvents, deliveryID).Query(func(rows pgx.Rows) error {
			defer rows.Close()
			for rows.Next() {
				var generation int64
				e, err := scanEventAnd(rows, &generation)
				if err != nil {
					return err
				}
				c.Events, c.Generations = append(c.Events, e), append(c.Generations, generation)
			}
			return rows.Err()
		})
	}
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
}

// pick takes the events that claimedSeqs says from those at hand.
func pick(rows pgx.Rows, atHand []tocsin.Event, c *tocsin.Claimed) error {
	var seq, generation int64
	_, err := pgx.ForEachRow(rows, []any{&seq, &generation}, func() error {
		e, err := recent.Next(&atHand, seq)
		c.Events, c.Generations = append(c.Events, e), append(c.Generations, generation)
		return err
	})
	return err
}

// deliveryColumns are those that deliveryTargets takes, of a table named d.
const deliveryColumns = `d.id, d.webhook_id, d.state, d.reason, d.parent, d.count, d.attempts, d.created_at, d.first_attempt_at, d.finished_at, d.error_class, d.last_error`

func deliveryTargets(d *tocsin.Delivery) []any {
	return []any{&d.ID, &d.WebhookID, &d.State, &d.Reason, &d.Parent, &d.Count, &d.Attempts, &d.CreatedAt, &d.FirstAttempt, &d.FinishedAt, &d.ErrorClass, &d.LastError}
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
