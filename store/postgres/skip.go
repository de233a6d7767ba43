package postgres

import (
	"sync"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// skips remembers where the pending events of webhooks with a long backlog begin. What was
// planned stays in the index until it is vacuumed, and every look from the very beginning
// goes through it: half of what draining a million events cost.
//
// Numbers are handed out before commit, so that an event may come to lie before others that
// were seen already; those of its incident that follow it must not overtake it. Hence
// nothing is skipped but what lies before an event that is older than any transaction can be
// under way. A replay owes old events anew: those are found within lookBack.
type skips struct {
	mu sync.Mutex
	of map[string]skip
}

type skip struct {
	from int64     // the number of the first event of the last window
	at   time.Time // of the last look from the very beginning
}

const (
	// settledAfter is longer than a transaction that hands out numbers lasts: ingest gives one
	// 10 s, and a session that is idle in one for that long is ended.
	settledAfter = time.Minute
	lookBack     = time.Second
)

// from returns the number to begin at; 0 is the very beginning.
func (s *skips) from(webhookID string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, ok := s.of[webhookID]; ok && time.Since(k.at) < lookBack {
		return k.from
	}
	return 0
}

// note takes in what a look that began at from found: a full window, or not. now is the
// store's.
func (s *skips) note(webhookID string, from int64, pending []tocsin.PendingEvent, full bool, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !full || now.Sub(pending[0].OwedAt) < settledAfter {
		delete(s.of, webhookID)
		return
	}
	k := skip{from: pending[0].Seq, at: time.Now()}
	if from > 0 {
		k.at = s.of[webhookID].at
	}
	if s.of == nil {
		s.of = map[string]skip{}
	}
	s.of[webhookID] = k
}
