package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/internal/known"
)

// muteColumns are those that scanMute reads.
const muteColumns = `id, webhook_ids, events, collections, dedup_key, filter, starts_at, ends_at, author, reason, created_at, noticed_at`

func muteTargets(m *tocsin.Mute) (targets []any, finish func() error) {
	var events []byte
	return []any{&m.ID, &m.WebhookIDs, &events, &m.Collections, &m.DedupKey, &m.Filter, &m.From, &m.Until, &m.Author, &m.Reason, &m.CreatedAt, &m.NoticedAt},
		func() error {
			if err := json.Unmarshal(events, &m.Events); err != nil {
				return fmt.Errorf("reading events of mute %s: %w", m.ID, err)
			}
			return nil
		}
}

func scanMute(row pgx.CollectableRow) (m tocsin.Mute, err error) {
	targets, finish := muteTargets(&m)
	if err := row.Scan(targets...); err != nil {
		return m, err
	}
	return m, finish()
}

// lasting is the condition of mutes that are not over: one that was ended before it
// began never begins.
const lasting = `ends_at > greatest(clock_timestamp(), starts_at)`

// bareColumns are those of a webhook that events are matched against, as scanWebhook reads
// them: what is sealed is nobody's business there, and half of the bytes.
const bareColumns = `w.id, w.settings, NULL::jsonb, NULL::bytea, w.state, w.state_reason, w.state_since, w.version, w.created_at, w.updated_at`

// Configuration implements [tocsin.Mutes].
func (db *DB) Configuration(ctx context.Context, have tocsin.Configuration) (c tocsin.Configuration, err error) {
	err = db.snapshot(ctx, "reading the configuration", func(t *tx) error {
		c = tocsin.Configuration{}
		t.one(nil, `SELECT revision FROM config_revision`, nil, &c.Revision)
		if len(have.Webhooks) == 0 {
			collect(t.queue(`SELECT `+bareColumns+` FROM webhooks w WHERE w.state <> 'deleted' ORDER BY w.name`), &c.Webhooks, scanWebhook)
		} else if err := t.flush(ctx); err != nil {
			return err
		} else if c.Revision == have.Revision {
			c = have
			return nil
		} else if c.Webhooks, err = t.refresh(ctx, have.Webhooks); err != nil {
			return err
		}
		collect(t.queue(`SELECT `+muteColumns+` FROM mutes WHERE `+lasting+` ORDER BY id`), &c.Mutes, scanMute)
		return nil
	})
	return c, err
}

// refresh brings webhooks up to date.
func (t *tx) refresh(ctx context.Context, have []tocsin.Webhook) ([]tocsin.Webhook, error) {
	versions := make(map[string]int64, len(have))
	t.queue(`SELECT id, version FROM webhooks WHERE state <> 'deleted'`).Query(func(rows pgx.Rows) error {
		var id string
		var version int64
		_, err := pgx.ForEachRow(rows, []any{&id, &version}, func() error {
			versions[id] = version
			return nil
		})
		return err
	})
	if err := t.flush(ctx); err != nil {
		return nil, err
	}
	return known.Refresh(have, versions, func(ids []string) (changed []tocsin.Webhook, err error) {
		collect(t.queue(`SELECT `+bareColumns+` FROM webhooks w WHERE w.id = ANY($1)`, ids), &changed, scanWebhook)
		return changed, t.flush(ctx)
	})
}

const newMute = `
WITH m AS (
	INSERT INTO mutes (id, webhook_ids, events, collections, dedup_key, filter, starts_at, ends_at, author, reason, created_at)
	SELECT $1, $2::text[], $3::jsonb, $4::text[], $5, $6, coalesce($7, now.at), $8, $9, $10, now.at FROM (SELECT clock_timestamp() AS at) AS now
	ON CONFLICT (id) DO NOTHING
	RETURNING ` + muteColumns + `
), r AS (
	` + nextRevision + ` WHERE EXISTS (SELECT FROM m)
)
SELECT ` + muteColumns + ` FROM m
UNION ALL SELECT ` + muteColumns + ` FROM mutes WHERE id = $1` // there already: a repeated call

// CreateMute implements [tocsin.Mutes]. Repeated with the same id, as after a commit
// whose answer was lost, it returns what is stored.
func (db *DB) CreateMute(ctx context.Context, m tocsin.Mute) (tocsin.Mute, error) {
	if m.ID == "" {
		m.ID = tocsin.NewID(tocsin.PrefixMute)
	}
	events, err := json.Marshal(append([]tocsin.Selector{}, m.Events...))
	if err != nil {
		return tocsin.Mute{}, fmt.Errorf("encoding events of mute: %w", err)
	}
	return db.mute(ctx, "creating mute", newMute, m.ID, append([]string{}, m.WebhookIDs...), string(events), append([]string{}, m.Collections...),
		m.DedupKey, m.Filter, unlessZero(m.From), m.Until, m.Author, m.Reason)
}

// unlessZero stores the zero time as NULL.
func unlessZero(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// mute runs a statement that returns one mute.
func (db *DB) mute(ctx context.Context, doing, sql string, args ...any) (tocsin.Mute, error) {
	rows, _ := db.pool.Query(ctx, sql, args...) // CollectExactlyOneRow returns its error
	m, err := pgx.CollectExactlyOneRow(rows, scanMute)
	return m, wrap(doing, notFound(err))
}

// EndMute implements [tocsin.Mutes]. The lock comes in a statement of its own, so that
// of two calls the second sees what the first did.
func (db *DB) EndMute(ctx context.Context, id string) (m tocsin.Mute, err error) {
	err = db.transact(ctx, "ending mute", func(t *tx) error {
		var found, lasts bool
		t.one(&found, `SELECT `+lasting+` FROM mutes WHERE id = $1 FOR UPDATE`, []any{id}, &lasts)
		if err := t.flush(ctx); err != nil {
			return err
		}
		if !found {
			return tocsin.ErrNotFound
		}
		if lasts {
			t.queue(`UPDATE mutes SET ends_at = least(ends_at, greatest(clock_timestamp(), starts_at)) WHERE id = $1`, id)
			t.queue(nextRevision)
		}
		t.queue(`SELECT `+muteColumns+` FROM mutes WHERE id = $1`, id).Query(func(rows pgx.Rows) (err error) {
			m, err = pgx.CollectExactlyOneRow(rows, scanMute)
			return err
		})
		return nil
	})
	return m, err
}

// Mute implements [tocsin.Mutes].
func (db *DB) Mute(ctx context.Context, id string) (tocsin.Mute, error) {
	return db.mute(ctx, "reading mute", `SELECT `+muteColumns+` FROM mutes WHERE id = $1`, id)
}

// ListMutes implements [tocsin.Mutes].
func (db *DB) ListMutes(ctx context.Context, q tocsin.MuteQuery) ([]tocsin.Mute, string, error) {
	var f filter
	if !q.Ended {
		f.conditions = append(f.conditions, lasting)
	}
	return byNumber(ctx, db, "listing mutes", muteColumns+`, number FROM mutes`, f, q.Page, func(row pgx.CollectableRow) (m tocsin.Mute, number int64, err error) {
		targets, finish := muteTargets(&m)
		if err := row.Scan(append(targets, &number)...); err != nil {
			return m, 0, err
		}
		return m, number, finish()
	})
}

// byNumber lists the rows of a table with a column number, newest first. Its cursor is
// the number of the last row.
func byNumber[T any](ctx context.Context, db *DB, doing, columnsFrom string, f filter, p tocsin.Page,
	scan func(pgx.CollectableRow) (T, int64, error)) (all []T, next string, err error) {
	if p.Cursor != "" {
		number, err := strconv.ParseInt(p.Cursor, 10, 64)
		if err != nil {
			return nil, "", badCursor(p.Cursor)
		}
		f.add("number < $?", number)
	}
	var numbers []int64
	rows, _ := db.pool.Query(ctx, fmt.Sprintf(`SELECT %s%s ORDER BY number DESC LIMIT %d`, columnsFrom, f.where(), p.Limit+1), f.args...)
	all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (T, error) { // it returns the query's error, too
		one, number, err := scan(row)
		numbers = append(numbers, number)
		return one, err
	})
	if err != nil {
		return nil, "", wrap(doing, err)
	}
	if len(all) <= p.Limit {
		return all, "", nil
	}
	return all[:p.Limit], strconv.FormatInt(numbers[p.Limit-1], 10), nil
}

// MutesEnding implements [tocsin.Mutes], those that end first first.
func (db *DB) MutesEnding(ctx context.Context, notice time.Duration, limit int) ([]tocsin.Mute, error) {
	rows, _ := db.pool.Query(ctx, `SELECT `+muteColumns+` FROM mutes, (SELECT clock_timestamp() AS at) AS now
		WHERE noticed_at IS NULL AND starts_at <= now.at AND ends_at > now.at
			AND ends_at - now.at <= least($1::interval, (ends_at - starts_at) / 10)
		ORDER BY ends_at, id LIMIT $2`, notice, limit) // CollectRows returns its error
	all, err := pgx.CollectRows(rows, scanMute)
	return all, wrap("looking for mutes that end", err)
}

// MuteNoticed implements [tocsin.Mutes]; the first call counts. ErrNotFound.
func (db *DB) MuteNoticed(ctx context.Context, id string) error {
	_, err := db.mute(ctx, "noting the notice of a mute", `UPDATE mutes SET noticed_at = coalesce(noticed_at, clock_timestamp())
		WHERE id = $1 RETURNING `+muteColumns, id)
	return err
}
