// Package sweep is how a store goes through what is old: in short transactions, within
// a limit, and past what is still needed.
package sweep

import (
	"sync"
	"time"
)

// Rounds calls remove, which removes at most n rows and says how many those were, until
// limit are gone or none is left. n is at most chunk. more says that it was the limit.
func Rounds(limit, chunk int, remove func(n int) (gone int, err error)) (more bool, err error) {
	for left := limit; left > 0; {
		n := min(left, chunk)
		gone, err := remove(n)
		if err != nil {
			return false, err
		}
		if gone < n {
			return false, nil
		}
		left -= gone
	}
	return true, nil
}

// lookFactor is how many rows a call looks at for each that it may remove.
const lookFactor = 10

// forget is how long after a call the next still goes on where it stopped: longer than
// from one round of housekeeping to the next, or what is behind more than a round can look
// at would never be reached.
const forget = time.Hour

// Window is what one step looked at: Seen rows in order, of which Gone were removed.
// Last is the place of the last of them.
type Window[Place any] struct {
	Seen, Gone int
	Last       Place
}

// maxLaps is how often a pass begins once more at its end, so that it ends although more
// is needed no more all the time.
const maxLaps = 4

// Pass goes through rows of which some may still be needed, in the order of their
// places. Calls that follow each other go on from where the last one stopped, at the end
// too, until Restart. So calling until nothing is left looks at each row about once and
// ends, however many are kept. The zero value is at the beginning. It is safe for
// concurrent use.
type Pass[Place any] struct {
	mu    sync.Mutex
	where where[Place]
	at    time.Time
}

// where is how far a pass has come.
type where[Place any] struct {
	next  Place
	begun bool // next is not the beginning
	again bool // what is behind has to be looked at again
	laps  int  // how often it was
}

// Run calls step for windows of at most chunk rows after a place, until limit are gone,
// many times that were looked at, or the end is reached. more says that it was not the
// end.
func (p *Pass[Place]) Run(limit, chunk int, step func(after Place, n int) (Window[Place], error)) (more bool, err error) {
	at := p.load()
	for gone, seen := 0, 0; gone < limit && seen < lookFactor*limit; {
		n := min(limit-gone, chunk)
		w, err := step(at.next, n)
		if err != nil {
			return false, err
		}
		gone, seen = gone+w.Gone, seen+w.Seen
		if w.Seen > 0 {
			at.next, at.begun = w.Last, true
		}
		end := w.Seen < n
		if end && at.again && at.laps < maxLaps {
			at, end = where[Place]{laps: at.laps + 1}, false
		}
		p.store(at)
		if end {
			return false, nil
		}
	}
	return true, nil
}

// RunAfter is Run after rows were removed that may have needed some of these: with any, it
// looks at all of them.
func (p *Pass[Place]) RunAfter(removed int64, limit, chunk int, step func(after Place, n int) (Window[Place], error)) (more bool, err error) {
	if removed > 0 {
		p.Again()
	}
	return p.Run(limit, chunk, step)
}

// Again says that rows which a pass under way has left behind may be needed no more: it
// begins once more when it has reached its end.
func (p *Pass[Place]) Again() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.where.again = p.where.again || p.where.begun
}

// Restart takes it back to the beginning.
func (p *Pass[Place]) Restart() { p.store(where[Place]{}) }

// load forgets a place that somebody left long ago, as when their calls were cut off:
// whoever begins now wants all of it.
func (p *Pass[Place]) load() where[Place] {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.at) >= forget {
		p.where = where[Place]{}
	}
	return p.where
}

func (p *Pass[Place]) store(at where[Place]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.where, p.at = at, time.Now()
}
