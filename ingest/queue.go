package ingest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

const (
	// committers is how many groups are committed at once at most: while one waits for the
	// disk the other is prepared. That is worth it for groups of at least beside events.
	// Smaller ones had better wait for each other: 64 callers of one event each get 32 of
	// them into a commit by one committer, and 19 by two, which cost a tenth more.
	committers = 2
	beside     = 500
	// slow is how long a commit has taken that nobody waits for any more: a connection that
	// is dead stops one group, and not all. Commits take milliseconds.
	slow = 250 * time.Millisecond
	// A group takes requests until one of these is reached. It has at least one request,
	// which may be larger.
	groupEvents = 5_000
	groupBytes  = 8 << 20
	groupOwed   = 50_000
	// maxQueued bounds the bytes of events that wait. Beyond it producers are asked to
	// come back.
	maxQueued = 256 << 20
)

// request is what one caller of Submit wants committed.
type request struct {
	ctx      context.Context
	at       time.Time // of the submission, which is when mutes count
	queued   time.Time // when it began to wait for its group
	also     []string  // webhooks that are owed the events whatever they select
	batch    []tocsin.NewEvent
	revision int64 // it was matched against
	bytes    int
	owed     int
	done     chan outcome // has room for the one answer, so that nobody waits for a caller that left
}

type outcome struct {
	result Result
	err    error
}

// match finds out what is owed for the request's events.
func (r *request) match(m *matcher) {
	r.revision, r.owed = m.revision, 0
	for i := range r.batch {
		n := &r.batch[i]
		n.Owed, n.Reach = m.match(&n.Event, r.at, r.also...)
		r.owed += len(n.Owed) + len(n.Reach)
		for _, o := range n.Owed {
			r.owed += len(o.Escalate)
		}
	}
}

// queue gathers requests while commits are under way. There is no timer: when none is, a
// request is taken the moment it arrives, otherwise whatever came meanwhile.
type queue struct {
	commit  func([]*request)
	metrics *Metrics

	mu     sync.Mutex
	some   sync.Cond
	wait   []*request
	bytes  int
	events int // that wait
	// running is how many groups are being committed, the last since began.
	running int
	began   time.Time
	closed  bool
	ended   sync.WaitGroup
}

func newQueue(commit func([]*request), metrics *Metrics) *queue {
	q := &queue{commit: commit, metrics: metrics}
	q.some.L = &q.mu
	for range committers {
		q.ended.Go(q.run)
	}
	return q
}

func (q *queue) add(r *request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return tocsin.Errorf(tocsin.CodeUnavailable, "ingest is shutting down; send the events again")
	case q.bytes > 0 && q.bytes+r.bytes > maxQueued:
		return tocsin.Errorf(tocsin.CodeUnavailable, "too many events wait for the store; send the events again")
	}
	r.queued = time.Now()
	q.wait, q.bytes, q.events = append(q.wait, r), q.bytes+r.bytes, q.events+len(r.batch)
	q.metrics.queued(q.events, q.bytes)
	q.some.Signal()
	return nil
}

// run commits groups until the queue is closed and empty.
func (q *queue) run() {
	for {
		group := q.take()
		if group == nil {
			return
		}
		q.commit(group)
		q.mu.Lock()
		q.running--
		q.mu.Unlock()
	}
}

// ready reports whether another group may begin.
func (q *queue) ready() bool {
	return q.running == 0 || q.closed || q.events >= beside || time.Since(q.began) >= slow
}

// take waits for requests and returns the next group, nil at the end.
func (q *queue) take() []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		for len(q.wait) == 0 || !q.ready() {
			if len(q.wait) == 0 && q.closed {
				return nil
			}
			q.some.Wait()
		}
		if group := q.group(); len(group) > 0 {
			q.running, q.began = q.running+1, time.Now()
			return group
		}
	}
}

// group removes the next group from the queue. Requests whose caller has left are
// answered and left out: nothing was promised to them.
func (q *queue) group() []*request {
	var group []*request
	var events, bytes, owed, taken int
	for _, r := range q.wait {
		if len(group) > 0 && (events+len(r.batch) > groupEvents || bytes+r.bytes > groupBytes || owed+r.owed > groupOwed) {
			break
		}
		taken++
		q.bytes, q.events = q.bytes-r.bytes, q.events-len(r.batch)
		if err := r.ctx.Err(); err != nil {
			r.done <- outcome{err: err}
			continue
		}
		events, bytes, owed = events+len(r.batch), bytes+r.bytes, owed+r.owed
		group = append(group, r)
	}
	q.wait = slices.Delete(q.wait, 0, taken)
	q.metrics.queued(q.events, q.bytes)
	return group
}

// close lets nothing more in and waits until all that was let in is committed.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.some.Broadcast()
	q.mu.Unlock()
	q.ended.Wait()
}
