package sqlite

import (
	"database/sql"
	"errors"

	"github.com/tocsin-alerts/tocsin"
)

// repeats reports whether an event that is new says nothing new to a webhook, and
// notes it otherwise. What is owed anyway is new. There is one writer, so nobody decides in between.
func (t *tx) repeats(o tocsin.Obligation, anyway bool, e *tocsin.Event) (bool, error) {
	if o.Suppressed != "" || o.RepeatAfter <= 0 {
		return false, nil
	}
	var status tocsin.Status
	var received int64
	err := t.get(`SELECT status, at FROM repeats WHERE webhook_id = ? AND dedup_key = ?`, []any{o.WebhookID, e.DedupKey}, &status, &received)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return false, err
	case !anyway && status == e.Status && micros(t.now)-received < o.RepeatAfter.Microseconds():
		return true, nil
	}
	_, err = t.exec(`INSERT INTO repeats (webhook_id, dedup_key, status, at) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET status = excluded.status, at = excluded.at`, o.WebhookID, e.DedupKey, string(e.Status), micros(t.now))
	return false, err
}
