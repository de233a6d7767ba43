// Package sqlite keeps everything Tocsin keeps in one SQLite file: the embedded
// default, for one process. It is a [tocsin.Store] like store/postgres, held to the
// same words by storetest.
//
// One connection writes, in transactions begun with BEGIN IMMEDIATE, and several read
// snapshots beside it (WAL). Every commit is flushed to disk before it is answered
// (synchronous=FULL). A lock file keeps a second process out.
package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/internal/recent"
)

var _ tocsin.Store = (*DB)(nil)

// Memory is the path of a store that is kept in memory and gone with Close.
const Memory = ":memory:"

// readers is how many snapshots can be read at once.
const readers = 4

// Options adjusts Open. The zero value is ready to use.
type Options struct {
	// Now is the store's clock; nil means time.Now. It is read to the microsecond.
	Now func() time.Time
	// Logger gets what an operator should know (schema changes); nil means none.
	Logger *slog.Logger
}

// DB is an open store. It is safe for concurrent use.
type DB struct {
	path    string
	clock   func() time.Time
	logger  *slog.Logger
	writer  *pool
	group   *group // of writes
	reader  *pool  // the writer, in memory
	keep    *sql.DB
	lock    *os.File // nil in memory
	hints   hints
	passes  passes
	recent  recent.Events
	closing sync.Once
}

// Open opens the file at path, creating it when there is none (its folder must be
// there), or a fresh store in memory for [Memory]. The schema is brought up to date by
// [DB.Migrate], not by Open. A file that another process has open is an error that
// names the path.
func Open(ctx context.Context, path string, o Options) (*DB, error) {
	db := &DB{path: path, clock: o.Now, logger: o.Logger}
	if db.clock == nil {
		db.clock = time.Now
	}
	if db.logger == nil {
		db.logger = slog.New(slog.DiscardHandler)
	}
	registerFunctions()
	open := db.openFile
	if path == Memory {
		open = db.openMemory
	}
	if err := open(); err != nil {
		return nil, err
	}
	db.group = &group{do: db.writer.do}
	if err := db.writer.do(ctx, func(*tx) error { return nil }); err != nil {
		_ = db.Close() // the first error is the one that tells
		return nil, wrap("opening store "+path, err)
	}
	return db, nil
}

func (db *DB) openFile() error {
	path, err := filepath.Abs(db.path)
	if err != nil {
		return fmt.Errorf("opening store %s: %w", db.path, err)
	}
	// One file has one lock, whatever link leads to it.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if db.lock, err = lockFile(path); err != nil {
		return err
	}
	// Sealed secrets and hashes of keys are nobody else's to read.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) // #nosec G304 -- the operator's own file
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		_ = db.lock.Close()
		return tocsin.Errorf(tocsin.CodeUnavailable, "opening store %s: %w", db.path, err)
	}
	const both = "_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)"
	db.writer = db.pool(dsn(path, both+"&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=journal_size_limit(67108864)"), 1, "BEGIN IMMEDIATE")
	db.reader = db.pool(dsn(path, both+"&_pragma=query_only(1)"), readers, "BEGIN")
	return nil
}

// openMemory uses one connection for all: a second one could not read beside a writer
// there. Another, idle one keeps the content should the first ever be replaced.
func (db *DB) openMemory() error {
	name := dsn("/"+tocsin.NewID("mem"), "vfs=memdb&_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)")
	db.keep = openSQL(name, 1)
	if err := db.keep.Ping(); err != nil {
		return wrap("opening store in memory", err)
	}
	db.writer = db.pool(name, 1, "BEGIN IMMEDIATE")
	db.reader = db.writer
	return nil
}

// dsn escapes the path, which may have a '?' in it.
func dsn(path, query string) string {
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + query
}

func openSQL(dsn string, conns int) *sql.DB {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		panic(err) // only for a driver that is not registered
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db
}

func (db *DB) pool(dsn string, conns int, begin string) *pool {
	return newPool(openSQL(dsn, conns), conns, begin, db.now)
}

// now is the store's clock as it is stored.
func (db *DB) now() time.Time { return db.clock().UTC().Truncate(time.Microsecond) }

// write runs f in a transaction that is flushed to disk when it returns; see group.
func (db *DB) write(ctx context.Context, doing string, f func(*tx) error) error {
	return wrap(doing, db.group.write(ctx, f))
}

// read runs f on one snapshot.
func (db *DB) read(ctx context.Context, doing string, f func(*tx) error) error {
	return wrap(doing, db.reader.do(ctx, f))
}

// Ping implements tocsin.Store.
func (db *DB) Ping(ctx context.Context) error {
	return db.read(ctx, "checking store", func(t *tx) error { return checkVersion(t, db.path) })
}

// Close waits for what is under way, closes the file and gives up its lock. A second
// call does nothing.
func (db *DB) Close() error {
	var err error
	db.closing.Do(func() {
		db.hints.close()
		if db.reader != nil && db.reader != db.writer {
			err = db.reader.close()
		}
		if db.writer != nil {
			if e := db.writer.close(); err == nil {
				err = e
			}
		}
		if db.keep != nil {
			_ = db.keep.Close() // memory has nothing to flush
		}
		if db.lock != nil {
			_ = db.lock.Close() // gives up the lock
		}
	})
	if err != nil {
		return fmt.Errorf("closing store %s: %w", db.path, err)
	}
	return nil
}

// contains is strings.Contains without regard to case.
func contains(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}
