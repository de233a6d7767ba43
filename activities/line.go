package activities

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/tocsin-alerts/tocsin"
)

// line is a window's deliveries, which start in order. One never starts while an earlier
// one with a dedup key of its own is unfinished or has failed. The first failure lets
// those under way finish and starts no more.
type line struct {
	mu      sync.Mutex
	changed *sync.Cond
	waiting []tocsin.OpenDelivery
	held    map[string]int // dedup key → deliveries under way or failed
	err     error
}

func newLine(waiting []tocsin.OpenDelivery) *line {
	l := &line{waiting: waiting, held: map[string]int{}}
	l.changed = sync.NewCond(&l.mu)
	return l
}

// next waits until the next delivery may start; false when none may any more.
func (l *line) next(soon context.Context) (d tocsin.OpenDelivery, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.err == nil && soon.Err() == nil && len(l.waiting) > 0 && !l.free() {
		l.changed.Wait()
	}
	return l.take(soon)
}

// after is next, without waiting, for what may start in the moment in which d has been
// delivered.
func (l *line) after(soon context.Context, d tocsin.OpenDelivery) (next tocsin.OpenDelivery, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hold(d, -1)
	next, ok = l.take(soon)
	l.hold(d, 1)
	return next, ok
}

// take removes the first delivery if it may start.
func (l *line) take(soon context.Context) (d tocsin.OpenDelivery, ok bool) {
	if l.err != nil || soon.Err() != nil || len(l.waiting) == 0 || !l.free() {
		return d, false
	}
	d, l.waiting = l.waiting[0], l.waiting[1:]
	l.hold(d, 1)
	return d, true
}

func (l *line) hold(d tocsin.OpenDelivery, n int) {
	for _, k := range d.DedupKeys {
		l.held[k] += n
	}
}

// free reports whether nobody holds a key of the first delivery.
func (l *line) free() bool {
	return !slices.ContainsFunc(l.waiting[0].DedupKeys, func(k string) bool { return l.held[k] > 0 })
}

// end says that a delivery is no longer under way.
func (l *line) end(d tocsin.OpenDelivery, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hold(d, -1)
	if err != nil && (l.err == nil || errors.Is(l.err, errSplit)) {
		l.err = err
	}
	l.changed.Broadcast()
}
