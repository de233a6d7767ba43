package activities

import (
	"sync"

	"golang.org/x/time/rate"

	"github.com/tocsin-alerts/tocsin"
)

// limiters keeps max_per_second across the Delivers of one process. A webhook has one
// Deliver at a time, so a limiter in memory is exact but for a hand-over between
// workers, which may add one burst of one delivery.
type limiters struct {
	mu sync.Mutex
	of map[string]*rate.Limiter
}

// get returns the webhook's limiter, or nil when it has no limit.
func (l *limiters) get(w tocsin.Webhook) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.MaxRate <= 0 {
		delete(l.of, w.ID)
		return nil
	}
	if l.of == nil {
		l.of = map[string]*rate.Limiter{}
	}
	lim := l.of[w.ID]
	if lim == nil {
		lim = rate.NewLimiter(rate.Limit(w.MaxRate), 1)
		l.of[w.ID] = lim
	}
	lim.SetLimit(rate.Limit(w.MaxRate))
	return lim
}
