package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tocsin-alerts/tocsin"
)

// kit is a store under test with the steps that most tests are made of; a step that
// goes wrong ends the test.
type kit struct {
	t   *testing.T
	s   tocsin.Store
	ctx context.Context
}

func newKit(t *testing.T, s tocsin.Store) *kit {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return &kit{t: t, s: s, ctx: ctx}
}

// ok ends the test on an error.
func (k *kit) ok(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatalf("got error: %v", err)
	}
}

// is ends the test unless err is the error wanted.
func (k *kit) is(err, want error) {
	k.t.Helper()
	if !errors.Is(err, want) {
		k.t.Fatalf("got error %v, want %v", err, want)
	}
}

// code ends the test unless err has the code wanted.
func (k *kit) code(err error, want tocsin.Code) {
	k.t.Helper()
	if got := tocsin.CodeOf(err); got != want {
		k.t.Fatalf("got error %v with code %q, want code %q", err, got, want)
	}
}

// same compares; nil and empty are the same thing to a store.
func (k *kit) same(what string, got, want any) {
	k.t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		k.t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// eventually waits for a condition that comes true by the passing of time alone.
func (k *kit) eventually(what string, cond func() bool) {
	k.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(15 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			k.t.Fatalf("still not so: %s", what)
		}
	}
}

// webhook creates one and rings it, as its first event does.
func (k *kit) webhook(name string) tocsin.Webhook {
	k.t.Helper()
	w := MustCreate(k.t, k.s, name)
	k.ring(w.ID)
	return w
}

// owe appends n events from the number from, owed to the webhooks.
func (k *kit) owe(from, n int, webhookIDs ...string) {
	k.t.Helper()
	MustOwe(k.t, k.s, from, n, webhookIDs...)
}

func (k *kit) begin(id string) tocsin.Lease {
	k.t.Helper()
	l, err := k.s.Begin(k.ctx, id)
	k.ok(err)
	return l
}

// work returns everything that is owed.
func (k *kit) work(f tocsin.Fence) ([]tocsin.OpenDelivery, []tocsin.PendingEvent) {
	k.t.Helper()
	open, pending, err := k.s.Owed(k.ctx, f, time.Time{}, 1000)
	k.ok(err)
	return open, pending
}

// plan freezes the first pending events into deliveries of these sizes and returns
// the ids.
func (k *kit) plan(f tocsin.Fence, sizes ...int) []string {
	k.t.Helper()
	_, pending := k.work(f)
	var ids []string
	var batches []tocsin.NewDelivery
	for _, size := range sizes {
		if size > len(pending) {
			k.t.Fatalf("planning %v: only %d more events pending", sizes, len(pending))
		}
		id := tocsin.NewID(tocsin.PrefixDelivery)
		ids = append(ids, id)
		batches = append(batches, tocsin.NewDelivery{ID: id, Events: pending[:size]})
		pending = pending[size:]
	}
	k.ok(k.tryPlan(f, batches))
	return ids
}

// tryPlan, tryClaim and tryRecord are steps of one part.
func (k *kit) tryPlan(f tocsin.Fence, batches []tocsin.NewDelivery) error {
	_, err := k.s.Advance(k.ctx, f, tocsin.Step{Plan: batches})
	return err
}

func (k *kit) tryClaim(f tocsin.Fence, id string) (tocsin.Claimed, error) {
	return k.s.Advance(k.ctx, f, tocsin.Step{Claim: id})
}

func (k *kit) tryRecord(f tocsin.Fence, o tocsin.Outcome) error {
	_, err := k.s.Advance(k.ctx, f, tocsin.Step{Record: &o})
	return err
}

func (k *kit) claim(f tocsin.Fence, id string) tocsin.Claimed {
	k.t.Helper()
	c, err := k.tryClaim(f, id)
	k.ok(err)
	return c
}

// record ends attempt n of a delivery in a state; adjust may be nil.
func (k *kit) record(f tocsin.Fence, c tocsin.Claimed, state tocsin.DeliveryState, adjust func(*tocsin.Outcome)) {
	k.t.Helper()
	k.ok(k.tryRecord(f, outcome(c, state, adjust)))
}

// outcome is an ordinary outcome of a claim.
func outcome(c tocsin.Claimed, state tocsin.DeliveryState, adjust func(*tocsin.Outcome)) tocsin.Outcome {
	words := map[tocsin.DeliveryState]string{
		tocsin.DeliveryDelivered: "delivered", tocsin.DeliveryDead: "permanent",
		tocsin.DeliverySplit: "permanent", tocsin.DeliveryReady: "retryable",
	}
	o := tocsin.Outcome{
		DeliveryID: c.Delivery.ID, State: state,
		Attempt: tocsin.Attempt{Number: c.Attempt, StartedAt: c.At, Outcome: words[state]},
	}
	if state != tocsin.DeliveryDelivered {
		o.Attempt.ErrorClass, o.Attempt.Error = "status", "posting to webhook: 500 Internal Server Error"
	}
	if adjust != nil {
		adjust(&o)
	}
	return o
}

// delivery returns one by id.
func (k *kit) delivery(id string) tocsin.Delivery {
	k.t.Helper()
	d, _, _, err := k.s.Delivery(k.ctx, id)
	k.ok(err)
	return d
}

// activity returns what one webhook did last and does next.
func (k *kit) activity(id string) tocsin.Activity {
	k.t.Helper()
	all, err := k.s.Activities(k.ctx, id)
	k.ok(err)
	a, found := all[id]
	if !found {
		k.t.Fatalf("no activity of %s", id)
	}
	return a
}

// ids returns the producers' ids of events.
func ids(events []tocsin.Event) []string {
	var out []string
	for _, e := range events {
		out = append(out, e.ID)
	}
	return out
}

// numbered returns the ids of events from to from+n-1.
func numbered(from, n int) []string {
	var out []string
	for i := range n {
		out = append(out, Event(from+i).ID)
	}
	return out
}

// openIDs returns the ids of open deliveries in their order.
func openIDs(open []tocsin.OpenDelivery) []string {
	var out []string
	for _, o := range open {
		out = append(out, o.ID)
	}
	return out
}

// shuffled returns a copy in another order.
func shuffled[T any](r *rand.Rand, in []T) []T {
	out := slices.Clone(in)
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}
