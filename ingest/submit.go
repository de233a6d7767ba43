package ingest

import (
	"context"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// submit fills in defaults, matches, and waits for the commit.
// The webhooks in also are owed them whatever they select.
func (in *Ingest) submit(ctx context.Context, events []tocsin.Event, also ...string) (Result, error) {
	if len(events) == 0 {
		return Result{}, nil
	}
	ctx, span := in.tracer.submitting(ctx, events)
	r := in.request(ctx, events)
	r.also = also
	adopt(span, r.batch)
	result, err := in.wait(r)
	submitted(span, result, err)
	return result, err
}

// request makes a request of events, with defaults filled in.
func (in *Ingest) request(ctx context.Context, events []tocsin.Event) *request {
	now := in.now()
	r := &request{ctx: ctx, at: now, batch: make([]tocsin.NewEvent, len(events)), done: make(chan outcome, 1)}
	now = now.UTC().Truncate(time.Millisecond)
	for i := range events {
		n := &r.batch[i]
		n.Event = events[i]
		// Before the defaults: the time of receipt differs when it is submitted again.
		n.Fingerprint = fingerprint(&n.Event)
		in.complete(&n.Event, now)
		r.bytes += len(n.Event.Raw)
	}
	return r
}

// wait matches a request and waits for its commit.
func (in *Ingest) wait(r *request) (Result, error) {
	m, err := in.matcher(r.ctx, anyRevision)
	if err != nil {
		return Result{}, err
	}
	r.match(m)
	if err := in.queue.add(r); err != nil {
		return Result{}, err
	}
	select {
	case o := <-r.done:
		return o.result, o.err
	case <-r.ctx.Done():
		return Result{}, context.Cause(r.ctx)
	}
}

// complete fills in what the producer left out.
func (in *Ingest) complete(e *tocsin.Event, now time.Time) {
	if e.Severity == tocsin.SeverityNone {
		e.Severity = in.catalog.DefaultSeverity(e)
	}
	if e.Status == "" {
		e.Status = tocsin.Firing
	}
	if e.Time.IsZero() {
		e.Time = now
	}
	if e.DedupKey == "" {
		e.DedupKey = dedupKey(e)
	}
}
