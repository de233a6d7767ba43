package activities

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// step plans a window of work owed before a moment (zero: all) and delivers it. It
// reports whether there was any, and whether that was all there was when it looked.
func (r *run) step(ctx, soon context.Context, before time.Time) (worked, drained bool, err error) {
	size := r.lease.Webhook.BatchSize
	limit := min(window*size, maxOwed)
	open, pending, err := r.store.Owed(ctx, r.lease.Fence, before, max(limit, window))
	if err != nil {
		return false, false, fmt.Errorf("reading what is owed: %w", err)
	}
	var planned []tocsin.NewDelivery
	if room := window - len(open); room > 0 && len(pending) > 0 {
		switch {
		case !r.failing():
			planned = batches(pending, size, room)
		case allTried(open):
			// A failing webhook plans one delivery to probe with, and another one when all it
			// has have failed often: the trouble may be theirs.
			planned = batches(pending, size, 1)
		}
	}
	left := len(pending) - countOf(planned)
	open = append(open, asOpen(planned)...)
	if len(open) == 0 {
		return false, true, nil
	}
	if r.failing() {
		open, left = []tocsin.OpenDelivery{pickProbe(open[:min(len(open), window)], r.failed())}, 1
	}
	drained = left == 0 && len(open) <= window && len(pending) < limit
	err = r.sendAll(ctx, soon, planned, open[:min(len(open), window)])
	if errors.Is(err, errSplit) {
		return true, false, nil
	}
	return true, drained && soon.Err() == nil, err
}

// countOf is how many events are planned.
func countOf(planned []tocsin.NewDelivery) (n int) {
	for _, p := range planned {
		n += len(p.Events)
	}
	return n
}

// turnsEach is after how many failures of another delivery than the head the next one is worth
// a try. Its turns are every other one, so that this takes about as long as the head's did.
const turnsEach = 2

// allTried reports whether every delivery has failed often; true when there is none.
func allTried(open []tocsin.OpenDelivery) bool {
	for i, d := range open {
		if i == 0 && d.Attempts < failingAfter || d.Attempts < turnsEach {
			return false
		}
	}
	return true
}

func (r *run) failing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state == tocsin.StateFailing
}

// failed is how many attempts failed in a row.
func (r *run) failed() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failures
}

// asOpen is what Advance makes of new deliveries.
func asOpen(planned []tocsin.NewDelivery) []tocsin.OpenDelivery {
	out := make([]tocsin.OpenDelivery, len(planned))
	for i, p := range planned {
		out[i] = tocsin.OpenDelivery{Delivery: tocsin.Delivery{ID: p.ID, Count: len(p.Events), State: tocsin.DeliveryReady}}
		for _, e := range p.Events {
			out[i].DedupKeys = append(out[i].DedupKeys, e.DedupKey)
			out[i].Seqs = append(out[i].Seqs, e.Seq)
		}
	}
	return out
}

// pickProbe chooses what a failing webhook tries, after so many failures in a row. It is the
// head, unless that has failed often: then the least tried of the others has every other
// turn, in case the head alone is the trouble. None overtakes an earlier delivery with a
// dedup key of its own.
func pickProbe(open []tocsin.OpenDelivery, failures int) tocsin.OpenDelivery {
	head := open[0]
	if head.Attempts < failingAfter || (failures-failingAfter)%2 != 0 {
		return head
	}
	probe := head
	before := slices.Clone(head.DedupKeys)
	for _, d := range open[1:] {
		least := probe.ID == head.ID || d.Attempts < probe.Attempts
		if least && !slices.ContainsFunc(d.DedupKeys, func(k string) bool { return slices.Contains(before, k) }) {
			probe = d
		}
		before = append(before, d.DedupKeys...)
	}
	return probe
}

// errSplit ends a window: the children stand in place of their parent now, before what
// the window still holds.
var errSplit = errors.New("split")

// after turns a verdict into what the loop does.
func after(v verdict) error {
	switch {
	case v.outcome.State == tocsin.DeliverySplit && !v.stop:
		return errSplit
	case !v.stop:
		return nil
	}
	return &stopError{why: v.why, backoff: v.outcome.Backoff, disabled: v.outcome.WebhookState == tocsin.StateDisabled}
}

// maxPace is the longest wait for max_per_second inside of a Deliver; it is well below
// the sweeper's grace.
const maxPace = 5 * time.Second

// pace keeps max_per_second. A longer wait is left to a timer.
func (r *run) pace(ctx context.Context) error {
	if r.limit == nil {
		return nil
	}
	turn := r.limit.Reserve()
	wait := turn.Delay()
	if wait <= maxPace && time.Now().Add(wait).Before(r.until) && sleep(ctx, wait) {
		return nil
	}
	turn.Cancel()
	return &stopError{why: "max_per_second", backoff: wait, paced: true}
}

// send makes the one try.
func (r *run) send(ctx context.Context, c tocsin.Claimed) (tocsin.Attempt, tocsin.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, r.a.sendTimeout())
	defer cancel()
	began := time.Now()
	receipt, err := r.trySend(ctx, tocsin.Notification{
		DeliveryID: c.Delivery.ID, WebhookID: r.lease.Webhook.ID, WebhookName: r.lease.Webhook.Name,
		Attempt: c.Attempt, At: c.At, Events: c.Events, Refs: c.Refs, Uncertain: c.Uncertain,
		PublicURL: r.a.PublicURL,
	})
	finished := c.At.Add(time.Since(began))
	a := tocsin.Attempt{Number: c.Attempt, StartedAt: c.At, FinishedAt: &finished, ErrorClass: classOf(err)}
	a.Exchanges, a.LeftOut = bounded(receipt.Exchanges)
	if err != nil {
		a.Error = err.Error()
	}
	return a, receipt, err
}

// bounded keeps the first and the last requests of an attempt.
func bounded(all []tocsin.Exchange) (kept []tocsin.Exchange, leftOut int) {
	if leftOut = len(all) - tocsin.MaxExchanges; leftOut <= 0 {
		return all, 0
	}
	const half = tocsin.MaxExchanges / 2
	return slices.Concat(all[:half], all[len(all)-half:]), leftOut
}

// trySend turns a sender that panics into one that failed: a bug that one event brings out
// must not end the process, which would meet it again after every start.
func (r *run) trySend(ctx context.Context, n tocsin.Notification) (receipt tocsin.Receipt, err error) {
	defer func() {
		if what := recover(); what != nil {
			// What a panic says may hold an event's text, or a secret.
			r.a.logger().Error("a sender panicked; please report this", "webhook", r.lease.Webhook.Name, "channel", r.lease.Webhook.Channel,
				"delivery", n.DeliveryID, "kind", fmt.Sprintf("%T", what), "stack", string(debug.Stack()))
			receipt, err = tocsin.Receipt{}, tocsin.Unsure(errors.New("sending: the channel "+r.lease.Webhook.Channel+" panicked; see the worker's log"))
		}
	}()
	return r.sender.Send(ctx, n)
}

// note keeps count of what was recorded.
func (r *run) note(c tocsin.Claimed, v verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := v.outcome
	if o.WebhookState != "" {
		r.state = o.WebhookState
	}
	took := len(c.Events) - len(o.Dead)
	for _, child := range o.Children {
		took -= len(child.Places)
	}
	accepted := o.State == tocsin.DeliveryDelivered || o.State == tocsin.DeliverySplit && took > 0
	switch {
	case accepted:
		at := *o.Attempt.FinishedAt
		r.deliveries, r.events = r.deliveries+1, r.events+took
		r.failures, r.rejections, r.failure, r.lastDelivery, r.failingSince = 0, 0, "", &at, nil
	case o.Failed:
		r.failures, r.failure = r.failures+1, v.why
		if r.failingSince == nil {
			r.failingSince = o.Attempt.FinishedAt
		}
	}
	if o.Rejected && !accepted {
		r.rejections++
	}
}
