package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
)

// pool hands out connections with their prepared statements. database/sql's own
// transactions would prepare every statement again in each.
type pool struct {
	db     *sql.DB
	free   chan *session
	begin  string
	now    func() time.Time
	closed atomic.Bool
	waits  waits
}

// session is one connection; a nil conn is opened when next used.
type session struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

// errClosed says that the store was closed.
var errClosed = errors.New("the store is closed")

func newPool(db *sql.DB, size int, begin string, now func() time.Time) *pool {
	p := &pool{db: db, free: make(chan *session, size), begin: begin, now: now}
	for range size {
		p.free <- &session{}
	}
	return p
}

// do runs f between begin and commit, and rolls back when f returns an error or
// panics, or ctx is done before the commit. f must not use the pool again.
func (p *pool) do(ctx context.Context, f func(*tx) error) error {
	if p.closed.Load() {
		return errClosed
	}
	s, err := p.session(ctx)
	if err != nil {
		return err
	}
	defer func() { p.free <- s }()
	if p.closed.Load() {
		return errClosed
	}
	if err := s.open(ctx, p.db); err != nil {
		return err
	}
	// A cancelled BEGIN may have begun all the same, and the connection must come back
	// without a transaction: what begins and ends one is not cancelled.
	done := context.WithoutCancel(ctx)
	t := &tx{ctx: ctx, s: s, now: p.now()}
	if _, err := (&tx{ctx: done, s: s}).exec(p.begin); err != nil {
		s.close()
		return err
	}
	committed := false
	defer func() {
		if committed {
			return
		}
		if _, e := (&tx{ctx: done, s: s}).exec("ROLLBACK"); e != nil {
			s.close() // also when SQLite rolled back by itself, as on a full disk
		}
	}()
	if err := f(t); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := (&tx{ctx: done, s: s}).exec("COMMIT"); err != nil {
		return err
	}
	committed = true
	return nil
}

// session waits for a connection.
func (p *pool) session(ctx context.Context) (*session, error) {
	p.waits.asked.Add(1)
	select {
	case s := <-p.free:
		return s, nil
	default:
	}
	began := time.Now()
	defer p.waits.over(began)
	select {
	case s := <-p.free:
		return s, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// close waits for the connections and closes them.
func (p *pool) close() error {
	p.closed.Store(true)
	for range cap(p.free) {
		(<-p.free).close()
	}
	for range cap(p.free) {
		p.free <- &session{} // for those who wait, to find it closed
	}
	return p.db.Close()
}

func (s *session) open(ctx context.Context, db *sql.DB) error {
	if s.conn != nil {
		return nil
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	s.conn, s.stmts = conn, map[string]*sql.Stmt{}
	return nil
}

// close gives the connection up; what it says on closing is of no use to anyone.
func (s *session) close() {
	if s.conn == nil {
		return
	}
	for _, stmt := range s.stmts {
		_ = stmt.Close()
	}
	_ = s.conn.Close()
	s.conn, s.stmts = nil, nil
}

// tx is one transaction; now is its moment.
type tx struct {
	ctx context.Context
	s   *session
	now time.Time
}

func (t *tx) stmt(query string) (*sql.Stmt, error) {
	if stmt := t.s.stmts[query]; stmt != nil {
		return stmt, nil
	}
	stmt, err := t.s.conn.PrepareContext(t.ctx, query)
	if err == nil {
		t.s.stmts[query] = stmt
	}
	return stmt, err
}

// exec returns how many rows changed.
func (t *tx) exec(query string, args ...any) (int, error) {
	stmt, err := t.stmt(query)
	if err != nil {
		return 0, err
	}
	result, err := stmt.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// script runs several statements once.
func (t *tx) script(text string) error {
	_, err := t.s.conn.ExecContext(t.ctx, text)
	return err
}

// get scans the one row of a query; sql.ErrNoRows when there is none.
func (t *tx) get(query string, args []any, into ...any) error {
	stmt, err := t.stmt(query)
	if err != nil {
		return err
	}
	return stmt.QueryRowContext(t.ctx, args...).Scan(into...)
}

// list calls scan for each row of a query.
func list[T any](t *tx, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	stmt, err := t.stmt(query)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.QueryContext(t.ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// row is what can be scanned.
type row interface{ Scan(into ...any) error }

// scanID reads a row of one text.
func scanID(r row) (string, error) {
	var id string
	err := r.Scan(&id)
	return id, err
}

// insert adds rows of equal length to a table, many in a statement. head is
// "INSERT INTO table (columns)".
func (t *tx) insert(head string, rows [][]any) error {
	for len(rows) > 0 {
		n := chunk(len(rows))
		args := make([]any, 0, n*len(rows[0]))
		for _, r := range rows[:n] {
			args = append(args, r...)
		}
		if _, err := t.exec(head+values(n, len(rows[0])), args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// chunk is how many of n rows go into the next statement: few sizes, so that
// statements stay prepared, and small ones, since the driver looks for each argument among
// all that came before.
func chunk(n int) int {
	for _, size := range []int{16, 4} {
		if n >= size {
			return size
		}
	}
	return 1
}

// values is " VALUES (?,?),(?,?)" for so many rows and columns.
func values(rows, columns int) string {
	one := "(?" + strings.Repeat(",?", columns-1) + ")"
	return " VALUES " + one + strings.Repeat(","+one, rows-1)
}

// registerFunctions adds what SQLite lacks, once for the process: SQLite's own lower
// and LIKE know ASCII only.
var registerFunctions = sync.OnceFunc(func() {
	sqlite.MustRegisterDeterministicScalarFunction("tocsin_contains", 2,
		func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
			text, _ := args[0].(string)
			part, _ := args[1].(string)
			return contains(text, part), nil
		})
})
