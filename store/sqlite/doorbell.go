package sqlite

import (
	"context"
	"sync"

	"github.com/tocsin-alerts/tocsin"
)

// Ring implements tocsin.EventLog. It looks before it writes: a busy webhook is awake,
// and a snapshot taken after the commit proves as much as an UPDATE that finds nothing.
func (db *DB) Ring(ctx context.Context, webhookIDs []string) ([]string, error) {
	if len(webhookIDs) == 0 {
		return nil, nil
	}
	text, err := asJSON(webhookIDs)
	if err != nil {
		return nil, err
	}
	var asleep []string
	err = db.read(ctx, "ringing", func(t *tx) (err error) {
		asleep, err = list(t, scanID, `SELECT webhook_id FROM leases WHERE webhook_id IN (SELECT value FROM json_each(?)) AND NOT awake`, text)
		return err
	})
	if err == nil && len(asleep) > 0 {
		err = db.write(ctx, "ringing", func(t *tx) (err error) {
			asleep, err = list(t, scanID, `UPDATE leases SET awake = 1
				WHERE webhook_id IN (SELECT value FROM json_each(?)) AND NOT awake RETURNING webhook_id`, text)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	db.hints.give(webhookIDs, asleep)
	return asleep, nil
}

// owes is true when the webhook in ? owes anything; it takes the id twice. The index
// of open deliveries is named, here and elsewhere, because SQLite may otherwise look
// through all that a webhook ever delivered.
const owes = `(EXISTS (SELECT 1 FROM pending WHERE webhook_id = ?)
	OR EXISTS (SELECT 1 FROM deliveries INDEXED BY deliveries_open WHERE webhook_id = ? AND state IN ('ready', 'sending')))`

// Rest implements tocsin.Leases. Ring writes events before it reads awake, and Rest
// writes awake before it reads events, each in its own committed statement: at least
// one sees the other.
func (db *DB) Rest(ctx context.Context, f tocsin.Fence) (bool, error) {
	holds := false
	err := db.write(ctx, "going idle", func(t *tx) error {
		if err := t.hold(f); err != nil {
			return err
		}
		var state tocsin.State
		if err := t.get(`SELECT state FROM webhooks WHERE id = ?`, []any{f.WebhookID}, &state); err != nil {
			return err
		}
		if holds = !state.Delivers(); holds {
			return nil
		}
		_, err := t.exec(`UPDATE leases SET awake = 0, next_run_at = NULL WHERE webhook_id = ?`, f.WebhookID)
		return err
	})
	if err != nil || holds {
		return false, err
	}
	// Once asleep, looking must not be cut short: those who rang before got no answer.
	ctx = context.WithoutCancel(ctx)
	owed := false
	err = db.read(ctx, "going idle", func(t *tx) error {
		return t.get(`SELECT `+owes, []any{f.WebhookID, f.WebhookID}, &owed)
	})
	if err != nil || !owed {
		return false, err
	}
	won := 0
	err = db.write(ctx, "going idle", func(t *tx) (err error) {
		if err := t.hold(f); err != nil {
			return err
		}
		won, err = t.exec(`UPDATE leases SET awake = 1 WHERE webhook_id = ? AND NOT awake`, f.WebhookID)
		return err
	})
	return won > 0, err
}

// Hints implements tocsin.EventLog, within this process, which is the only one.
func (db *DB) Hints(webhookID string) (<-chan struct{}, func()) { return db.hints.listen(webhookID) }

// hints passes on that something was committed.
type hints struct {
	mu        sync.Mutex
	listeners map[string]map[chan struct{}]bool
}

func (h *hints) listen(id string) (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listeners == nil {
		h.listeners = map[string]map[chan struct{}]bool{}
	}
	if h.listeners[id] == nil {
		h.listeners[id] = map[chan struct{}]bool{}
	}
	h.listeners[id][c] = true
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.listeners[id], c)
		if len(h.listeners[id]) == 0 {
			delete(h.listeners, id)
		}
	}
}

// give hints all but those asleep, who are signalled.
func (h *hints) give(ids, asleep []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.listeners) == 0 {
		return
	}
	signalled := map[string]bool{}
	for _, id := range asleep {
		signalled[id] = true
	}
	for _, id := range ids {
		if signalled[id] {
			continue
		}
		for c := range h.listeners[id] {
			select {
			case c <- struct{}{}:
			default: // one is waiting there already
			}
		}
	}
}

// close forgets all listeners.
func (h *hints) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listeners = nil
}
