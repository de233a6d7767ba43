package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
)

// replayColumns are those that replayTargets takes.
const replayColumns = `id, webhook_id, what, types, coalesce(since, '0001-01-01 00:00:00Z'), until, max_rate, state, reason, total, replayed, deliveries, skipped,
	cursor, author, created_at, updated_at, finished_at`

func replayTargets(r *tocsin.Replay) []any {
	return []any{&r.ID, &r.WebhookID, &r.What, &r.Types, &r.Since, &r.Until, &r.MaxRate, &r.State, &r.Reason, &r.Total, &r.Replayed, &r.Deliveries, &r.Skipped,
		&r.Cursor, &r.Author, &r.CreatedAt, &r.UpdatedAt, &r.FinishedAt}
}

func scanReplay(row pgx.CollectableRow) (r tocsin.Replay, err error) {
	err = row.Scan(replayTargets(&r)...)
	return r, err
}

const newReplay = `
WITH r AS (
	INSERT INTO replays (id, webhook_id, what, types, since, until, max_rate, state, total, author, created_at, updated_at)
	SELECT $1, $2, $3, $4::text[], $5, least($6, now.at), $7, 'running', $8, $9, now.at, now.at FROM (SELECT clock_timestamp() AS at) AS now
	ON CONFLICT (id) DO NOTHING
	RETURNING *
)
SELECT ` + replayColumns + ` FROM r
UNION ALL SELECT ` + replayColumns + ` FROM replays WHERE id = $1` // there already: a repeated call

// CreateReplay implements [tocsin.Replays]. An Until in the future becomes now, too: a
// replay must not meet what it brings about. Repeated with the same id, as after a
// commit whose answer was lost, it returns what is stored.
func (db *DB) CreateReplay(ctx context.Context, r tocsin.Replay) (tocsin.Replay, error) {
	if r.ID == "" {
		r.ID = tocsin.NewID(tocsin.PrefixReplay)
	}
	return db.replay(ctx, "creating replay", newReplay, r.ID, r.WebhookID, r.What, append([]string{}, r.Types...),
		unlessZero(r.Since), unlessZero(r.Until), r.MaxRate, r.Total, r.Author)
}

// replay runs a statement that returns one replay.
func (db *DB) replay(ctx context.Context, doing, sql string, args ...any) (tocsin.Replay, error) {
	rows, _ := db.pool.Query(ctx, sql, args...) // CollectExactlyOneRow returns its error
	r, err := pgx.CollectExactlyOneRow(rows, scanReplay)
	return r, wrap(doing, notFound(err))
}

// Replay implements [tocsin.Replays].
func (db *DB) Replay(ctx context.Context, id string) (tocsin.Replay, error) {
	return db.replay(ctx, "reading replay", `SELECT `+replayColumns+` FROM replays WHERE id = $1`, id)
}

// ListReplays implements [tocsin.Replays].
func (db *DB) ListReplays(ctx context.Context, p tocsin.Page) ([]tocsin.Replay, string, error) {
	return byNumber(ctx, db, "listing replays", replayColumns+`, number FROM replays`, filter{}, p, func(row pgx.CollectableRow) (r tocsin.Replay, number int64, err error) {
		err = row.Scan(append(replayTargets(&r), &number)...)
		return r, number, err
	})
}

// lockReplay locks and reads a replay, as the first statement of a transaction.
func (t *tx) lockReplay(ctx context.Context, id string) (r tocsin.Replay, err error) {
	var found bool
	t.one(&found, `SELECT `+replayColumns+` FROM replays WHERE id = $1 FOR UPDATE`, []any{id}, replayTargets(&r)...)
	if err := t.flush(ctx); err != nil {
		return r, err
	}
	if !found {
		return r, tocsin.ErrNotFound
	}
	return r, nil
}

const moveReplay = `
UPDATE replays SET state = $2, reason = $3, cursor = $4, replayed = $5, total = CASE WHEN total < 0 THEN total ELSE greatest(total, $5) END, deliveries = $6, skipped = $7, updated_at = now.at,
	finished_at = CASE WHEN $8 THEN now.at END
FROM (SELECT clock_timestamp() AS at) AS now WHERE id = $1 RETURNING ` + replayColumns

// moveReplay stores how far a replay is, and reads it again with its times.
func (t *tx) moveReplay(r *tocsin.Replay) {
	t.one(nil, moveReplay, []any{r.ID, r.State, r.Reason, r.Cursor, r.Replayed, r.Deliveries, r.Skipped, r.State.Final()}, replayTargets(r)...)
}

// SetReplayState implements [tocsin.Replays].
func (db *DB) SetReplayState(ctx context.Context, id string, to tocsin.ReplayState, reason string) (r tocsin.Replay, err error) {
	err = db.transact(ctx, "changing the state of a replay", func(t *tx) error {
		if r, err = t.lockReplay(ctx, id); err != nil || r.State == to {
			return err
		}
		if r.State.Final() {
			return tocsin.Errorf(tocsin.CodeConflict, "replay %s is over: it is %s", id, r.State)
		}
		r.State, r.Reason = to, reason
		t.moveReplay(&r)
		return nil
	})
	if err != nil {
		return tocsin.Replay{}, err
	}
	return r, nil
}
