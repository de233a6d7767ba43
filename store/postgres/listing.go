package postgres

import (
	"cmp"
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
	kind    any         // the type of events, if only those of one are asked for
	times   []condition // an operator and a time
	others  []condition
	at      int  // how many rows are looked at for them at once, which looks others up; 0 is searchWindow
	few     bool // an index finds all that is asked for at once
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

// time limits the time.
func (l *listing[T]) time(op string, at time.Time) {
	l.times = append(l.times, condition{op, at})
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
	read := l.read
	if l.few {
		read = l.readFew
	}
	err = db.snapshot(ctx, doing, func(t *tx) error {
		t.queue(forThese)
		rows, next, err = read(ctx, t, from)
		return err
	})
	return rows, next, err
}

// readFew is read for what an index finds at once and is few, whatever its order.
func (l *listing[T]) readFew(ctx context.Context, t *tx, after *deliveryCursor) (rows []T, next string, err error) {
	sql, args := l.window(after, nil, l.limit+1)
	var found []listed[T]
	collect(t.queue(sql, args...), &found, l.scan)
	if err := t.flush(ctx); err != nil {
		return nil, "", err
	}
	for _, f := range found[:min(l.limit, len(found))] {
		rows = append(rows, f.row)
	}
	if len(found) > l.limit {
		next = found[l.limit-1].place.String()
	}
	return rows, next, nil
}

// read goes from window to window: first where the next one ends, by an index alone, then
// its rows.
func (l *listing[T]) read(ctx context.Context, t *tx, after *deliveryCursor) (rows []T, next string, err error) {
	began := time.Now()
	for {
		room := l.limit - len(rows)
		size := cmp.Or(l.at, searchWindow)
		if len(l.others) == 0 {
			size = room + 1
		}
		var end time.Time
		var n int
		t.queue(fromTheIndex)
		sql, args := l.end(after, size)
		t.one(nil, sql, args, &end, &n)
		if err := t.flush(ctx); err != nil {
			return nil, "", err
		}
		more := n == size
		var edge *deliveryCursor
		if more {
			edge = &deliveryCursor{micros: end.UnixMicro()} // before all rows of that moment
		}
		var found []listed[T]
		if l.at == 0 {
			t.queue(manyAtOnce)
		} else {
			t.queue(fewAtOnce)
		}
		sql, args = l.window(after, edge, room+1)
		collect(t.queue(sql, args...), &found, l.scan)
		if err := t.flush(ctx); err != nil {
			return nil, "", err
		}
		for _, f := range found[:min(room, len(found))] {
			rows = append(rows, f.row)
		}
		switch {
		case len(found) > room:
			return rows, found[room-1].place.String(), nil
		case !more:
			return rows, "", nil
		case len(found) == room || time.Since(began) > searchFor:
			return rows, edge.String(), nil
		}
		after = edge
	}
}

// fromTheIndex has the end of a window found by going along an index that has its order.
// Planned by what is known of the table, which is never the newest, a window may seem to
// have so few rows that all could be read and sorted.
const fromTheIndex = `SELECT set_config('enable_sort', 'off', true), set_config('enable_bitmapscan', 'off', true),
	set_config('enable_seqscan', 'off', true), set_config('enable_indexscan', 'on', true)`

// manyAtOnce has the rows of a window read together, in the order they lie in. Along the
// index each would be waited for alone, and in a store that is larger than the memory each
// comes from the disk: 120 ms for a page of 50. Where PostgreSQL can't ask for pages ahead
// the number is 0, and nothing else may be set.
const manyAtOnce = `SELECT set_config('enable_sort', 'on', true), set_config('enable_bitmapscan', 'on', true),
	set_config('enable_indexscan', 'off', true),
	CASE WHEN current_setting('effective_io_concurrency') <> '0' THEN set_config('effective_io_concurrency', '128', true) END`

// fewAtOnce leaves the rest to the planner: where the other conditions look rows of other
// tables up, one by one, indexes are what finds them.
const fewAtOnce = `SELECT set_config('enable_sort', 'on', true), set_config('enable_bitmapscan', 'on', true)`

// end selects the time of the last row of a window of n, and how many there are, at most n.
// Rows of the very moment of the place before are not counted: they are the next window's
// in any case.
func (l *listing[T]) end(after *deliveryCursor, n int) (string, []any) {
	c := l.copy()
	if after != nil {
		c.time("<", after.time())
	}
	// With a type, rows are compared and ordered by type and time, though all have the same
	// type: then no plan but that of the index on both is any good.
	if c.kind != nil {
		c.add("e.type >= $?", c.kind)
		c.add("e.type <= $?", c.kind)
	}
	for _, at := range c.times {
		if c.kind == nil {
			c.add(c.track.at+" "+at.text+" $?", at.arg)
		} else {
			kind := c.arg(c.kind)
			c.add("(e.type, "+c.track.at+") "+at.text+" ("+kind+", $?)", at.arg)
		}
	}
	return fmt.Sprintf(`SELECT coalesce(min(at), 'epoch'), count(*) FROM (SELECT %s AS at FROM %s%s ORDER BY %s LIMIT %d) AS rows`,
		l.track.at, l.track.from, c.where(), l.order(l.track.at), n), c.args
}

// window selects up to n rows after a place, as far as the edge.
func (l *listing[T]) window(after, edge *deliveryCursor, n int) (string, []any) {
	c := l.copy()
	if after != nil {
		l.track.bound(&c.filter, "<", *after)
	}
	if edge != nil {
		c.time(">=", edge.time())
	}
	if c.kind != nil {
		c.add("e.type = $?", c.kind)
	}
	for _, at := range c.times {
		c.add(c.track.at+" "+at.text+" $?", at.arg)
	}
	for _, o := range l.others {
		c.add(o.text, o.arg)
	}
	return fmt.Sprintf(`SELECT %s FROM %s%s ORDER BY %s LIMIT %d`, l.columns, l.track.from, c.where(), l.order(l.track.order), n), c.args
}

// copy is one to add conditions to.
func (l *listing[T]) copy() listing[T] {
	c := *l
	c.filter = filter{slices.Clone(l.conditions), slices.Clone(l.args)}
	c.times = slices.Clone(l.times)
	return c
}

// order is that of columns, the newest first.
func (l *listing[T]) order(columns string) string {
	if l.kind != nil {
		columns = "e.type, " + columns
	}
	return strings.ReplaceAll(columns, ",", " DESC,") + " DESC"
}
