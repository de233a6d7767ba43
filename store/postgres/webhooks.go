package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
)

// webhookColumns are those that scanWebhook reads, of a table named w.
const webhookColumns = `w.id, w.settings, w.config, w.sealed, w.state, w.state_reason, w.state_since, w.version, w.created_at, w.updated_at`

// webhookTargets returns where to scan webhookColumns; finish decodes what was scanned.
func webhookTargets(w *tocsin.Webhook) (targets []any, finish func() error) {
	var settings, config []byte
	return []any{&w.ID, &settings, &config, &w.Sealed, &w.State, &w.StateReason, &w.StateSince, &w.Version, &w.CreatedAt, &w.UpdatedAt},
		func() error {
			w.Config = config
			if err := json.Unmarshal(settings, &w.Settings); err != nil {
				return fmt.Errorf("reading settings of webhook %s: %w", w.ID, err)
			}
			return nil
		}
}

func scanWebhook(row pgx.CollectableRow) (w tocsin.Webhook, err error) {
	targets, finish := webhookTargets(&w)
	if err := row.Scan(targets...); err != nil {
		return w, err
	}
	return w, finish()
}

// returning takes the one row of a queued statement that returns webhookColumns.
func returning(q *pgx.QueuedQuery, into *tocsin.Webhook) {
	q.Query(func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectExactlyOneRow(rows, scanWebhook)
		return err
	})
}

const nextRevision = `UPDATE config_revision SET revision = revision + 1`

const newWebhook = `
WITH w AS (
	INSERT INTO webhooks AS w (id, name, state, state_since, version, settings, config, sealed, created_at, updated_at)
	VALUES ($1, $2, 'active', $3, 1, $4::jsonb, $5::jsonb, $6, $3, $3)
	ON CONFLICT (id) DO NOTHING
	RETURNING ` + webhookColumns + `
), l AS (
	INSERT INTO leases (webhook_id, seen_at, awake) SELECT id, created_at, false FROM w
), r AS (
	` + nextRevision + ` WHERE EXISTS (SELECT FROM w)
)
SELECT ` + webhookColumns + ` FROM w
UNION ALL SELECT ` + webhookColumns + ` FROM webhooks w WHERE w.id = $1` // there already: a repeated call

// CreateWebhook implements [tocsin.Webhooks]. Repeated with the same id, as after a
// commit whose answer was lost, it returns what is stored.
func (db *DB) CreateWebhook(ctx context.Context, w tocsin.Webhook) (tocsin.Webhook, error) {
	err := db.transact(ctx, "creating webhook", func(t *tx) error {
		var now time.Time
		t.one(nil, `SELECT clock_timestamp()`, nil, &now)
		if err := t.flush(ctx); err != nil {
			return err
		}
		stored := w.Settings
		if stored.Anchor.IsZero() {
			stored.Anchor = now
		}
		settings, err := json.Marshal(stored)
		if err != nil {
			return fmt.Errorf("encoding settings: %w", err)
		}
		returning(t.queue(newWebhook, w.ID, w.Name, now, string(settings), orNull(w.Config), w.Sealed), &w)
		return nil
	})
	if isTaken(err, "webhooks_name") {
		err = tocsin.ErrNameTaken
	}
	if err != nil {
		return tocsin.Webhook{}, err
	}
	return w, nil
}

// orNull is a text, or JSON for a jsonb parameter; none is NULL.
func orNull[T string | json.RawMessage](t T) *string {
	if len(t) == 0 {
		return nil
	}
	text := string(t)
	return &text
}

// locked is what changing a webhook looks at first.
type locked struct {
	version int64
	state   tocsin.State
	now     time.Time
}

// lock locks the lease and reads the webhook in a later statement, so that what it
// reads cannot change before the commit. ErrNotFound when missing or deleted.
func (t *tx) lock(ctx context.Context, id string) (l locked, err error) {
	var found bool
	t.one(&found, `SELECT clock_timestamp() FROM leases WHERE webhook_id = $1 FOR UPDATE`, []any{id}, &l.now)
	t.one(nil, `SELECT version, state FROM webhooks WHERE id = $1`, []any{id}, &l.version, &l.state)
	if err := t.flush(ctx); err != nil {
		return l, err
	}
	if !found || l.state == tocsin.StateDeleted {
		return l, tocsin.ErrNotFound
	}
	return l, nil
}

// UpdateWebhook implements [tocsin.Webhooks].
func (db *DB) UpdateWebhook(ctx context.Context, w tocsin.Webhook) (tocsin.Webhook, error) {
	settings, err := json.Marshal(w.Settings)
	if err != nil {
		return tocsin.Webhook{}, fmt.Errorf("encoding settings: %w", err)
	}
	var stored tocsin.Webhook
	err = db.transact(ctx, "updating webhook", func(t *tx) error {
		l, err := t.lock(ctx, w.ID)
		if err != nil {
			return err
		}
		if l.version != w.Version {
			return tocsin.ErrVersion
		}
		returning(t.queue(`UPDATE webhooks w SET name = $2, settings = $3::jsonb, config = $4::jsonb, sealed = $5, version = version + 1, updated_at = $6
			WHERE id = $1 RETURNING `+webhookColumns, w.ID, w.Name, string(settings), orNull(w.Config), w.Sealed, l.now), &stored)
		t.queue(`UPDATE leases SET due_at = NULL WHERE webhook_id = $1`, w.ID)
		t.queue(nextRevision)
		return nil
	})
	if isTaken(err, "webhooks_name") {
		err = tocsin.ErrNameTaken
	}
	if err != nil {
		return tocsin.Webhook{}, err
	}
	db.hints.give(w.ID)
	return stored, nil
}

// SetState implements [tocsin.Webhooks].
func (db *DB) SetState(ctx context.Context, id string, to tocsin.State, reason string, version ...int64) (tocsin.Webhook, error) {
	var stored tocsin.Webhook
	var changed bool
	err := db.transact(ctx, "changing the state of a webhook", func(t *tx) error {
		l, err := t.lock(ctx, id)
		if err != nil {
			return err
		}
		if len(version) > 0 && version[0] != l.version {
			return tocsin.ErrVersion
		}
		if changed = l.state != to; !changed {
			returning(t.queue(`SELECT `+webhookColumns+` FROM webhooks w WHERE w.id = $1`, id), &stored)
			return nil
		}
		if !l.state.Delivers() {
			t.queue(`UPDATE deliveries d SET first_attempt_at = d.first_attempt_at + ($2 - w.state_since)
				FROM webhooks w WHERE w.id = $1 AND d.webhook_id = $1 AND d.open`, id, l.now)
		}
		returning(t.queue(`UPDATE webhooks w SET state = $2, state_reason = $3, state_since = $4, version = version + 1, updated_at = $4
			WHERE id = $1 RETURNING `+webhookColumns, id, to, reason, l.now), &stored)
		t.queue(`UPDATE leases SET due_at = NULL, failures = CASE WHEN $2 THEN 0 ELSE failures END,
			failing_since = CASE WHEN $2 THEN NULL ELSE failing_since END,
			announced = CASE WHEN $2 THEN least(announced, 1) ELSE announced END,
			rejections = CASE WHEN $2 THEN 0 ELSE rejections END WHERE webhook_id = $1`,
			id, to == tocsin.StateActive)
		t.queue(nextRevision)
		return nil
	})
	if err != nil {
		return tocsin.Webhook{}, err
	}
	if changed {
		db.hints.give(id)
	}
	return stored, nil
}

// Webhook implements [tocsin.Webhooks].
func (db *DB) Webhook(ctx context.Context, id string) (tocsin.Webhook, error) {
	return db.webhook(ctx, `SELECT `+webhookColumns+` FROM webhooks w WHERE w.id = $1`, id)
}

// WebhookByName implements [tocsin.Webhooks].
func (db *DB) WebhookByName(ctx context.Context, name string) (tocsin.Webhook, error) {
	return db.webhook(ctx, `SELECT `+webhookColumns+` FROM webhooks w WHERE w.name = $1 AND w.state <> 'deleted'`, name)
}

func (db *DB) webhook(ctx context.Context, sql, arg string) (tocsin.Webhook, error) {
	rows, _ := db.pool.Query(ctx, sql, arg) // CollectExactlyOneRow returns its error
	w, err := pgx.CollectExactlyOneRow(rows, scanWebhook)
	return w, wrap("reading webhook", notFound(err))
}

const listWebhooks = `SELECT ` + webhookColumns + ` FROM webhooks w WHERE w.state <> 'deleted' ORDER BY w.name`

// ListWebhooks implements [tocsin.Webhooks].
func (db *DB) ListWebhooks(ctx context.Context) (revision int64, all []tocsin.Webhook, err error) {
	err = db.snapshot(ctx, "listing webhooks", func(t *tx) error {
		t.one(nil, `SELECT revision FROM config_revision`, nil, &revision)
		collect(t.queue(listWebhooks), &all, scanWebhook)
		return nil
	})
	return revision, all, err
}

// activityColumns are those of a lease l that activityTargets takes.
const activityColumns = `l.failures, l.failing_since, l.announced, l.due_at, l.next_run_at, l.last_delivery, l.last_error`

func activityTargets(a *tocsin.Activity) []any {
	return []any{&a.Failures, &a.FailingSince, &a.Announced, &a.DueAt, &a.NextRun, &a.LastDelivery, &a.LastError}
}

// Activities implements [tocsin.Webhooks].
func (db *DB) Activities(ctx context.Context, ids ...string) (map[string]tocsin.Activity, error) {
	rows, err := db.pool.Query(ctx, `SELECT l.webhook_id, `+activityColumns+` FROM leases l JOIN webhooks w ON w.id = l.webhook_id
		WHERE CASE WHEN cardinality($1::text[]) > 0 THEN l.webhook_id = ANY($1) ELSE w.state <> 'deleted' END`, append([]string{}, ids...))
	if err != nil {
		return nil, wrap("reading activities", err)
	}
	all := map[string]tocsin.Activity{}
	for rows.Next() {
		var id string
		var a tocsin.Activity
		if err := rows.Scan(append([]any{&id}, activityTargets(&a)...)...); err != nil {
			rows.Close()
			return nil, wrap("reading activities", err)
		}
		all[id] = a
	}
	return all, wrap("reading activities", rows.Err())
}
