package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// The webhook beside the one with the backlog gets a steady stream of events of its own.
const (
	besideRate       = 50 // events per second
	besideCollection = "identity"
)

// smallPart is how much smaller the small backlog is.
const smallPart = 20

// backlogged: a webhook is paused while events come, and resumed. Its drain is compared
// with that of a small backlog, and the other webhook's latency with what it was before.
func (b *bench) backlogged(ctx context.Context, result *Result) (err error) {
	r, err := b.newRig(ctx, rigOptions{paths: 2})
	if err != nil {
		return err
	}
	defer func() { err = closing(err, r) }()
	id, err := r.webhook(ctx, 0, map[string]any{"collections": []string{collection}})
	if err != nil {
		return err
	}
	if _, err := r.webhook(ctx, 1, map[string]any{"collections": []string{besideCollection}}); err != nil {
		return err
	}
	beside, err := r.newBeside()
	if err != nil {
		return err
	}
	defer beside.generator.close()
	beside.start(ctx, b.sizes.warm)
	if _, err := beside.end(ctx); err != nil {
		return err
	}
	beside.start(ctx, b.sizes.load)
	undisturbed, err := beside.end(ctx)
	if err != nil {
		return err
	}
	undisturbed.add(result, "undisturbed")
	small, _, err := r.drain(ctx, result, id, b.sizes.backlog/smallPart, beside)
	if err != nil {
		return err
	}
	big, disturbed, err := r.drain(ctx, result, id, b.sizes.backlog, beside)
	if err != nil {
		return err
	}
	result.add("drain of the long backlog, of the short one's rate", 100*big/small, "%").atLeast(85)
	disturbed.add(result, "beside the drain")
	result.add("other webhook's p99 beside the drain, of undisturbed", float64(disturbed.events.P99)/float64(undisturbed.events.P99), "×").atMost(1.5)
	size, err := describeWorkflow(ctx, r.ui, id)
	if err != nil {
		return err
	}
	result.add("history of its workflow", float64(size.Events), "events")
	result.add("history of its workflow", float64(size.Bytes)/(1<<20), "MB").atMost(1)
	return nil
}

// drain lets so many events wait for webhook 0, and then be delivered, beside a stream for
// webhook 1.
func (r *rig) drain(ctx context.Context, result *Result, id string, events int, beside *beside) (rate float64, other observed, err error) {
	if err := r.api.call(ctx, http.MethodPost, "/v1/webhooks/"+id+"/pause", nil, nil); err != nil {
		return 0, other, fmt.Errorf("pausing the webhook: %w", err)
	}
	s, err := r.send.run(ctx, load{connections: r.batched, perRequest: 100, duration: time.Hour, most: events})
	if err != nil {
		return 0, other, err
	}
	// What filling left behind, such as buffers to write, is no part of the drain.
	if !sleepUntil(ctx, time.Now().Add(r.sizes.settle)) {
		return 0, other, ctx.Err()
	}
	during := fmt.Sprintf("draining %s", number(float64(s.events())))
	m, err := r.measure(ctx, result, during)
	if err != nil {
		return 0, other, err
	}
	before := r.receiver.paths[0].arrived()
	beside.start(ctx, time.Hour)
	watching, watched := context.WithCancel(ctx)
	defer watched()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.watch(watching, result, during, before)
	}()
	began := time.Now()
	if err := r.api.call(ctx, http.MethodPost, "/v1/webhooks/"+id+"/resume", nil, nil); err != nil {
		return 0, other, fmt.Errorf("resuming the webhook: %w", err)
	}
	err = r.receiver.awaitPath(ctx, 0, before+s.events())
	took := time.Since(began)
	watched()
	<-done
	if err != nil {
		return 0, other, err
	}
	if other, err = beside.end(ctx); err != nil {
		return 0, other, err
	}
	if err := r.receiver.complete(0, s.first, s.last); err != nil {
		return 0, other, err
	}
	rate = float64(s.events()) / took.Seconds()
	result.add("delivered, "+during, rate, "/s")
	return rate, other, m.end(ctx, s.events())
}

// watch notes once a second how many events are left to say, and what serve and worker
// have resident.
func (r *rig) watch(ctx context.Context, result *Result, during string, before int) {
	began, last := time.Now(), before
	for tick := time.Second; sleepUntil(ctx, began.Add(tick)); tick += time.Second {
		at, n := time.Since(began).Seconds(), r.receiver.paths[0].arrived()
		result.sample("delivered, "+during, at, float64(n-last))
		last = n
		usages, err := r.usages()
		if err != nil {
			return // the rig is being closed
		}
		for _, name := range []string{"serve", "worker"} {
			result.sample(name+" MB, "+during, at, megabytes(usages[name].memory))
		}
	}
}

// beside is the stream of events to webhook 1.
type beside struct {
	rig       *rig
	generator *generator
	stop      chan struct{}
	done      chan error
	sent      sent
	disk      *flushing
}

// observed is what was measured while something else went on, or nothing did.
type observed struct {
	events percentiles // from due to arrival
	disk   percentiles // how long it took to flush a page
}

func (b observed) add(result *Result, during string) {
	for _, p := range []struct {
		name string
		took time.Duration
	}{{"p50", b.events.P50}, {"p90", b.events.P90}, {"p99", b.events.P99}} {
		result.addMS("other webhook, due to arrival, "+p.name+", "+during, p.took)
	}
	if b.disk.N == 0 {
		return
	}
	result.addMS("raw limit: flush of a page, p50, "+during, b.disk.P50)
	result.addMS("raw limit: flush of a page, p99, "+during, b.disk.P99)
	result.addMS("raw limit: flush of a page, max, "+during, b.disk.Max)
}

func (r *rig) newBeside() (*beside, error) {
	g, err := newGenerator(r.url+"/v1/events", r.key, maxOpen)
	if err != nil {
		return nil, err
	}
	g.collection = besideCollection
	// Numbers of their own keep ids apart.
	g.next = 1 << 32
	r.receiver.paths[0].record = nil // a backlog's latency is its age
	r.receiver.paths[1].base = g.next
	return &beside{rig: r, generator: g}, nil
}

func (b *beside) start(ctx context.Context, duration time.Duration) {
	b.stop, b.done = make(chan struct{}), make(chan error, 1)
	b.disk = b.rig.startFlushing(ctx)
	go func() {
		var err error
		b.sent, err = b.generator.run(ctx, load{connections: maxOpen, perRequest: 1, rate: besideRate, duration: duration, stop: b.stop})
		b.done <- err
	}()
	if duration < time.Hour {
		// A stream of some length ends by itself.
		b.done <- <-b.done
	}
}

// end ends the stream, waits until it has arrived, and returns its latency, and the disk's.
func (b *beside) end(ctx context.Context) (p observed, err error) {
	close(b.stop)
	p.disk, err = b.disk.end()
	if err = errors.Join(err, <-b.done); err != nil {
		return p, err
	}
	r := b.rig.receiver
	if err := r.awaitPath(ctx, 1, int(b.sent.last-1<<32)); err != nil { // #nosec G115 -- counted
		return p, err
	}
	if err := r.complete(1, b.sent.first, b.sent.last); err != nil {
		return p, err
	}
	p.events = r.latency.take()
	return p, nil
}
