package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// record stores how an attempt ended; held is whether the fence is. Recording again what
// was recorded changes nothing. What an attempt says of the webhook (backoff, state) counts
// only while the webhook's version is the one that was tried.
func (t *tx) record(f tocsin.Fence, o tocsin.Outcome, held error) error {
	if held != nil && o.State != tocsin.DeliveryDelivered { // a success is true whoever saw it
		return held
	}
	d, err := one(t, scanDelivery, `SELECT `+deliveryColumns+` FROM deliveries d WHERE d.id = ? AND d.webhook_id = ?`, o.DeliveryID, f.WebhookID)
	if err != nil {
		return err
	}
	began, repeated, err := t.endAttempt(d, o)
	if err != nil || !d.open() || repeated {
		return err
	}
	delivered, moved, err := t.settle(d, o)
	if err != nil {
		return err
	}
	took := min(max(0, t.now.Sub(began).Milliseconds()), math.MaxInt32)
	if err := t.note(d.WebhookID, delta{Balance: moved, took: took, failed: o.State != tocsin.DeliveryDelivered && delivered == 0}); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(o.Refs)) {
		if _, err := t.exec(`INSERT INTO refs (webhook_id, dedup_key, ref, updated_at) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET ref = excluded.ref, updated_at = excluded.updated_at`, f.WebhookID, key, []byte(o.Refs[key]), micros(t.now)); err != nil {
			return err
		}
	}
	return t.learn(f, o, delivered)
}

// endAttempt stores how the attempt ended. Its beginning stays what the store said.
func (t *tx) endAttempt(d delivery, o tocsin.Outcome) (began time.Time, repeated bool, err error) {
	a := o.Attempt
	var opened tocsin.Attempt
	err = t.get(`SELECT recorded, body FROM attempts WHERE delivery = ? AND number = ?`, []any{d.n, a.Number}, &repeated, inJSON{&opened})
	switch {
	case err == nil:
		a.StartedAt = opened.StartedAt
	case !errors.Is(err, sql.ErrNoRows):
		return began, false, err
	}
	if repeated && opened.FinishedAt != nil {
		a.FinishedAt = opened.FinishedAt
	}
	if a.FinishedAt == nil {
		a.FinishedAt = &t.now
	}
	body, err := asJSON(a)
	if err != nil {
		return began, false, err
	}
	refused := o.State != tocsin.DeliveryDelivered && !o.Unsure
	_, err = t.exec(`INSERT INTO attempts (delivery, number, recorded, refused, body) VALUES (?, ?, 1, ?, ?)
		ON CONFLICT DO UPDATE SET recorded = 1, refused = excluded.refused, body = excluded.body`, d.n, a.Number, refused, body)
	return a.StartedAt, repeated, err
}

// settle moves the delivery and its events, and returns how many were delivered, and what that
// moves in the ledger.
func (t *tx) settle(d delivery, o tocsin.Outcome) (delivered int, moved tocsin.Balance, err error) {
	reason, finished := o.Reason, any(micros(t.now))
	switch o.State {
	case tocsin.DeliveryDelivered, tocsin.DeliveryDead, tocsin.DeliverySplit:
		if delivered, moved, err = t.scatter(d, o); err != nil {
			return 0, moved, err
		}
	case tocsin.DeliveryReady:
		reason, finished = "", nil
	default:
		return 0, moved, fmt.Errorf("an attempt cannot end in state %q", o.State)
	}
	class, said := d.ErrorClass, d.LastError
	if o.Attempt.Error != "" {
		class, said = o.Attempt.ErrorClass, o.Attempt.Error
	}
	_, err = t.exec(`UPDATE deliveries SET state = ?, reason = ?, finished_at = ?, error_class = ?, last_error = ? WHERE n = ?`,
		string(o.State), reason, finished, class, said, d.n)
	return delivered, moved, err
}

// members returns the events that are owed, by place.
func (t *tx) members(n int64) ([]member, error) {
	return list(t, func(r row) (m member, err error) {
		err = r.Scan(&m.place, &m.seq, &m.generation, &m.bucket)
		return m, err
	}, `SELECT place, seq, generation, bucket FROM delivery_events WHERE delivery = ? AND owed ORDER BY place`, n)
}

// scatter sends each owed event where the outcome says: to a child, dead, or
// delivered. Places count the events as they were claimed. Events that were delivered
// earlier keep their bucket whatever becomes of them now.
func (t *tx) scatter(d delivery, o tocsin.Outcome) (delivered int, moved tocsin.Balance, err error) {
	members, err := t.members(d.n)
	if err != nil {
		return 0, moved, err
	}
	left, err := t.bear(d, o, members)
	if err != nil {
		return 0, moved, err
	}
	tally := func(m member, bucket *int64) {
		if m.bucket == inFlight {
			moved.InFlight--
			*bucket++
		}
	}
	for i, m := range left {
		reason, dead := o.Dead[i]
		switch {
		case dead:
			tally(m, &moved.Dead)
			if err := t.place(bucketDead, reason, `place = ?4`, d.n, m.place); err != nil {
				return 0, moved, err
			}
		case o.State == tocsin.DeliveryDead:
			tally(m, &moved.Dead)
		default:
			delivered++
			tally(m, &moved.Delivered)
		}
	}
	rest, reason := bucketDelivered, ""
	if o.State == tocsin.DeliveryDead {
		rest, reason = bucketDead, o.Reason
	}
	if err := t.place(rest, reason, `owed`, d.n); err != nil {
		return 0, moved, err
	}
	return delivered, moved, nil
}

// place ends what is owed of a delivery in a bucket, for some of its events.
func (t *tx) place(bucket, reason, which string, n int64, args ...any) error {
	_, err := t.exec(`UPDATE delivery_events SET owed = 0, bucket = iif(bucket = 'in_flight', ?1, bucket), reason = iif(bucket = 'in_flight', ?2, reason)
		WHERE delivery = ?3 AND `+which, append([]any{bucket, reason, n}, args...)...)
	return err
}

// bear freezes the children in the place of their parent, and returns the members
// that are not in them, by their places.
func (t *tx) bear(d delivery, o tocsin.Outcome, members []member) (map[int]member, error) {
	left := map[int]member{}
	for i, m := range members {
		left[i] = m
	}
	for i, child := range o.Children {
		var theirs []member
		for _, place := range child.Places {
			m, there := left[place]
			if _, dead := o.Dead[place]; dead || !there {
				return nil, fmt.Errorf("child %s: place %d of %s is not free", child.ID, place, d.ID)
			}
			delete(left, place)
			theirs = append(theirs, m)
			if _, err := t.exec(`UPDATE delivery_events SET bucket = 'split', owed = 0 WHERE delivery = ? AND place = ?`, d.n, m.place); err != nil {
				return nil, err
			}
		}
		born := tocsin.Delivery{ID: child.ID, WebhookID: d.WebhookID, Parent: d.ID}
		if err := t.freeze(born, fmt.Sprintf("%s.%04d", d.position, i), theirs); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// learn notes what the attempt says of the webhook. With no failure before this one,
// since when it fails begins anew, whatever is stored: a program that did not know of it
// left it behind at a success.
func (t *tx) learn(f tocsin.Fence, o tocsin.Outcome, delivered int) error {
	switch {
	case o.State == tocsin.DeliveryDelivered, delivered > 0:
		if _, err := t.exec(`UPDATE leases SET failures = 0, failing_since = NULL, rejections = 0, last_delivery = ?1, due_at = CASE WHEN due_at > ?1 THEN due_at END WHERE webhook_id = ?2`, micros(t.now), f.WebhookID); err != nil {
			return err
		}
	case o.Failed, o.Rejected:
		if _, err := t.exec(`UPDATE leases SET failures = failures + ?1, rejections = rejections + ?2,
			failing_since = CASE WHEN NOT ?1 THEN failing_since WHEN failures > 0 THEN coalesce(failing_since, ?3) ELSE ?3 END WHERE webhook_id = ?4`,
			o.Failed, o.Rejected, micros(t.now), f.WebhookID); err != nil {
			return err
		}
	}
	if o.State != tocsin.DeliveryDelivered && o.Attempt.Error != "" {
		if _, err := t.exec(`UPDATE leases SET last_error = ? WHERE webhook_id = ?`, o.Attempt.Error, f.WebhookID); err != nil {
			return err
		}
	}
	w, err := t.webhook(f.WebhookID)
	if err != nil || w.Version != f.Version {
		return err
	}
	ended := o.State == tocsin.DeliverySplit || o.State == tocsin.DeliveryDead
	if o.State == tocsin.DeliveryReady || ended && o.Backoff > 0 {
		due := micros(t.now.Add(o.Backoff))
		if _, err := t.exec(`UPDATE leases SET due_at = max(?, coalesce(due_at, 0)) WHERE webhook_id = ?`, due, f.WebhookID); err != nil {
			return err
		}
	}
	return t.observe(w, o.WebhookState, o.WebhookReason)
}

// observe moves the webhook by what was seen. A decision by people is never undone:
// only a webhook that delivers is moved.
func (t *tx) observe(w tocsin.Webhook, to tocsin.State, reason string) error {
	switch {
	case to == tocsin.StateFailing && w.State == tocsin.StateActive,
		to == tocsin.StateActive && w.State == tocsin.StateFailing:
		return t.move(w.ID, to, reason, 0)
	case to == tocsin.StateDisabled && w.State.Delivers():
		return t.move(w.ID, to, reason, 1)
	}
	return nil
}
