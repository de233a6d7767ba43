// Package postgres keeps Tocsin's log, configuration and ledger in PostgreSQL (15 or
// newer). It is the store for production: any number of processes may share a
// database.
//
// # How transactions keep out of each other's way
//
// All run at READ COMMITTED. Whoever needs more than one kind of row locks them in this
// order: event keys, repeats, incident keys, each in sorted order; replay, lease,
// delivery, event, webhook, config_revision. Append locks nothing that deliveries update,
// so that ingest never waits for them.
//
// Every change of a webhook and everything a Deliver does lock the webhook's lease row
// in a statement of their own first; the statements after it then see what was
// committed before. Checks of version and state rest on that.
//
// Statements travel together (see tx): most methods take one or two round trips.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/internal/recent"
)

var _ tocsin.Store = (*DB)(nil)

// Options are all optional.
type Options struct {
	// Logger gets what no caller can be told, such as a lost LISTEN connection. Default:
	// slog.Default().
	Logger *slog.Logger
	// MaxConns bounds the connections of this process, without the one that listens for
	// hints. 0: pool_max_conns of the URL, else 16.
	MaxConns int32
}

// DB is a store in PostgreSQL. It is safe for concurrent use.
type DB struct {
	pool   *pgxpool.Pool
	log    *slog.Logger
	hints  *hints
	passes passes
	skips  skips
	recent recent.Events
	// migrationLockTimeout is how long a migration waits for a table that others use.
	migrationLockTimeout time.Duration
}

// Open returns a store on the database that a URL (postgres://…) or keyword string
// names. It does not connect, so that a process may start before its database: see
// [DB.Ping]. The error is about the URL or the options, and shows no password.
func Open(ctx context.Context, url string, o Options) (*DB, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	switch {
	case o.MaxConns < 0:
		return nil, fmt.Errorf("opening store: MaxConns is %d; allowed: 0 and up", o.MaxConns)
	case o.MaxConns > 0:
		config.MaxConns = o.MaxConns
	case !strings.Contains(url, "pool_max_conns"):
		config.MaxConns = 16
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "tocsin"
	}
	config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		if _, err := c.Exec(ctx, sessionSettings); err != nil {
			return err
		}
		c.TypeMap().RegisterType(&pgtype.Type{
			Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
		})
		return nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	return &DB{pool: pool, log: o.Logger, hints: newHints(pool, o.Logger), migrationLockTimeout: 3 * time.Second}, nil
}

// sessionSettings are what no session may be without. A process that is frozen or cut off
// between two statements holds the lease of its webhook: after idleFor its transaction
// ends, so that another may go on. A commit that is not on disk is none, whatever the
// server's default is: a 202 promises it. And no statement runs long enough to be worth
// compiling, which the server decides by costs that mean nothing where a plan is forced.
const sessionSettings = `SELECT set_config('idle_in_transaction_session_timeout', '` + idleFor + `', false), set_config('jit', 'off', false),
	CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', false) END`

// idleFor is far longer than a living process is between two statements.
const idleFor = "10s"

// Ping returns an *Error with CodeUnavailable when the database cannot be reached, or
// lacks migrations that this program needs.
func (db *DB) Ping(ctx context.Context) error {
	wanted, err := migrations()
	if err != nil {
		return fmt.Errorf("reading migrations: %w", err)
	}
	have, err := db.schema(ctx)
	if err != nil {
		return wrap("pinging store", err)
	}
	if need := len(wanted); have < need {
		return tocsin.Errorf(tocsin.CodeUnavailable, "the store is not migrated: its schema has version %d, this program needs %d", have, need)
	}
	return nil
}

// Close ends all subscriptions and waits until every connection is given back.
func (db *DB) Close() error {
	db.hints.close()
	db.pool.Close()
	return nil
}

// notFound turns "no rows" into ErrNotFound.
func notFound(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return tocsin.ErrNotFound
	}
	return err
}
