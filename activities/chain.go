package activities

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/internal/failpoint"
)

// under is a delivery that is under way. Its attempt has a number once it is claimed.
type under struct {
	tocsin.Claimed
	of tocsin.OpenDelivery
}

// sendAll freezes what is planned and sends deliveries in order, up to max_concurrent at
// once. The first is claimed with the plan, and others with the record of the one before,
// where nothing comes between.
func (r *run) sendAll(ctx, soon context.Context, planned []tocsin.NewDelivery, open []tocsin.OpenDelivery) error {
	l := newLine(open)
	first, err := r.plan(ctx, soon, l, planned)
	if err != nil {
		return err
	}
	var chains sync.WaitGroup
	for i := range min(len(open), max(1, r.lease.Webhook.Concurrency)) {
		var u under
		if i == 0 {
			u = first
		}
		chains.Go(func() { r.chain(ctx, soon, l, u) })
	}
	chains.Wait()
	return l.err
}

// plan freezes what is planned, and claims the first delivery if it need not wait.
func (r *run) plan(ctx, soon context.Context, l *line, planned []tocsin.NewDelivery) (first under, err error) {
	if len(planned) == 0 {
		return first, nil
	}
	if r.limit == nil {
		first.of, _ = l.next(soon)
	}
	first.Claimed, err = r.store.Advance(context.WithoutCancel(ctx), r.lease.Fence, tocsin.Step{Plan: planned, Claim: first.of.ID, ClaimSeqs: first.of.Seqs})
	if errors.Is(err, tocsin.ErrNotFound) {
		l.end(first.of, nil)
		return under{}, nil
	}
	if err != nil {
		return first, fmt.Errorf("planning: %w", err)
	}
	failpoint.Hit("deliver.planned")
	return first, nil
}

// chain sends deliveries one after the other until none may start; it begins with u, if that
// is one.
func (r *run) chain(ctx, soon context.Context, l *line, u under) {
	for {
		ok := true
		if u.of.ID == "" {
			u.of, ok = l.next(soon)
		}
		if !ok {
			return
		}
		var next under
		var err error
		if u.Attempt == 0 {
			u.Claimed, err = r.claim(ctx, u.of)
		}
		if u.Attempt > 0 {
			next, err = r.sendOne(context.WithoutCancel(ctx), soon, l, u)
		}
		l.end(u.of, err)
		u = next
	}
}

// claim waits for the delivery's turn and opens its attempt; none when there is nothing to
// send any more.
func (r *run) claim(ctx context.Context, of tocsin.OpenDelivery) (tocsin.Claimed, error) {
	if err := r.pace(ctx); err != nil {
		return tocsin.Claimed{}, err
	}
	// Not to be cut short: a claim that was committed unseen would look like a sending.
	c, err := r.store.Advance(context.WithoutCancel(ctx), r.lease.Fence, tocsin.Step{Claim: of.ID, ClaimSeqs: of.Seqs})
	if err != nil && !errors.Is(err, tocsin.ErrNotFound) {
		return c, fmt.Errorf("claiming %s: %w", of.ID, err)
	}
	return c, nil
}

// sendOne sends a delivery and records what became of it. next was claimed with that, or
// may start now; none when the line is to be asked.
//
// The attempt is open: it is finished and recorded even when the call is cancelled,
// because what the receiver has taken must not be sent twice. If the process dies, the
// delivery stays sending and the next attempt is Uncertain.
func (r *run) sendOne(ctx, soon context.Context, l *line, u under) (next under, err error) {
	failpoint.Hit("deliver.claimed")
	sending, span := r.traced(ctx, u.Claimed)
	defer closed(span)
	attempt, receipt, sendErr := r.send(sending, u.Claimed)
	failpoint.Hit("deliver.sent")
	v := judge(r.standing(), u.Claimed, attempt, receipt, sendErr, r.a.Backoff)
	v.why = brief(attempt, sendErr)
	ended(span, v.outcome)
	if r.limit == nil && v.plain() {
		next.of, _ = l.after(soon, u.of)
	}
	next.Claimed, err = r.record(ctx, tocsin.Step{Record: &v.outcome, Claim: next.of.ID, ClaimSeqs: next.of.Seqs})
	if err != nil && (next.of.ID == "" || !claimRefused(err)) {
		l.end(next.of, err)
		return under{}, fmt.Errorf("recording %s: %w", u.Delivery.ID, err)
	}
	failpoint.Hit("deliver.recorded")
	r.note(u.Claimed, v)
	r.counts.recorded(u.Claimed, v.outcome)
	r.tell(ctx)
	switch {
	case errors.Is(err, tocsin.ErrNotFound):
		l.end(next.of, nil)
		return under{}, nil
	case err != nil:
		err = fmt.Errorf("claiming %s: %w", next.of.ID, err)
		l.end(next.of, err)
		return under{}, err
	}
	return next, after(v)
}

// claimRefused reports whether a success was recorded and what was to follow it was not
// claimed.
func claimRefused(err error) bool {
	return errors.Is(err, tocsin.ErrFenced) || errors.Is(err, tocsin.ErrVersion) || errors.Is(err, tocsin.ErrNotFound)
}

// standing is what is known of the webhook at the moment.
func (r *run) standing() standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := standing{webhook: r.lease.Webhook, failures: r.failures, rejections: r.rejections, lastDelivery: r.lastDelivery, failingSince: r.failingSince}
	s.webhook.State = r.state
	return s
}

// recordFor is how long a known outcome is kept trying to be recorded while the store
// is away. Giving up costs a second sending under the same id.
const recordFor = 20 * time.Second

// record stores an outcome, through a short absence of the store, after which nothing is
// claimed with it.
func (r *run) record(ctx context.Context, step tocsin.Step) (tocsin.Claimed, error) {
	ctx, cancel := context.WithTimeout(ctx, recordFor)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause *= 2 {
		c, err := r.store.Advance(ctx, r.lease.Fence, step)
		if err == nil || tocsin.CodeOf(err) != tocsin.CodeUnavailable {
			return c, err
		}
		step.Claim = ""
		if !sleep(ctx, min(pause, 2*time.Second)) {
			return c, err
		}
	}
}
