package sqlite

import (
	"context"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/internal/known"
)

const muteColumns = `n, id, webhook_ids, events, collections, dedup_key, filter, starts_at, ends_at, author, reason, created_at, noticed_at`

// mute is one as stored.
type mute struct {
	tocsin.Mute
	n int64
}

func scanMute(r row) (m mute, err error) {
	err = r.Scan(&m.n, &m.ID, inJSON{&m.WebhookIDs}, inJSON{&m.Events}, inJSON{&m.Collections}, &m.DedupKey, &m.Filter,
		at{&m.From}, at{&m.Until}, &m.Author, &m.Reason, at{&m.CreatedAt}, atMaybe{&m.NoticedAt})
	return m, err
}

// mutes returns those that a query finds.
func (t *tx) mutes(query string, args ...any) ([]tocsin.Mute, error) {
	return list(t, func(r row) (tocsin.Mute, error) {
		m, err := scanMute(r)
		return m.Mute, err
	}, query, args...)
}

// mute returns one by id; ErrNotFound.
func (t *tx) mute(id string) (tocsin.Mute, error) {
	m, err := one(t, scanMute, `SELECT `+muteColumns+` FROM mutes WHERE id = ?`, id)
	return m.Mute, err
}

// lasting is the condition of mutes that are not over at ?; one that was ended before
// it began never begins.
const lasting = `ends_at > max(?, starts_at)`

// bareColumns are those of a webhook that events are matched against, as scanWebhook reads
// them: what is sealed is nobody's business there, and half of the bytes.
const bareColumns = `w.id, w.settings, '', NULL, w.state, w.state_reason, w.state_since, w.version, w.created_at, w.updated_at`

// Configuration implements tocsin.Mutes.
func (db *DB) Configuration(ctx context.Context, have tocsin.Configuration) (c tocsin.Configuration, err error) {
	err = db.read(ctx, "reading the configuration", func(t *tx) error {
		c = tocsin.Configuration{}
		if err := t.get(`SELECT revision FROM config_revision`, nil, &c.Revision); err != nil {
			return err
		}
		switch {
		case len(have.Webhooks) == 0:
			c.Webhooks, err = list(t, scanWebhook, `SELECT `+bareColumns+` FROM webhooks w WHERE w.state <> 'deleted' ORDER BY w.name`)
		case c.Revision == have.Revision:
			c = have
			return nil
		default:
			c.Webhooks, err = t.refresh(have.Webhooks)
		}
		if err != nil {
			return err
		}
		c.Mutes, err = t.mutes(`SELECT `+muteColumns+` FROM mutes WHERE `+lasting+` ORDER BY id`, micros(t.now))
		return err
	})
	return c, err
}

// refresh brings webhooks up to date.
func (t *tx) refresh(have []tocsin.Webhook) ([]tocsin.Webhook, error) {
	versions := make(map[string]int64, len(have))
	_, err := list(t, func(r row) (struct{}, error) {
		var id string
		var version int64
		err := r.Scan(&id, &version)
		versions[id] = version
		return struct{}{}, err
	}, `SELECT id, version FROM webhooks WHERE state <> 'deleted'`)
	if err != nil {
		return nil, err
	}
	return known.Refresh(have, versions, func(ids []string) ([]tocsin.Webhook, error) {
		text, err := asJSON(ids)
		if err != nil {
			return nil, err
		}
		return list(t, scanWebhook, `SELECT `+bareColumns+` FROM webhooks w WHERE w.id IN (SELECT value FROM json_each(?))`, text)
	})
}

// CreateMute implements tocsin.Mutes. Repeated with the same id, as after a commit
// whose answer was lost, it returns what is stored.
func (db *DB) CreateMute(ctx context.Context, m tocsin.Mute) (stored tocsin.Mute, err error) {
	if m.ID == "" {
		m.ID = tocsin.NewID(tocsin.PrefixMute)
	}
	var lists [3]string
	for i, list := range []any{append([]string{}, m.WebhookIDs...), append([]tocsin.Selector{}, m.Events...), append([]string{}, m.Collections...)} {
		if lists[i], err = asJSON(list); err != nil {
			return tocsin.Mute{}, err
		}
	}
	err = db.write(ctx, "creating mute", func(t *tx) error {
		if m.From.IsZero() {
			m.From = t.now
		}
		created, err := t.exec(`INSERT INTO mutes (id, webhook_ids, events, collections, dedup_key, filter, starts_at, ends_at, author, reason, created_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
			m.ID, lists[0], lists[1], lists[2], m.DedupKey, m.Filter, micros(m.From), micros(m.Until), m.Author, m.Reason, micros(t.now))
		if err == nil && created > 0 {
			err = t.nextRevision()
		}
		if err != nil {
			return err
		}
		stored, err = t.mute(m.ID)
		return err
	})
	return stored, err
}

// EndMute implements tocsin.Mutes.
func (db *DB) EndMute(ctx context.Context, id string) (m tocsin.Mute, err error) {
	err = db.write(ctx, "ending mute", func(t *tx) error {
		ended, err := t.exec(`UPDATE mutes SET ends_at = max(?1, starts_at) WHERE id = ?2 AND ends_at > max(?1, starts_at)`, micros(t.now), id)
		if err == nil && ended > 0 {
			err = t.nextRevision()
		}
		if err != nil {
			return err
		}
		m, err = t.mute(id)
		return err
	})
	return m, err
}

// Mute implements tocsin.Mutes.
func (db *DB) Mute(ctx context.Context, id string) (m tocsin.Mute, err error) {
	err = db.read(ctx, "reading mute", func(t *tx) error {
		m, err = t.mute(id)
		return err
	})
	return m, err
}

// ListMutes implements tocsin.Mutes.
func (db *DB) ListMutes(ctx context.Context, q tocsin.MuteQuery) (mutes []tocsin.Mute, next string, err error) {
	var f filter
	limit, err := f.page(q.Page, "n")
	if err != nil {
		return nil, "", err
	}
	var found []mute
	err = db.read(ctx, "listing mutes", func(t *tx) error {
		f.add(!q.Ended, lasting, micros(t.now))
		found, err = list(t, scanMute, `SELECT `+muteColumns+` FROM mutes`+f.String()+` ORDER BY n DESC LIMIT ?`, append(f.args, limit)...)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	found, next = cut(found, q.Limit, func(m mute) int64 { return m.n })
	for _, m := range found {
		mutes = append(mutes, m.Mute)
	}
	return mutes, next, nil
}

// MutesEnding implements tocsin.Mutes, those that end first first.
func (db *DB) MutesEnding(ctx context.Context, notice time.Duration, limit int) (all []tocsin.Mute, err error) {
	err = db.read(ctx, "looking for mutes that end", func(t *tx) error {
		all, err = t.mutes(`SELECT `+muteColumns+` FROM mutes WHERE noticed_at IS NULL AND starts_at <= ?1 AND ends_at > ?1
			AND ends_at - ?1 <= min(?2, (ends_at - starts_at) / 10) ORDER BY ends_at, id LIMIT ?3`,
			micros(t.now), notice.Microseconds(), limit)
		return err
	})
	return all, err
}

// MuteNoticed implements tocsin.Mutes; the first call counts. ErrNotFound.
func (db *DB) MuteNoticed(ctx context.Context, id string) error {
	return db.write(ctx, "noting the notice of a mute", func(t *tx) error {
		n, err := t.exec(`UPDATE mutes SET noticed_at = coalesce(noticed_at, ?) WHERE id = ?`, micros(t.now), id)
		if err == nil && n == 0 {
			err = tocsin.ErrNotFound
		}
		return err
	})
}
