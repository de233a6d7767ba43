package postgres

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
)

// run looks, decides, and adds what is to be written.
func (r *recording) run(ctx context.Context, t *tx, db *DB, body string) error {
	r.look(t)
	if err := t.flush(ctx); err != nil {
		return err
	}
	if done, err := r.decide(); done || err != nil {
		return err
	}
	t.queue(`UPDATE attempts SET finished_at = $3, unsure = $4, body = $5::json WHERE delivery_id = $1 AND number = $2`,
		r.o.DeliveryID, r.o.Attempt.Number, r.now, r.o.Unsure, body)
	if r.open {
		r.settle(t)
		db.keepRefs(t, r.f.WebhookID, r.o.Refs, r.now)
		r.updateLease(t)
		r.updateWebhook(t)
	}
	return nil
}

// recording is one try to record an outcome that is not plain (see success): what is stored, and what becomes of it.
type recording struct {
	f tocsin.Fence
	o tocsin.Outcome

	// The lease and webhook as locked, by the store's clock.
	leased, delivered bool
	fence             int64
	now               time.Time
	version           int64
	state             tocsin.State

	// The delivery, and whether its attempt was there and recorded before.
	known, open, attempted, recorded bool
	startedAt                        time.Time
	number                           int64
	path                             string
	inFlight                         int64
	events                           []place // those the attempt was about, in order

	fates fates
}

// place is an event of a delivery. again: it was delivered before, so that it moves no
// bucket of the ledger.
type place struct {
	place int32
	again bool
}

// look reads everything the decision rests on; the lease's lock comes first.
func (r *recording) look(t *tx) {
	t.one(&r.leased, `SELECT fence, clock_timestamp(), `+byKey+` FROM leases WHERE webhook_id = $1 FOR UPDATE`, []any{r.f.WebhookID}, &r.fence, &r.now, nil)
	t.one(nil, `SELECT version, state FROM webhooks WHERE id = $1`, []any{r.f.WebhookID}, &r.version, &r.state)
	t.one(&r.known, `SELECT open, number, path, in_flight FROM deliveries WHERE id = $1 AND webhook_id = $2 FOR UPDATE`,
		[]any{r.o.DeliveryID, r.f.WebhookID}, &r.open, &r.number, &r.path, &r.inFlight)
	t.one(&r.attempted, `SELECT finished_at IS NOT NULL, started_at FROM attempts WHERE delivery_id = $1 AND number = $2`,
		[]any{r.o.DeliveryID, r.o.Attempt.Number}, &r.recorded, &r.startedAt)
	if len(r.o.Dead)+len(r.o.Children) > 0 || r.o.State == tocsin.DeliverySplit {
		collect(t.queue(`SELECT place, fate IS NOT NULL FROM delivery_events
			WHERE delivery_id = $1 AND (fate IS NULL OR fate = 'again') ORDER BY place`, r.o.DeliveryID), &r.events,
			func(row pgx.CollectableRow) (p place, err error) {
				err = row.Scan(&p.place, &p.again)
				return p, err
			})
	}
}

// decide reports whether there is nothing to do.
func (r *recording) decide() (done bool, err error) {
	switch {
	case !r.leased:
		return true, tocsin.ErrNotFound
	case r.fence != r.f.Number && r.o.State != tocsin.DeliveryDelivered:
		return true, tocsin.ErrFenced
	case !r.known || !r.attempted:
		return true, tocsin.ErrNotFound
	case r.recorded: // a repeated call, as after a commit whose answer was lost
		return true, nil
	case !r.open:
		return false, nil
	}
	r.fates, err = sortFates(r.o, r.events, r.inFlight)
	// What was delivered before and is accepted again moves no bucket, and counts here.
	accepted := len(r.events) - len(r.o.Dead)
	for _, c := range r.o.Children {
		accepted -= len(c.Places)
	}
	r.delivered = r.o.State == tocsin.DeliveryDelivered || r.o.State == tocsin.DeliverySplit && accepted > 0
	return false, err
}

// keepRefs stores what the vendor called things. A value that is not JSON is left out:
// failing here would forget that something was delivered.
func (db *DB) keepRefs(t *tx, webhookID string, refs map[string]json.RawMessage, now time.Time) {
	var keys, values []string
	for k, v := range refs {
		if !json.Valid(v) || !isText(k) {
			db.log.Error("leaving out a reference that cannot be stored", "webhook", webhookID, "dedup_key", k)
			continue
		}
		keys, values = append(keys, k), append(values, string(v))
	}
	if len(keys) > 0 {
		t.queue(`INSERT INTO refs (webhook_id, dedup_key, value, updated_at)
			SELECT $1, r.key, r.value::json, $4 FROM unnest($2::text[], $3::text[]) AS r (key, value)
			ON CONFLICT (webhook_id, dedup_key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at`,
			webhookID, keys, values, now)
	}
}

// updateLease keeps count of failures and sets backoff. A backoff that was learned of
// an older configuration says nothing about the new one. With no failure before this one,
// since when it fails begins anew, whatever is stored: a program that did not know of it
// left it behind at a success.
func (r *recording) updateLease(t *tx) {
	current := r.version == r.f.Version
	var due *time.Time
	ended := r.o.State == tocsin.DeliverySplit || r.o.State == tocsin.DeliveryDead
	if current && (r.o.State == tocsin.DeliveryReady || ended && r.o.Backoff > 0) {
		at := r.now.Add(r.o.Backoff)
		due = &at
	}
	t.queue(`UPDATE leases SET
			seen_at = CASE WHEN fence = $2 THEN $3 ELSE seen_at END,
			failures = CASE WHEN $4 THEN 0 WHEN $5 THEN failures + 1 ELSE failures END,
			failing_since = CASE WHEN $4 THEN NULL WHEN NOT $5 THEN failing_since
				WHEN failures > 0 THEN coalesce(failing_since, $3) ELSE $3 END,
			rejections = CASE WHEN $4 THEN 0 WHEN $8 THEN rejections + 1 ELSE rejections END,
			last_delivery = CASE WHEN $4 THEN $3 ELSE last_delivery END,
			last_error = CASE WHEN $6 <> '' THEN $6 ELSE last_error END,
			due_at = CASE WHEN $7::timestamptz IS NOT NULL THEN greatest($7, due_at) WHEN $4 AND due_at <= $3 THEN NULL ELSE due_at END
		WHERE webhook_id = $1`,
		r.f.WebhookID, r.f.Number, r.now, r.delivered, r.o.Failed, clean(r.o.Attempt.Error), due, r.o.Rejected)
}

// updateWebhook moves the webhook between the states that deliver, or disables it.
func (r *recording) updateWebhook(t *tx) {
	to := r.o.WebhookState
	if to == "" || to == r.state || r.version != r.f.Version || !r.state.Delivers() {
		return
	}
	disabled := to == tocsin.StateDisabled
	t.queue(`UPDATE webhooks SET state = $2, state_reason = $3, state_since = $4,
			version = CASE WHEN $5 THEN version + 1 ELSE version END, updated_at = CASE WHEN $5 THEN $4 ELSE updated_at END
		WHERE id = $1`, r.f.WebhookID, to, clean(r.o.WebhookReason), r.now, disabled)
	if disabled {
		t.queue(`UPDATE leases SET due_at = NULL WHERE webhook_id = $1`, r.f.WebhookID)
		t.queue(nextRevision)
	}
}
