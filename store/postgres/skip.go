package postgres

import (
	"sync"
	"time"
)

// skips remembers where the pending events of webhooks with a long backlog begin. What was
// planned stays in the index until it is vacuumed, and every look from the very beginning
// goes through it: half of what draining a million events cost.
//
// Numbers are handed out before commit, so that an event may come to lie before others that
// were seen already; those of its incident that follow it must not overtake it. Hence a
// look that found event n first is no reason yet to skip what lies before n. But a
// transaction has its id before it takes numbers, and numbers only grow: whoever holds one
// below n has an id that was given when the look was over, and is less than that of the next
// look. (A snapshot tells less: its end is one past the highest id that has ended, and higher
// ones may be under way.) Once no transaction of these is under way any more, a further look
// sees all that they wrote, and nothing new ever comes to lie before what that one found, nor
// before n. Looks at one webhook never overlap: each holds the lease.
//
// Old events are owed anew by replays and escalations alone. They count in leases.owed_again
// under the lease's lock, and a skip is only good for the count it was made at.
type skips struct {
	mu sync.Mutex
	of map[string]skip
}

// skip is what looks at one webhook found.
type skip struct {
	from  int64     // nothing lies before; 0 is the very beginning
	again int64     // leases.owed_again
	at    time.Time // of the last look from the very beginning
	run   time.Time // up to when events count that were owed, zero for all

	first int64 // where the window of an earlier look began, zero for none,
	until int64 // and a transaction id that was given when it was over
	next  int64 // where that of the latest look began, zero for none,
	look  int64 // and its transaction id
}

// lookBack is how often a look begins at the very beginning although nothing should be
// there: a store that was restored, or a standby that took over, may hand out old numbers.
const lookBack = 10 * time.Second

// begin returns where a look begins that takes what was owed before a time.
func (s *skips) begin(webhookID string, before time.Time) skip {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.of[webhookID]
	if time.Since(k.at) >= lookBack || !k.run.Equal(before) {
		k.from = 0
	}
	return k
}

// note takes in what a look that began at from found.
func (s *skips) note(webhookID string, from int64, w *owedWindow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !w.full() {
		delete(s.of, webhookID)
		return
	}
	if s.of == nil {
		s.of = map[string]skip{}
	}
	s.of[webhookID] = s.of[webhookID].after(from, w, time.Now())
}

// after is what is known after a look that began at from.
func (k skip) after(from int64, w *owedWindow, now time.Time) skip {
	first := w.pending[0].Seq
	switch {
	case k.next == 0 || k.again != w.again || !k.run.Equal(w.before):
		return skip{again: w.again, at: now, run: w.before, next: first, look: w.id}
	case w.id <= k.look: // one that was taken over, and tells late
		return k
	case k.first == 0:
		k.first, k.until = k.next, w.id
	case w.oldest >= k.until:
		k.from, k.first, k.until = min(k.first, first), k.next, w.id
	}
	if from == 0 {
		k.at = now
	}
	k.next, k.look = first, w.id
	return k
}
