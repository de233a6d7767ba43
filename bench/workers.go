package main

import (
	"context"
	"fmt"
	"time"
)

// slowAnswer is how long slow receivers take.
const slowAnswer = 200 * time.Millisecond

// manyWorkers: webhooks whose receivers are slow have more to do than workers get done.
// Each delivery is one event, so that waiting for the receiver is most of the work.
func (b *bench) manyWorkers(ctx context.Context, result *Result) error {
	// One worker could wait for all receivers at once, with a slot for each; so that workers
	// are what there is too little of, they have few slots.
	result.add("slots of each worker", float64(b.sizes.slots), "")
	// One delivery at a time for each webhook is what the receivers allow.
	ceiling := float64(b.sizes.slow) / slowAnswer.Seconds()
	result.add("what the receivers allow, deliveries", ceiling, "/s")
	var before float64
	for _, workers := range b.sizes.workers {
		rate, err := b.withWorkers(ctx, result, workers)
		if err != nil {
			return err
		}
		result.sample("deliveries per second", float64(workers), rate)
		result.add(fmt.Sprintf("delivered by %d workers", workers), rate, "/s")
		result.add(fmt.Sprintf("delivered by %d workers, of what the receivers allow", workers), 100*rate/ceiling, "%")
		// Beyond the receivers' limit there is nothing to grow into.
		if grown := result.add(fmt.Sprintf("growth to %d workers", workers), rate/max(before, 1), "×"); before == 0 {
			result.Figures = result.Figures[:len(result.Figures)-1]
		} else if before < ceiling/1.8 {
			grown.atLeast(1.8)
		}
		before = rate
	}
	return nil
}

// withWorkers measures deliveries per second once all webhooks have a backlog.
func (b *bench) withWorkers(ctx context.Context, result *Result, workers int) (rate float64, err error) {
	r, err := b.newRig(ctx, rigOptions{paths: b.sizes.slow, workers: workers, env: []string{fmt.Sprintf("TOCSIN_SLOTS=%d", b.sizes.slots)}})
	if err != nil {
		return 0, err
	}
	defer func() { err = closing(err, r) }()
	r.receiver.delay.Store(int64(slowAnswer))
	for n := range b.sizes.slow {
		if _, err := r.webhook(ctx, n, map[string]any{"batch_size": 1}); err != nil {
			return 0, err
		}
	}
	// Each event is wanted by all webhooks: enough for as long as is measured, and a little
	// for the beginning.
	most := int((b.sizes.warm + b.sizes.load + time.Second) / slowAnswer)
	s, err := r.send.run(ctx, load{connections: 1, perRequest: most, duration: time.Minute, most: most})
	if err != nil {
		return 0, err
	}
	if err := r.receiver.await(ctx, int64(b.sizes.slow)); err != nil { // all of them are at it
		return 0, err
	}
	m, err := r.measure(ctx, result, fmt.Sprintf("%d workers", workers))
	if err != nil {
		return 0, err
	}
	before, began := r.receiver.arrived.Load(), time.Now()
	if !sleepUntil(ctx, began.Add(b.sizes.load)) {
		return 0, ctx.Err()
	}
	delivered := r.receiver.arrived.Load() - before
	rate = float64(delivered) / time.Since(began).Seconds()
	if err := m.end(ctx, 0); err != nil {
		return 0, err
	}
	r.receiver.delay.Store(0) // nothing is measured any more: the rest need not take its time
	return rate, r.drained(ctx, s, b.sizes.slow)
}
