package main

import (
	"context"
	"fmt"
	"time"
)

// single: one webhook, one event in each request, as fast as it is acknowledged.
func (b *bench) single(ctx context.Context, result *Result) (err error) {
	posts, err := b.rawPosts(ctx, result, b.connections, 1)
	if err != nil {
		return err
	}
	l := b.full(b.connections, 1)
	t, err := b.throughput(ctx, result, l, "load", 1, map[string]any{"batch_size": 100})
	if err != nil {
		return err
	}
	result.add("acknowledged", t.acknowledged, "/s").atLeast(6000)
	result.add("delivered, until all had arrived", t.delivered, "/s").atLeast(6000)
	result.add("delivered, of the best durable peer", t.delivered/bestPeer, "×").atLeast(7)
	result.add("acknowledged, of bare POSTs", 100*t.acknowledged/posts, "%")
	result.addMS("request to answer, p50", t.sent.answers.P50)
	result.addMS("request to answer, p99", t.sent.answers.P99)
	result.add("delivered again", float64(t.again), "")
	return nil
}

// batch: one webhook, 100 events in each request, for two sizes of deliveries.
func (b *bench) batch(ctx context.Context, result *Result) error {
	var raw float64
	var err error
	if b.store == postgresStore {
		if raw, err = b.rawInsert(ctx, result); err != nil {
			return err
		}
	}
	if _, err = b.rawPosts(ctx, result, b.batched, 100); err != nil {
		return err
	}
	for _, size := range []struct {
		events int
		reach  float64
	}{{100, 12_000}, {500, 16_000}} {
		during := fmt.Sprintf("batch_size %d", size.events)
		t, err := b.throughput(ctx, result, b.full(b.batched, 100), during, 1, map[string]any{"batch_size": size.events})
		if err != nil {
			return err
		}
		result.add("acknowledged, "+during, t.acknowledged, "/s").atLeast(20_000)
		result.add("delivered until all had arrived, "+during, t.delivered, "/s").atLeast(size.reach)
		result.add("delivered while events came in, "+during, t.meanwhile, "/s")
		if raw > 0 {
			result.add("acknowledged, of raw inserts, "+during, 100*t.acknowledged/raw, "%").atLeast(25)
		}
		result.add("delivered again, "+during, float64(t.again), "")
	}
	return nil
}

// fanout: a hundred webhooks want every event.
func (b *bench) fanout(ctx context.Context, result *Result) error {
	const webhooks = 100
	t, err := b.throughput(ctx, result, b.full(b.connections, 1), "load", webhooks, map[string]any{"batch_size": 100})
	if err != nil {
		return err
	}
	result.add("acknowledged", t.acknowledged, "/s").atLeast(500)
	result.add("event deliveries until all had arrived", t.delivered, "/s").atLeast(30_000)
	result.add("event deliveries while events came in", t.meanwhile, "/s")
	result.add("events in each delivery", t.perDelivery, "")
	result.add("delivered again", float64(t.again), "")
	return nil
}

// throughput is what a load made of a system.
type throughput struct {
	sent         sent
	acknowledged float64 // events per second
	delivered    float64 // events per second, from the first request to the last arrival
	meanwhile    float64 // the same, until the last answer
	perDelivery  float64 // events
	again        int64   // events that came more than once
}

// throughput puts a load on a new system with webhooks that all want every event.
func (b *bench) throughput(ctx context.Context, result *Result, l load, during string, webhooks int, settings map[string]any) (t throughput, err error) {
	r, err := b.newRig(ctx, rigOptions{paths: webhooks})
	if err != nil {
		return t, err
	}
	defer func() { err = closing(err, r) }()
	for n := range webhooks {
		if _, err := r.webhook(ctx, n, settings); err != nil {
			return t, err
		}
	}
	if err := r.warmUp(ctx, l, webhooks); err != nil {
		return t, err
	}
	m, err := r.measure(ctx, result, during)
	if err != nil {
		return t, err
	}
	before, deliveries := r.receiver.arrived.Load(), r.receiver.deliveries.Load()
	if t.sent, err = r.send.run(ctx, l); err != nil {
		return t, err
	}
	meanwhile := r.receiver.arrived.Load() - before
	if err := r.drained(ctx, t.sent, webhooks); err != nil {
		return t, err
	}
	all := r.receiver.arrived.Load() - before
	what := "event"
	if webhooks > 1 {
		what = "event delivery"
	}
	t.acknowledged = t.sent.rate()
	t.meanwhile = float64(meanwhile) / t.sent.elapsed.Seconds()
	t.delivered = float64(all) / r.receiver.lastArrival().Sub(t.sent.began).Seconds()
	t.perDelivery = float64(all) / float64(r.receiver.deliveries.Load()-deliveries)
	t.again = r.receiver.again.Load()
	if err := m.endPer(ctx, int(all), what); err != nil {
		return t, err
	}
	return t, r.settled(ctx, t.sent.last, webhooks)
}

// latency: one instant webhook, a steady stream, one event in each request.
func (b *bench) latency(ctx context.Context, result *Result) (err error) {
	r, err := b.newRig(ctx, rigOptions{})
	if err != nil {
		return err
	}
	defer func() { err = closing(err, r) }()
	if _, err := r.webhook(ctx, 0, map[string]any{"batch_size": 100}); err != nil {
		return err
	}
	for _, rate := range []float64{50, 200, 400} {
		if err := r.latencyAt(ctx, result, rate); err != nil {
			return err
		}
	}
	return r.settled(ctx, r.send.next, 1)
}

// maxOpen is how many requests may be under way in an open loop: enough that a stall of a
// second at the highest rate queues nothing in the generator.
const maxOpen = 400

func (r *rig) latencyAt(ctx context.Context, result *Result, rate float64) error {
	l := load{connections: maxOpen, perRequest: 1, rate: rate, duration: r.sizes.load}
	if err := r.warmUp(ctx, l, 1); err != nil {
		return err
	}
	during := fmt.Sprintf("at %.0f ev/s", rate)
	m, err := r.measure(ctx, result, during)
	if err != nil {
		return err
	}
	s, err := r.send.run(ctx, l)
	if err != nil {
		return err
	}
	if err := r.drained(ctx, s, 1); err != nil {
		return err
	}
	p := r.receiver.latency.take()
	result.addMS("due to arrival, p50, "+during, p.P50).atMost(6)
	result.addMS("due to arrival, p90, "+during, p.P90)
	result.addMS("due to arrival, p99, "+during, p.P99).atMost(30)
	result.addMS("due to arrival, max, "+during, p.Max)
	result.addMS("request to answer, p50, "+during, s.answers.P50)
	result.addMS("of these sent late by, p99, "+during, s.late.P99)
	for q, d := range map[string]time.Duration{"p50": p.P50, "p90": p.P90, "p99": p.P99} {
		result.sample(q, rate, float64(d.Microseconds())/1000)
	}
	return m.end(ctx, s.events())
}
