package ingest

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/internal/failpoint"
)

// ringTimeout bounds one call to the store or the conductor.
const ringTimeout = 10 * time.Second

// ringer rings webhooks after commits, in the background: a ring that is slow or fails
// delays no answer, and the sweeper makes up for it. Rings for a webhook that come
// while one is under way become one. Marking in the store and signalling are apart, so
// that a conductor that does not answer keeps nobody from being marked, and hinted.
type ringer struct {
	mark, signal *stage
}

func newRinger(store tocsin.Store, conductor tocsin.Conductor, log *slog.Logger, metrics *Metrics) *ringer {
	r := &ringer{}
	r.signal = newStage(func(ctx context.Context, ids []string) {
		inParts(ctx, ids, ringAtOnce, conductor.Ring, func(err error) {
			metrics.failed(stepSignal)
			log.Warn("ringing webhooks; the sweeper will", "webhooks", len(ids), "error", err)
		})
		failpoint.Hit("ingest.signalled")
	})
	r.mark = newStage(func(ctx context.Context, ids []string) {
		ctx, cancel := context.WithTimeout(ctx, ringTimeout)
		defer cancel()
		asleep, err := store.Ring(ctx, ids)
		failpoint.Hit("ingest.marked")
		if err != nil {
			metrics.failed(stepMark)
			log.Warn("marking webhooks awake; the sweeper will", "webhooks", len(ids), "error", err)
			return
		}
		metrics.marked(len(ids), len(asleep))
		r.signal.add(asleep)
	})
	return r
}

func (r *ringer) add(ids []string) { r.mark.add(ids) }

func (r *ringer) close() {
	r.mark.close()
	r.signal.close()
}

// How many webhooks are signalled, and incidents told, in one call, which has ringTimeout.
// A workflow that must be started takes tens of milliseconds where Temporal is busy.
const (
	ringAtOnce = 50
	tellAtOnce = 200
)

// newTeller returns a stage that tells the workflows of incidents, by their keys.
func newTeller(conductor tocsin.Conductor, log *slog.Logger, metrics *Metrics) *stage {
	return newStage(func(ctx context.Context, keys []string) {
		failpoint.Hit("ingest.untold")
		inParts(ctx, keys, tellAtOnce, conductor.Incidents, func(err error) {
			metrics.failed(stepIncidents)
			log.Warn("telling the workflows of incidents; the sweeper will", "incidents", len(keys), "error", err)
		})
	})
}

// inParts calls the conductor for n at a time. After a call that failed the rest is left to
// the sweeper: Temporal is away.
func inParts(ctx context.Context, all []string, n int, call func(context.Context, ...string) error, failed func(error)) {
	for part := range slices.Chunk(all, n) {
		ctx, cancel := context.WithTimeout(ctx, ringTimeout)
		err := call(ctx, part...)
		cancel()
		if err != nil {
			failed(err)
			return
		}
	}
}

// stage calls a function with the ids that gathered while the last call ran, each
// once. What waits is bounded by the number of webhooks, or by the incidents that change
// while a call lasts.
type stage struct {
	call func(ctx context.Context, ids []string)
	life context.Context // of the calls: it ends some time after close
	end  context.CancelFunc

	mu     sync.Mutex
	some   sync.Cond
	ids    []string
	in     map[string]bool
	closed bool
	ended  sync.WaitGroup
}

func newStage(call func(context.Context, []string)) *stage {
	s := &stage{call: call, in: map[string]bool{}}
	s.life, s.end = context.WithCancel(context.Background())
	s.some.L = &s.mu
	s.ended.Go(s.run)
	return s
}

func (s *stage) add(ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if !s.in[id] {
			s.in[id] = true
			s.ids = append(s.ids, id)
		}
	}
	if len(s.ids) > 0 {
		s.some.Signal()
	}
}

func (s *stage) run() {
	for {
		s.mu.Lock()
		for len(s.ids) == 0 && !s.closed {
			s.some.Wait()
		}
		ids := s.ids
		s.ids, s.in = nil, map[string]bool{}
		s.mu.Unlock()
		if len(ids) == 0 {
			return
		}
		s.call(s.life, ids)
	}
}

// close waits until everything added has been called for, and at most ringTimeout: calls
// are cut off then, and the sweeper makes up for what is left.
func (s *stage) close() {
	s.mu.Lock()
	s.closed = true
	s.some.Signal()
	s.mu.Unlock()
	late := time.AfterFunc(ringTimeout, s.end)
	s.ended.Wait()
	late.Stop()
	s.end()
}
