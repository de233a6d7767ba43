package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// maxTries is how often a transaction is begun when others make it fail.
const maxTries = 5

// rollbackTimeout bounds a rollback after the caller's context ended.
const rollbackTimeout = 5 * time.Second

// tx is a transaction whose statements are queued and travel together: BEGIN with the
// first of them, COMMIT with those that are queued last.
type tx struct {
	conn  *pgxpool.Conn
	batch *pgx.Batch
}

// byKey, selected in a transaction, makes the statements after it use one plan for all
// values, and one that goes by an index in its order. Planning anew for each call, which
// PostgreSQL goes on with where it believes that these values are cheaper than others, took
// longer than running them. And what it believes of tables that were empty a minute ago has
// it read and sort all that waits for a webhook, to take a few: that is little while little
// waits, and a million rows once a receiver has been down for an hour.
const byKey = `set_config('plan_cache_mode', 'force_generic_plan', true) ||
	set_config('enable_seqscan', 'off', true) || set_config('enable_bitmapscan', 'off', true)`

// transact runs fn in a transaction and commits when it returns nil. fn may run
// several times, so it must set what it returns afresh. doing, a gerund, is for errors.
func (db *DB) transact(ctx context.Context, doing string, fn func(*tx) error) error {
	return db.begin(ctx, doing, "begin", fn)
}

// snapshot runs fn in a transaction that sees one state of the database and only reads.
func (db *DB) snapshot(ctx context.Context, doing string, fn func(*tx) error) error {
	return db.begin(ctx, doing, "begin isolation level repeatable read read only", fn)
}

func (db *DB) begin(ctx context.Context, doing, begin string, fn func(*tx) error) error {
	for try := 1; ; try++ {
		err := db.once(ctx, begin, fn)
		if try == maxTries || !isRetryable(err) {
			return wrap(doing, err)
		}
		select {
		case <-ctx.Done():
			return wrap(doing, err)
		case <-time.After(rand.N(time.Duration(try) * 10 * time.Millisecond)): // #nosec G404 -- jitter, no secret
		}
	}
}

func (db *DB) once(ctx context.Context, begin string, fn func(*tx) error) error {
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release() // closes a connection that is still in a transaction
	t := &tx{conn: conn, batch: &pgx.Batch{}}
	t.batch.Queue(begin)
	if err = fn(t); err == nil {
		return t.commit(ctx)
	}
	t.rollback(ctx)
	return err
}

// queue adds a statement; see [pgx.QueuedQuery] for how to take its result.
func (t *tx) queue(sql string, args ...any) *pgx.QueuedQuery { return t.batch.Queue(sql, args...) }

// one adds a statement and scans its one row, if there is any; found may be nil.
func (t *tx) one(found *bool, sql string, args []any, into ...any) {
	t.queue(sql, args...).QueryRow(func(row pgx.Row) error {
		err := row.Scan(into...)
		if found != nil {
			*found = err == nil
		}
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
}

// flush sends what is queued and waits for its results.
func (t *tx) flush(ctx context.Context) error {
	batch := t.batch
	t.batch = &pgx.Batch{}
	if batch.Len() == 0 {
		return nil
	}
	return t.conn.SendBatch(ctx, batch).Close()
}

// copy sends rows at once, and what is queued before them.
func (t *tx) copy(ctx context.Context, table string, columns []string, rows pgx.CopyFromSource) error {
	if err := t.flush(ctx); err != nil {
		return err
	}
	_, err := t.conn.Conn().CopyFrom(ctx, pgx.Identifier{table}, columns, rows)
	return err
}

func (t *tx) commit(ctx context.Context) error {
	var tag string
	t.queue("commit")
	last := t.batch.QueuedQueries[t.batch.Len()-1]
	last.Exec(func(ct pgconn.CommandTag) error { tag = ct.String(); return nil })
	if err := t.flush(ctx); err != nil {
		t.rollback(ctx)
		return err
	}
	if tag != "COMMIT" { // a transaction that failed before answers ROLLBACK, without an error
		return errors.New("committing: the transaction had failed")
	}
	return nil
}

// rollback gives the connection back clean. It is best effort: Release closes
// connections for which it does not work.
func (t *tx) rollback(ctx context.Context) {
	if t.conn.Conn().IsClosed() || t.conn.Conn().PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	_, _ = t.conn.Exec(ctx, "rollback")
}
