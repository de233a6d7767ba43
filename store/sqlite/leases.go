package sqlite

import (
	"context"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// hold ends the transaction with ErrFenced unless f is the webhook's fence, and notes
// a sign of life.
func (t *tx) hold(f tocsin.Fence) error {
	n, err := t.exec(`UPDATE leases SET seen_at = ? WHERE webhook_id = ? AND fence = ?`, micros(t.now), f.WebhookID, f.Number)
	if err == nil && n == 0 {
		err = tocsin.ErrFenced
	}
	return err
}

// activityColumns are what activityInto scans, of a table called l.
const activityColumns = `l.failures, l.failing_since, l.announced, l.due_at, l.next_run_at, l.last_delivery, l.last_error`

func activityInto(a *tocsin.Activity) []any {
	return []any{&a.Failures, atMaybe{&a.FailingSince}, &a.Announced, atMaybe{&a.DueAt}, atMaybe{&a.NextRun}, atMaybe{&a.LastDelivery}, &a.LastError}
}

// Activities implements tocsin.Webhooks.
func (db *DB) Activities(ctx context.Context, ids ...string) (map[string]tocsin.Activity, error) {
	where, arg := `w.state <> 'deleted' AND ? = '[]'`, "[]"
	if len(ids) > 0 {
		text, err := asJSON(ids)
		if err != nil {
			return nil, err
		}
		where, arg = `w.id IN (SELECT value FROM json_each(?))`, text
	}
	all := map[string]tocsin.Activity{}
	err := db.read(ctx, "reading activities", func(t *tx) error {
		_, err := list(t, func(r row) (struct{}, error) {
			var id string
			var a tocsin.Activity
			err := r.Scan(append([]any{&id}, activityInto(&a)...)...)
			all[id] = a
			return struct{}{}, err
		}, `SELECT w.id, `+activityColumns+` FROM webhooks w JOIN leases l ON l.webhook_id = w.id WHERE `+where, arg)
		return err
	})
	return all, err
}

// Begin implements tocsin.Leases. Awake is set before any look for work, and Rest is the
// only way back, so nobody who rings meanwhile is overlooked.
func (db *DB) Begin(ctx context.Context, webhookID string) (l tocsin.Lease, err error) {
	err = db.write(ctx, "beginning", func(t *tx) error {
		if l.Webhook, err = t.webhook(webhookID); err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE leases SET fence = fence + 1, applied_version = ?, seen_at = ?, awake = awake OR ? WHERE webhook_id = ?`,
			l.Webhook.Version, micros(t.now), l.Webhook.State.Delivers(), webhookID); err != nil {
			return err
		}
		l.Now, l.WebhookID, l.Version = t.now, webhookID, l.Webhook.Version
		return t.get(`SELECT l.fence, l.run_cutoff, l.run_now, l.rejections, `+activityColumns+` FROM leases l WHERE l.webhook_id = ?`, []any{webhookID},
			append([]any{&l.Number, atMaybe{&l.RunCutoff}, &l.RunNow, &l.Rejections}, activityInto(&l.Activity)...)...)
	})
	if err != nil {
		return tocsin.Lease{}, err
	}
	return l, nil
}

// BeginRun implements tocsin.Leases. A run that starts ends the wait for its tick and
// the request for it.
func (db *DB) BeginRun(ctx context.Context, f tocsin.Fence) (cutoff time.Time, err error) {
	err = db.write(ctx, "beginning a run", func(t *tx) error {
		if err := t.hold(f); err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE leases SET run_cutoff = ?, due_at = iif(run_now, NULL, due_at), run_now = 0, next_run_at = NULL WHERE webhook_id = ? AND run_cutoff IS NULL`,
			micros(t.now), f.WebhookID); err != nil {
			return err
		}
		return t.get(`SELECT run_cutoff FROM leases WHERE webhook_id = ?`, []any{f.WebhookID}, at{&cutoff})
	})
	return cutoff, err
}

// EndRun implements tocsin.Leases.
func (db *DB) EndRun(ctx context.Context, f tocsin.Fence) error {
	return db.held(ctx, "ending a run", f, `UPDATE leases SET run_cutoff = NULL WHERE webhook_id = ?`, f.WebhookID)
}

// Park implements tocsin.Leases.
func (db *DB) Park(ctx context.Context, f tocsin.Fence, next time.Time) error {
	return db.held(ctx, "waiting for a tick", f, `UPDATE leases SET next_run_at = CASE WHEN run_now THEN NULL ELSE ? END WHERE webhook_id = ?`, micros(next), f.WebhookID)
}

// Announce implements tocsin.Queue.
func (db *DB) Announce(ctx context.Context, f tocsin.Fence, level int) error {
	return db.held(ctx, "noting an announcement", f, `UPDATE leases SET announced = ? WHERE webhook_id = ?`, level, f.WebhookID)
}

// held runs one statement under a fence.
func (db *DB) held(ctx context.Context, doing string, f tocsin.Fence, query string, args ...any) error {
	return db.write(ctx, doing, func(t *tx) error {
		if err := t.hold(f); err != nil {
			return err
		}
		_, err := t.exec(query, args...)
		return err
	})
}

// RunNow implements tocsin.Leases.
func (db *DB) RunNow(ctx context.Context, webhookID string) error {
	return db.write(ctx, "asking for a run", func(t *tx) error {
		n, err := t.exec(`UPDATE leases SET run_now = 1, due_at = NULL, next_run_at = NULL
			WHERE webhook_id = (SELECT id FROM webhooks WHERE id = ? AND state <> 'deleted')`, webhookID)
		if err == nil && n == 0 {
			err = tocsin.ErrNotFound
		}
		return err
	})
}

// Overdue implements tocsin.Leases, those silent longest first.
func (db *DB) Overdue(ctx context.Context, grace time.Duration, limit int) (ids []string, err error) {
	const owing = `(EXISTS (SELECT 1 FROM pending p WHERE p.webhook_id = w.id)
		OR EXISTS (SELECT 1 FROM deliveries d INDEXED BY deliveries_open WHERE d.webhook_id = w.id AND d.state IN ('ready', 'sending')))`
	err = db.read(ctx, "looking for overdue webhooks", func(t *tx) error {
		before := micros(t.now.Add(-grace))
		ids, err = list(t, scanID,
			`SELECT w.id FROM webhooks w JOIN leases l ON l.webhook_id = w.id WHERE
				(l.applied_version <> w.version AND w.updated_at < ?1)
				OR (w.state IN ('active', 'failing') AND coalesce(l.due_at < ?1, 1) AND coalesce(l.next_run_at < ?1, 1)
					AND coalesce(l.seen_at < ?1, 1) AND `+owing+`)
				OR (w.state = 'deleted' AND `+owing+`)
			ORDER BY `+owing+` DESC, coalesce(l.seen_at, 0), w.id LIMIT ?2`, before, limit)
		return err
	})
	return ids, err
}
