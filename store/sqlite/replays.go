package sqlite

import (
	"context"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

const replayColumns = `n, id, webhook_id, what, types, since, until, max_rate, state, reason, total, replayed, deliveries, skipped,
	cursor, author, created_at, updated_at, finished_at`

// replay is one as stored.
type replay struct {
	tocsin.Replay
	n int64
}

func scanReplay(r row) (p replay, err error) {
	var since *time.Time
	err = r.Scan(&p.n, &p.ID, &p.WebhookID, &p.What, inJSON{&p.Types}, atMaybe{&since}, at{&p.Until}, &p.MaxRate, &p.State, &p.Reason,
		&p.Total, &p.Replayed, &p.Deliveries, &p.Skipped, &p.Cursor, &p.Author, at{&p.CreatedAt}, at{&p.UpdatedAt}, atMaybe{&p.FinishedAt})
	if since != nil {
		p.Since = *since
	}
	return p, err
}

// replay returns one by id; ErrNotFound.
func (t *tx) replay(id string) (tocsin.Replay, error) {
	r, err := one(t, scanReplay, `SELECT `+replayColumns+` FROM replays WHERE id = ?`, id)
	return r.Replay, err
}

// CreateReplay implements tocsin.Replays. An Until in the future becomes now, too: a
// replay must not meet what it brings about. Repeated with the same id, as after a
// commit whose answer was lost, it returns what is stored.
func (db *DB) CreateReplay(ctx context.Context, r tocsin.Replay) (stored tocsin.Replay, err error) {
	if r.ID == "" {
		r.ID = tocsin.NewID(tocsin.PrefixReplay)
	}
	types, err := asJSON(append([]string{}, r.Types...))
	if err != nil {
		return tocsin.Replay{}, err
	}
	err = db.write(ctx, "creating replay", func(t *tx) error {
		var since any
		if !r.Since.IsZero() {
			since = micros(r.Since)
		}
		if r.Until.IsZero() || r.Until.After(t.now) {
			r.Until = t.now
		}
		if _, err := t.exec(`INSERT INTO replays (id, webhook_id, what, types, since, until, max_rate, state, total, author, created_at, updated_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, 'running', ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
			r.ID, r.WebhookID, string(r.What), types, since, micros(r.Until), r.MaxRate, r.Total, r.Author, micros(t.now), micros(t.now)); err != nil {
			return err
		}
		stored, err = t.replay(r.ID)
		return err
	})
	return stored, err
}

// Replay implements tocsin.Replays.
func (db *DB) Replay(ctx context.Context, id string) (r tocsin.Replay, err error) {
	err = db.read(ctx, "reading replay", func(t *tx) error {
		r, err = t.replay(id)
		return err
	})
	return r, err
}

// ListReplays implements tocsin.Replays.
func (db *DB) ListReplays(ctx context.Context, p tocsin.Page) (replays []tocsin.Replay, next string, err error) {
	var f filter
	limit, err := f.page(p, "n")
	if err != nil {
		return nil, "", err
	}
	var found []replay
	err = db.read(ctx, "listing replays", func(t *tx) error {
		found, err = list(t, scanReplay, `SELECT `+replayColumns+` FROM replays`+f.String()+` ORDER BY n DESC LIMIT ?`, append(f.args, limit)...)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	found, next = cut(found, p.Limit, func(r replay) int64 { return r.n })
	for _, r := range found {
		replays = append(replays, r.Replay)
	}
	return replays, next, nil
}

// moveReplay stores how far a replay is.
func (t *tx) moveReplay(r *tocsin.Replay) error {
	r.UpdatedAt, r.FinishedAt = t.now, nil
	if r.State.Final() {
		now := t.now
		r.FinishedAt = &now
	}
	if r.Total >= 0 {
		r.Total = max(r.Total, r.Replayed)
	}
	_, err := t.exec(`UPDATE replays SET state = ?, reason = ?, cursor = ?, total = ?, replayed = ?, deliveries = ?, skipped = ?, updated_at = ?, finished_at = ? WHERE id = ?`,
		string(r.State), r.Reason, r.Cursor, r.Total, r.Replayed, r.Deliveries, r.Skipped, micros(r.UpdatedAt), maybe(r.FinishedAt), r.ID)
	return err
}

// SetReplayState implements tocsin.Replays.
func (db *DB) SetReplayState(ctx context.Context, id string, to tocsin.ReplayState, reason string) (r tocsin.Replay, err error) {
	err = db.write(ctx, "setting state of replay", func(t *tx) error {
		if r, err = t.replay(id); err != nil || r.State == to {
			return err
		}
		if r.State.Final() {
			return tocsin.Errorf(tocsin.CodeConflict, "replay %s is over: it is %s", id, r.State)
		}
		r.State, r.Reason = to, reason
		return t.moveReplay(&r)
	})
	if err != nil {
		return tocsin.Replay{}, err
	}
	return r, nil
}
