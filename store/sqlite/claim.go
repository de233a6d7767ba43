package sqlite

import (
	"encoding/json"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/internal/recent"
)

// claim opens the next attempt of a delivery. The state and version are read in the
// transaction that opens it: once a pause is committed nothing is claimed. Nothing was
// written when the error is ErrVersion or ErrNotFound. atHand are all its events, or nil.
func (t *tx) claim(f tocsin.Fence, deliveryID string, atHand []tocsin.Event) (c tocsin.Claimed, err error) {
	var version int64
	var state tocsin.State
	if err := t.get(`SELECT version, state FROM webhooks WHERE id = ?`, []any{f.WebhookID}, &version, &state); err != nil {
		return c, err
	}
	if version != f.Version || !state.Delivers() {
		return c, tocsin.ErrVersion
	}
	d, err := one(t, scanDelivery, `UPDATE deliveries AS d SET state = 'sending', attempts = attempts + 1, first_attempt = coalesce(first_attempt, ?)
		WHERE id = ? AND webhook_id = ? AND state IN ('ready', 'sending')
		RETURNING n, id, webhook_id, position, state, reason, parent, count, attempts, created_at, first_attempt, finished_at, error_class, last_error`,
		micros(t.now), deliveryID, f.WebhookID)
	if err != nil {
		return c, err
	}
	c = tocsin.Claimed{Delivery: d.Delivery, Attempt: d.Attempts, At: t.now}
	err = t.openAttempt(d, &c, atHand)
	return c, err
}

// openAttempt writes the attempt down before anything is sent, and reads what a
// sender needs.
func (t *tx) openAttempt(d delivery, c *tocsin.Claimed, atHand []tocsin.Event) error {
	if err := t.get(`SELECT EXISTS (SELECT 1 FROM attempts WHERE delivery = ? AND NOT refused)`, []any{d.n}, &c.Uncertain); err != nil {
		return err
	}
	body, err := asJSON(tocsin.Attempt{Number: c.Attempt, StartedAt: t.now, Outcome: "unknown"})
	if err != nil {
		return err
	}
	if _, err := t.exec(`INSERT INTO attempts (delivery, number, body) VALUES (?, ?, ?)`, d.n, c.Attempt, body); err != nil {
		return err
	}
	c.Events, err = t.claimedEvents(d, c, atHand)
	if err != nil {
		return err
	}
	c.Refs, err = t.refs(d.WebhookID, c.Events)
	return err
}

// claimedEvents returns what is still owed of a delivery's events, and notes their
// generations.
func (t *tx) claimedEvents(d delivery, c *tocsin.Claimed, atHand []tocsin.Event) ([]tocsin.Event, error) {
	if atHand == nil {
		return list(t, func(r row) (tocsin.Event, error) {
			var generation int64
			e, err := scanEventAnd(r, &generation)
			c.Generations = append(c.Generations, generation)
			return e, err
		}, `SELECT `+eventColumns+`, m.generation FROM delivery_events m CROSS JOIN events e ON e.seq = m.seq
		WHERE m.delivery = ? AND m.owed ORDER BY m.place`, d.n)
	}
	return list(t, func(r row) (e tocsin.Event, err error) {
		var seq, generation int64
		if err := r.Scan(&seq, &generation); err != nil {
			return e, err
		}
		c.Generations = append(c.Generations, generation)
		return recent.Next(&atHand, seq)
	}, `SELECT seq, generation FROM delivery_events WHERE delivery = ? AND owed ORDER BY place`, d.n)
}

// refs returns what the vendor calls the incidents of these events.
func (t *tx) refs(webhookID string, events []tocsin.Event) (map[string]json.RawMessage, error) {
	keys := make([]string, len(events))
	for i, e := range events {
		keys[i] = e.DedupKey
	}
	text, err := asJSON(keys)
	if err != nil {
		return nil, err
	}
	refs := map[string]json.RawMessage{}
	old := false
	_, err = list(t, func(r row) (struct{}, error) {
		var key string
		var ref []byte
		var updated time.Time
		err := r.Scan(&key, &ref, at{&updated})
		refs[key] = ref
		old = old || t.now.Sub(updated) >= touchEvery
		return struct{}{}, err
	}, `SELECT dedup_key, ref, updated_at FROM refs WHERE webhook_id = ? AND dedup_key IN (SELECT value FROM json_each(?))`, webhookID, text)
	if err == nil && old {
		_, err = t.exec(`UPDATE refs SET updated_at = ? WHERE webhook_id = ? AND dedup_key IN (SELECT value FROM json_each(?))`,
			micros(t.now), webhookID, text)
	}
	return refs, err
}

// touchEvery is how often it is noted that a reference is still used, which keeps it
// from being pruned.
const touchEvery = 24 * time.Hour
