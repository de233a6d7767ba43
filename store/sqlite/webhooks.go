package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/tocsin-alerts/tocsin"
)

// webhookColumns are what scanWebhook reads, of a table called w.
const webhookColumns = `w.id, w.settings, w.config, w.sealed, w.state, w.state_reason, w.state_since, w.version, w.created_at, w.updated_at`

func scanWebhook(r row) (tocsin.Webhook, error) {
	var w tocsin.Webhook
	var config string
	err := r.Scan(&w.ID, inJSON{&w.Settings}, &config, &w.Sealed, &w.State, &w.StateReason, at{&w.StateSince}, &w.Version, at{&w.CreatedAt}, at{&w.UpdatedAt})
	if config != "" {
		w.Config = json.RawMessage(config)
	}
	return w, err
}

// webhook returns one by id, deleted ones included.
func (t *tx) webhook(id string) (tocsin.Webhook, error) {
	return one(t, scanWebhook, `SELECT `+webhookColumns+` FROM webhooks w WHERE w.id = ?`, id)
}

// one scans the first row; ErrNotFound when there is none.
func one[T any](t *tx, scan func(row) (T, error), query string, args ...any) (T, error) {
	all, err := list(t, scan, query, args...)
	if err != nil || len(all) == 0 {
		var none T
		if err == nil {
			err = tocsin.ErrNotFound
		}
		return none, err
	}
	return all[0], nil
}

// nameTaken returns ErrNameTaken when another webhook than id has the name. There is
// one writer, so nobody can take it in between.
func (t *tx) nameTaken(name, id string) error {
	var other string
	err := t.get(`SELECT id FROM webhooks WHERE name = ? AND state <> 'deleted' AND id <> ?`, []any{name, id}, &other)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	return tocsin.ErrNameTaken
}

// changed adds one to the revision, and ends the webhook's backoff.
func (t *tx) changed(id string) error {
	if err := t.nextRevision(); err != nil {
		return err
	}
	_, err := t.exec(`UPDATE leases SET due_at = NULL WHERE webhook_id = ?`, id)
	return err
}

// nextRevision makes ingest read the configuration again.
func (t *tx) nextRevision() error {
	_, err := t.exec(`UPDATE config_revision SET revision = revision + 1`)
	return err
}

// CreateWebhook implements tocsin.Webhooks. A repeated call with the same id is
// ErrNameTaken.
func (db *DB) CreateWebhook(ctx context.Context, w tocsin.Webhook) (tocsin.Webhook, error) {
	if w.ID == "" {
		w.ID = tocsin.NewID(tocsin.PrefixWebhook)
	}
	err := db.write(ctx, "creating webhook", func(t *tx) error {
		if err := t.nameTaken(w.Name, ""); err != nil {
			return err
		}
		w.State, w.StateReason, w.Version = tocsin.StateActive, "", 1
		w.StateSince, w.CreatedAt, w.UpdatedAt = t.now, t.now, t.now
		if w.Anchor.IsZero() {
			w.Anchor = t.now
		}
		settings, err := asJSON(w.Settings)
		if err != nil {
			return err
		}
		if _, err := t.exec(`INSERT INTO webhooks (id, name, settings, config, sealed, state, state_reason, state_since, version, created_at, updated_at)
			VALUES (?, ?, ?, ?, ?, ?, '', ?, 1, ?, ?)`,
			w.ID, w.Name, settings, string(w.Config), w.Sealed, string(w.State), micros(t.now), micros(t.now), micros(t.now)); err != nil {
			return err
		}
		if _, err := t.exec(`INSERT INTO leases (webhook_id, awake) VALUES (?, 0)`, w.ID); err != nil {
			return err
		}
		if err := t.changed(w.ID); err != nil {
			return err
		}
		w, err = t.webhook(w.ID)
		return err
	})
	if err != nil {
		return tocsin.Webhook{}, err
	}
	return w, nil
}

// UpdateWebhook implements tocsin.Webhooks.
func (db *DB) UpdateWebhook(ctx context.Context, w tocsin.Webhook) (stored tocsin.Webhook, err error) {
	err = db.write(ctx, "changing webhook", func(t *tx) error {
		old, err := t.webhook(w.ID)
		if err != nil {
			return err
		}
		if old.State == tocsin.StateDeleted {
			return tocsin.ErrNotFound
		}
		if old.Version != w.Version {
			return tocsin.ErrVersion
		}
		if err := t.nameTaken(w.Name, w.ID); err != nil {
			return err
		}
		settings, err := asJSON(w.Settings)
		if err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE webhooks SET name = ?, settings = ?, config = ?, sealed = ?, version = version + 1, updated_at = ? WHERE id = ?`,
			w.Name, settings, string(w.Config), w.Sealed, micros(t.now), w.ID); err != nil {
			return err
		}
		if err := t.changed(w.ID); err != nil {
			return err
		}
		stored, err = t.webhook(w.ID)
		return err
	})
	return stored, err
}

// SetState implements tocsin.Webhooks.
func (db *DB) SetState(ctx context.Context, id string, to tocsin.State, reason string, version ...int64) (w tocsin.Webhook, err error) {
	err = db.write(ctx, "setting state of webhook", func(t *tx) error {
		if w, err = t.webhook(id); err != nil {
			return err
		}
		if w.State == tocsin.StateDeleted {
			return tocsin.ErrNotFound
		}
		if len(version) > 0 && version[0] != w.Version {
			return tocsin.ErrVersion
		}
		if w.State == to {
			return nil
		}
		if !w.State.Delivers() {
			if _, err := t.exec(`UPDATE deliveries SET first_attempt = first_attempt + ? WHERE webhook_id = ? AND state IN ('ready', 'sending')`,
				t.now.Sub(w.StateSince).Microseconds(), id); err != nil {
				return err
			}
		}
		if to == tocsin.StateActive {
			if _, err := t.exec(`UPDATE leases SET failures = 0, failing_since = NULL, rejections = 0, announced = min(announced, 1) WHERE webhook_id = ?`, id); err != nil {
				return err
			}
		}
		if err := t.move(id, to, reason, 1); err != nil {
			return err
		}
		w, err = t.webhook(id)
		return err
	})
	return w, err
}

// move changes the state; bump is what it adds to the version: 0 for a state that is
// an observation and not a decision.
func (t *tx) move(id string, to tocsin.State, reason string, bump int) error {
	if _, err := t.exec(`UPDATE webhooks SET state = ?, state_reason = ?, state_since = ? WHERE id = ?`, string(to), reason, micros(t.now), id); err != nil {
		return err
	}
	if bump == 0 {
		return nil
	}
	if _, err := t.exec(`UPDATE webhooks SET version = version + ?, updated_at = ? WHERE id = ?`, bump, micros(t.now), id); err != nil {
		return err
	}
	return t.changed(id)
}

// Webhook implements tocsin.Webhooks.
func (db *DB) Webhook(ctx context.Context, id string) (w tocsin.Webhook, err error) {
	err = db.read(ctx, "reading webhook", func(t *tx) error {
		w, err = t.webhook(id)
		return err
	})
	return w, err
}

// WebhookByName implements tocsin.Webhooks.
func (db *DB) WebhookByName(ctx context.Context, name string) (w tocsin.Webhook, err error) {
	err = db.read(ctx, "reading webhook", func(t *tx) error {
		w, err = one(t, scanWebhook, `SELECT `+webhookColumns+` FROM webhooks w WHERE w.name = ? AND w.state <> 'deleted'`, name)
		return err
	})
	return w, err
}

// ListWebhooks implements tocsin.Webhooks.
func (db *DB) ListWebhooks(ctx context.Context) (revision int64, all []tocsin.Webhook, err error) {
	err = db.read(ctx, "listing webhooks", func(t *tx) error {
		revision, all, err = t.listWebhooks()
		return err
	})
	return revision, all, err
}

// listWebhooks returns all that are not deleted, by name, and the revision.
func (t *tx) listWebhooks() (revision int64, all []tocsin.Webhook, err error) {
	if err := t.get(`SELECT revision FROM config_revision`, nil, &revision); err != nil {
		return 0, nil, err
	}
	all, err = list(t, scanWebhook, `SELECT `+webhookColumns+` FROM webhooks w WHERE w.state <> 'deleted' ORDER BY w.name`)
	return revision, all, err
}
