package postgres

import "github.com/tocsin-alerts/tocsin"

// plain reports whether an outcome is the usual one, which succeeds records.
func plain(o *tocsin.Outcome) bool {
	return o.State == tocsin.DeliveryDelivered && len(o.Dead)+len(o.Children)+len(o.Refs) == 0 &&
		o.WebhookState == "" && o.Attempt.Error == "" && !o.Failed && !o.Rejected
}

const lockLease = `SELECT fence = $2, ` + byKey + ` FROM leases WHERE webhook_id = $1 FOR UPDATE`

// success records that all events of a delivery were accepted. It does what recording
// does, and decides by itself: an attempt that was recorded before stays as it is, and a
// delivery that is not open any more takes nothing but the attempt. It returns no row when
// there is no such attempt.
var success = `
WITH moment AS MATERIALIZED (
	SELECT clock_timestamp() AS at
), found AS MATERIALIZED (
	SELECT d.open, d.in_flight FROM deliveries d JOIN attempts a ON a.delivery_id = d.id AND a.number = $4
	WHERE d.id = $3 AND d.webhook_id = $1
), attempt AS (
	UPDATE attempts SET finished_at = at, unsure = $5, body = $6::json FROM moment, found
	WHERE delivery_id = $3 AND number = $4 AND finished_at IS NULL
	RETURNING found.open, found.in_flight, ` + took("at - started_at") + ` AS took
), settled AS (
	UPDATE deliveries d SET state = 'delivered', reason = '', unsure = d.unsure OR $5, due = 0, in_flight = 0, finished_at = at
	FROM moment, attempt WHERE d.id = $3 AND attempt.open
	RETURNING attempt.in_flight, attempt.took
), counted AS (
	INSERT INTO ledger_deltas (webhook_id, in_flight, delivered, took, failed) SELECT $1, -in_flight, in_flight, took, false FROM settled
), lease AS (
	UPDATE leases SET seen_at = CASE WHEN fence = $2 THEN at ELSE seen_at END,
		failures = CASE WHEN done THEN 0 ELSE failures END,
		failing_since = CASE WHEN NOT done THEN failing_since END,
		rejections = CASE WHEN done THEN 0 ELSE rejections END,
		last_delivery = CASE WHEN done THEN at ELSE last_delivery END,
		due_at = CASE WHEN NOT done OR due_at > at THEN due_at END
	FROM moment, (SELECT EXISTS (SELECT FROM settled) AS done) AS s WHERE webhook_id = $1
)
SELECT true FROM found`

// succeed adds the statements; found is whether there is such an attempt.
func (t *tx) succeed(f tocsin.Fence, o *tocsin.Outcome, body string, held, found *bool) {
	var there bool
	t.one(nil, lockLease, []any{f.WebhookID, f.Number}, held, nil)
	t.one(found, success, []any{f.WebhookID, f.Number, o.DeliveryID, o.Attempt.Number, o.Unsure, body}, &there)
}
