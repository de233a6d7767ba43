package webhooks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/tocsin-alerts/tocsin"
)

// related returns the webhooks that matter to one that nobody leads to anew: the one that
// has its name, and those that its references lead to, step by step. All of them are read
// only where one is missing, for the suggestion of another: with thousands of webhooks,
// reading all for each that is created would be most of the work.
func (s *Service) related(ctx context.Context, w tocsin.Settings) ([]tocsin.Webhook, error) {
	var found []tocsin.Webhook
	asked := map[string]bool{}
	names := append([]string{w.Name}, references(w)...)
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		if asked[name] {
			continue
		}
		asked[name] = true
		o, err := s.named(ctx, name)
		switch {
		case errors.Is(err, tocsin.ErrNotFound) && name == w.Name:
			continue
		case errors.Is(err, tocsin.ErrNotFound):
			return s.List(ctx)
		case err != nil:
			return nil, fmt.Errorf("reading webhook: %w", err)
		}
		found = append(found, o)
		names = append(names, references(o.Settings)...)
	}
	return found, nil
}

// affected returns the webhooks that matter to a change: all of them where it changes a
// name or references, since others may lead to it.
func (s *Service) affected(ctx context.Context, from, to tocsin.Settings) ([]tocsin.Webhook, error) {
	if from.Name != to.Name || from.Fallback != to.Fallback || !slices.Equal(from.Escalate, to.Escalate) {
		return s.List(ctx)
	}
	return s.related(ctx, to)
}

// named is the store's WebhookByName, but for what cannot be a name and some stores refuse
// to look for.
func (s *Service) named(ctx context.Context, name string) (tocsin.Webhook, error) {
	if !printable(name) {
		return tocsin.Webhook{}, tocsin.ErrNotFound
	}
	return s.Store.WebhookByName(ctx, name)
}

const (
	// recountAfter is how many webhooks are created between two counts, and recountEvery how
	// long a count is good for.
	recountAfter = 1000
	recountEvery = time.Minute
)

// counted knows about how many webhooks there are. It takes what this process created into
// account; what others did since the last count may carry the number past maxWebhooks, by
// less than recountAfter for each: the bound is one of reason.
type counted struct {
	mu      sync.Mutex
	total   int
	created int // of them, since the last count
	at      time.Time
}

// room returns CodeConflict when there are as many webhooks as are allowed.
func (s *Service) room(ctx context.Context) error {
	c := &s.count
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := s.Now(); c.total == 0 || c.total >= maxWebhooks || c.created >= recountAfter || now.Sub(c.at) > recountEvery {
		all, err := s.List(ctx)
		if err != nil {
			return err
		}
		c.total, c.created, c.at = len(all), 0, now
	}
	if c.total >= maxWebhooks {
		return tocsin.Errorf(tocsin.CodeConflict, "there are %d webhooks; at most %d are allowed: delete some first", c.total, maxWebhooks)
	}
	return nil
}

// add counts one that was created.
func (c *counted) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total++
	c.created++
}

// Workflows of new webhooks are started at once for the first startAtOnce, as many as a
// file of webhooks usually holds, and startPerSecond from then on. Starting one is several
// times the work of storing its webhook, and nothing waits for it: the first event starts
// it, and so does the sweeper, a thousand at a time.
const (
	startAtOnce    = 50
	startPerSecond = 5
)

func newStarts() *rate.Limiter { return rate.NewLimiter(startPerSecond, startAtOnce) }

// start starts the workflow of a new webhook, unless many were created just now.
func (s *Service) start(ctx context.Context, id string) {
	if s.starts.Allow() {
		s.signal(ctx, id)
	}
}
