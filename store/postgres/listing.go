package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// searchWindow is how many rows are looked at in one statement for what no index finds.
	searchWindow = 5000
	// searchFor is how long a page is searched for; it then ends where the search got to.
	// People wait for it.
	searchFor = time.Second
)

// listing is a list of a track, newest first. What an index finds is in its filter; the
// other conditions may match nothing of very much, so that rows are looked at window by
// window.
type listing[T any] struct {
	filter
	track   track
	kind    any // the type of events, if only those of one are asked for
	others  []condition
	columns string
	limit   int
	scan    func(pgx.CollectableRow) (listed[T], error)
}

// forThese has each statement planned for its arguments: what is rare and what is common
// are found in different ways.
const forThese = `SELECT set_config('plan_cache_mode', 'force_custom_plan', true)`

// condition is one in which $? stands for the argument.
type condition struct {
	text string
	arg  any
}

// listed is a row and its place.
type listed[T any] struct {
	row   T
	place deliveryCursor
}

// other appends a condition that no index helps with.
func (l *listing[T]) other(text string, arg any) { l.others = append(l.others, condition{text, arg}) }

// between limits the time of the track.
func (l *listing[T]) between(since, until time.Time) {
	if !since.IsZero() {
		l.time(">=", since)
	}
	if !until.IsZero() {
		l.time("<", until)
	}
}

// time limits the time. With a type, rows are compared and ordered by type and time, though
// all have the same type: then no plan but that of the index on both is any good. Left to
// choose, the planner may look for a type among all events, newest first, which takes
// seconds where those of the type are few or old.
func (l *listing[T]) time(op string, at time.Time) {
	if l.kind == nil {
		l.add(l.track.at+" "+op+" $?", at)
		return
	}
	kind := l.arg(l.kind)
	l.add("(e.type, "+l.track.at+") "+op+" ("+kind+", $?)", at)
}

// page reads the page after a cursor, and returns the cursor of the next, if there is one.
// All of it is of one snapshot, or a window could end elsewhere than it was thought to.
func (l *listing[T]) page(ctx context.Context, db *DB, doing, cursor string) (rows []T, next string, err error) {
	var from *deliveryCursor
	if cursor != "" {
		c, err := parseDeliveryCursor(cursor)
		if err != nil {
			return nil, "", err
		}
		from = &c
	}
	err = db.snapshot(ctx, doing, func(t *tx) error {
		t.queue(forThese)
		rows, next, err = l.read(ctx, t, from)
		return err
	})
	return rows, next, err
}

func (l *listing[T]) read(ctx context.Context, t *tx, after *deliveryCursor) (rows []T, next string, err error) {
	began := time.Now()
	for {
		var found []listed[T]
		var edge deliveryCursor
		var at time.Time
		var more bool
		sql, args := l.window(after, l.limit-len(rows)+1)
		collect(t.queue(sql, args...), &found, l.scan)
		if len(l.others) > 0 {
			sql, args := l.edge(after)
			t.one(&more, sql, args, &at, &edge.number, &edge.path)
		}
		if err := t.flush(ctx); err != nil {
			return nil, "", err
		}
		for i, f := range found {
			if len(rows) == l.limit {
				return rows, found[i-1].place.String(), nil
			}
			rows = append(rows, f.row)
		}
		if !more {
			return rows, "", nil
		}
		edge.micros = at.UnixMicro()
		if len(rows) == l.limit || time.Since(began) > searchFor {
			return rows, edge.String(), nil
		}
		after = &edge
	}
}

// bounded is the listing with what comes after a place.
func (l *listing[T]) bounded(after *deliveryCursor) filter {
	c := listing[T]{filter: filter{slices.Clone(l.conditions), slices.Clone(l.args)}, track: l.track, kind: l.kind}
	if l.kind != nil {
		c.add("e.type >= $?", l.kind)
		c.add("e.type <= $?", l.kind)
	}
	if after != nil {
		c.time("<=", after.time()) // for the index
		l.track.bound(&c.filter, "<", *after)
	}
	return c.filter
}

func (l *listing[T]) order() string {
	columns := l.track.order
	if l.kind != nil {
		columns = "e.type, " + columns
	}
	return strings.ReplaceAll(columns, ",", " DESC,") + " DESC"
}

// window selects up to n rows. With other conditions it looks at no more than the window.
func (l *listing[T]) window(after *deliveryCursor, n int) (string, []any) {
	f := l.bounded(after)
	from := l.track.from
	if len(l.others) > 0 {
		alias := from[len(from)-1:]
		from = fmt.Sprintf("(SELECT * FROM %s%s ORDER BY %s LIMIT %d) %s", from, f.where(), l.order(), searchWindow, alias)
		f.conditions = nil
		for _, o := range l.others {
			f.add(o.text, o.arg)
		}
	}
	return fmt.Sprintf(`SELECT %s FROM %s%s ORDER BY %s LIMIT %d`, l.columns, from, f.where(), l.order(), n), f.args
}

// edge selects the place of the window's last row, if it is full.
func (l *listing[T]) edge(after *deliveryCursor) (string, []any) {
	f := l.bounded(after)
	return fmt.Sprintf(`SELECT %s FROM %s%s ORDER BY %s OFFSET %d LIMIT 1`, l.track.place, l.track.from, f.where(), l.order(), searchWindow-1), f.args
}
