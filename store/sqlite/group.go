package sqlite

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// maxGrouped is how many writes one commit takes at most, so that the first of them does
// not wait long for the others.
const maxGrouped = 64

// group lets writes that wait for each other share a commit, and so one flush to disk: a
// hundred webhooks that deliver at once would otherwise take turns at the disk. Each write
// is atomic by itself, and none returns before the commit. There is no timer: a write that
// finds nobody at work begins at once, with whatever waits.
type group struct {
	do    func(context.Context, func(*tx) error) error // a transaction
	waits waits

	mu      sync.Mutex
	waiting []*grouped
	working bool
}

// grouped is a write that waits.
type grouped struct {
	ctx  context.Context
	f    func(*tx) error
	lead chan struct{} // closed when it is its turn to work for all
	done chan struct{} // closed when it is over
	// since is when it began to wait; zero for one that found nobody at work.
	since time.Time

	err      error
	panicked any
}

// write runs f in a transaction and returns when that is committed. f may see what others
// wrote that is not committed yet: should that commit fail, f's does.
func (g *group) write(ctx context.Context, f func(*tx) error) error {
	w := &grouped{ctx: ctx, f: f, lead: make(chan struct{}), done: make(chan struct{})}
	g.waits.asked.Add(1)
	g.mu.Lock()
	g.waiting = append(g.waiting, w)
	if g.working {
		w.since = time.Now()
	} else {
		g.working = true
		close(w.lead)
	}
	g.mu.Unlock()
	select {
	case <-w.lead:
	case <-w.done:
	case <-ctx.Done():
		if g.leave(w) {
			return ctx.Err()
		}
	}
	select {
	case <-w.lead:
		g.work()
	case <-w.done:
	}
	if w.panicked != nil {
		panic(w.panicked)
	}
	return w.err
}

// leave takes a write back that nobody has begun; not so when it is its turn to work.
func (g *group) leave(w *grouped) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-w.lead:
		return false
	default:
	}
	i := slices.Index(g.waiting, w)
	if i < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return true
}

// work commits what waits, the caller's own write first, and hands over to the first of
// those that came meanwhile.
func (g *group) work() {
	g.mu.Lock()
	n := min(len(g.waiting), maxGrouped)
	all := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	g.mu.Unlock()
	for _, w := range all {
		if !w.since.IsZero() {
			g.waits.over(w.since)
		}
	}
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.working = len(g.waiting) > 0; g.working {
			close(g.waiting[0].lead)
		}
	}()
	g.commit(all)
	for _, w := range all {
		close(w.done)
	}
}

// commit runs the writes. One alone needs nothing between itself and the transaction, and
// may be cut short while it waits for it.
func (g *group) commit(all []*grouped) {
	if len(all) == 1 {
		w := all[0]
		w.err = g.do(w.ctx, w.run)
		return
	}
	err := g.do(context.Background(), func(t *tx) error {
		for _, w := range all {
			if err := w.inside(t); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		return
	}
	for _, w := range all {
		if w.err == nil {
			w.err = err
		}
	}
}

// inside runs the write between a savepoint and its release; what fails alone is undone
// alone. An error is that of the whole transaction, which SQLite may have rolled back by
// itself, as on a full disk.
func (w *grouped) inside(t *tx) error {
	if w.err = w.ctx.Err(); w.err != nil {
		return nil
	}
	if _, err := t.exec("SAVEPOINT grouped"); err != nil {
		return err
	}
	// SQLite rolls everything back when one statement is cut short, so none is.
	w.err = w.run(&tx{ctx: context.WithoutCancel(w.ctx), s: t.s, now: t.now})
	if w.err == nil && w.panicked == nil {
		w.err = w.ctx.Err()
	}
	if w.err != nil || w.panicked != nil {
		if _, err := t.exec("ROLLBACK TO grouped"); err != nil {
			return fmt.Errorf("undoing a write that failed (%w): %w", w.err, err)
		}
	}
	_, err := t.exec("RELEASE grouped")
	return err
}

// run calls f. What it panics with is its caller's to see, and nobody else's.
func (w *grouped) run(t *tx) (err error) {
	returned := false
	defer func() {
		if !returned {
			w.panicked = recover()
			err = fmt.Errorf("writing panicked: %v", w.panicked)
		}
	}()
	err = w.f(t)
	returned = true
	return err
}
