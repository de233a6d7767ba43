package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Of idle webhooks, so many get an event each, one after the other; creators is how many
// connections create them, and send the others an event.
const (
	firstEvents = 50
	creators    = 16
	// looked is at how many webhooks' histories a part looks before and after.
	looked = 100
)

// idle: many webhooks that wait for something to happen. What the sweeper and the
// housekeeping cost is measured before there are any. Whether webhooks cost something is
// seen by their histories, since nearly every action leaves an event there: the server's
// counter also has the housekeeping's, which falls into one minute and not into the next.
func (b *bench) idle(ctx context.Context, result *Result) (err error) {
	r, err := b.newRig(ctx, rigOptions{paths: b.sizes.webhooks})
	if err != nil {
		return err
	}
	defer func() { err = closing(err, r) }()
	if err := r.calm(ctx); err != nil {
		return err
	}
	without, err := r.idleMinute(ctx, result, "no webhooks")
	if err != nil {
		return err
	}
	began := time.Now()
	ids, err := r.createMany(ctx)
	if err != nil {
		return err
	}
	result.add("webhooks created", float64(b.sizes.webhooks)/time.Since(began).Seconds(), "/s").atLeast(200)
	if err := r.calm(ctx); err != nil {
		return err
	}
	n := number(float64(b.sizes.webhooks))
	created, err := r.idleMinute(ctx, result, n+" webhooks")
	if err != nil {
		return err
	}
	if err := r.firstEvents(ctx, result); err != nil {
		return err
	}
	ids = ids[:min(looked, len(ids))]
	before, err := r.histories(ctx, ids)
	if err != nil {
		return err
	}
	used := n + " webhooks that have delivered"
	with, err := r.idleMinute(ctx, result, used)
	if err != nil {
		return err
	}
	after, err := r.histories(ctx, ids)
	if err != nil {
		return err
	}
	result.add(fmt.Sprintf("history events while idle, of %d webhooks that have delivered", len(ids)), float64(after-before), "").atMost(0)
	result.add("resident memory of serve and worker, "+used, result.memory(used, "serve", "worker"), "MB").atMost(300)
	result.addMinute("no webhooks", without)
	result.addMinute(n+" webhooks", created)
	result.addMinute(used, with)
	return nil
}

func (r *Result) addMinute(during string, m minute) {
	r.add("Temporal actions a minute, "+during, m.actions, "")
	r.add("transactions in the store a minute, "+during, m.commits, "")
}

// histories adds up how many events there are in the histories of webhooks.
func (r *rig) histories(ctx context.Context, ids []string) (sum int64, err error) {
	for _, id := range ids {
		size, err := describeWorkflow(ctx, r.ui, id)
		if err != nil {
			return 0, err
		}
		sum += size.Events
	}
	return sum, nil
}

// createMany creates a webhook for each path, which wants events of its own collection, and
// returns their ids.
func (r *rig) createMany(ctx context.Context) ([]string, error) {
	ids := make([]string, r.sizes.webhooks)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range creators {
		wg.Go(func() {
			for ctx.Err() == nil {
				n := int(next.Add(1)) - 1
				if n >= r.sizes.webhooks {
					return
				}
				var err error
				if ids[n], err = r.webhook(ctx, n, map[string]any{"collections": []string{collectionOf(n)}}); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return ids, context.Cause(ctx)
}

// collectionOf is the collection of webhook n's events.
func collectionOf(n int) string { return fmt.Sprintf("%0*d", len(collection), n) }

// Things are calm when Temporal had nothing to do for a while. Tidying up after ten
// thousand starts takes it minutes.
const (
	calmFor     = 5 * time.Second
	calmTimeout = 10 * time.Minute
)

// calm waits until nothing goes on.
func (r *rig) calm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, calmTimeout)
	defer cancel()
	var last temporalCounts
	since := time.Now()
	for {
		now, err := readCounts(ctx, r.temporalMetrics)
		if err != nil {
			return err
		}
		if now.Actions != last.Actions || now.History != last.History {
			last, since = now, time.Now()
		}
		if time.Since(since) >= min(calmFor, r.sizes.settle) {
			return nil
		}
		if !sleepUntil(ctx, time.Now().Add(200*time.Millisecond)) {
			return fmt.Errorf("waiting until nothing goes on: %w", ctx.Err())
		}
	}
}

// minute is what happened while nothing did, for each minute.
type minute struct{ actions, commits float64 }

func (r *rig) idleMinute(ctx context.Context, result *Result, during string) (q minute, err error) {
	m, err := r.measure(ctx, result, during)
	if err != nil {
		return q, err
	}
	commits, err := r.commits(ctx)
	if err != nil {
		return q, err
	}
	if !sleepUntil(ctx, time.Now().Add(r.sizes.idle)) {
		return q, ctx.Err()
	}
	after, err := r.commits(ctx)
	if err != nil {
		return q, err
	}
	counts, err := readCounts(ctx, r.temporalMetrics)
	if err != nil {
		return q, err
	}
	minutes := time.Since(m.began).Minutes()
	q.actions = counts.minus(m.counts).Actions / minutes
	q.commits = float64(after-commits) / minutes
	return q, m.end(ctx, 0)
}

// commits is how many transactions the rig's database has seen, ours among them.
func (r *rig) commits(ctx context.Context) (n int64, err error) {
	err = r.query(ctx, `SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()`, nil, &n)
	return n, err
}

// memory adds up what processes had resident at the end of a measurement, in MB.
func (r *Result) memory(during string, names ...string) (sum float64) {
	for _, u := range r.Used {
		for _, p := range u.Processes {
			for _, name := range names {
				if u.During == during && p.Name == name {
					sum += p.EndMB
				}
			}
		}
	}
	return sum
}

// firstEvents sends an event to some webhooks, one after the other, and takes how long each
// took to arrive; then one to each of the others, and waits until nothing goes on.
func (r *rig) firstEvents(ctx context.Context, result *Result) error {
	order := rand.New(rand.NewPCG(1, 2)).Perm(r.sizes.webhooks) // #nosec G404 -- the same in every run
	r.send.pick = func(seq uint64) string { return collectionOf(order[seq]) }
	timed := min(firstEvents, len(order))
	for range timed {
		s, err := r.send.run(ctx, load{connections: 1, perRequest: 1, duration: time.Minute, most: 1})
		if err != nil {
			return err
		}
		if err := r.receiver.await(ctx, int64(s.last)); err != nil { // #nosec G115 -- counted
			return err
		}
	}
	p := r.receiver.latency.take()
	result.addMS("first event of an idle webhook, due to arrival, p50", p.P50)
	result.addMS("first event of an idle webhook, due to arrival, max", p.Max).atMost(150)
	began, rest := time.Now(), len(order)-timed
	if rest > 0 {
		if _, err := r.send.run(ctx, load{connections: creators, perRequest: 1, duration: time.Hour, most: rest}); err != nil {
			return err
		}
	}
	if err := r.receiver.await(ctx, int64(len(order))); err != nil {
		return err
	}
	if rest > 0 {
		result.add("first events of all others at once, arrived", float64(rest)/r.receiver.lastArrival().Sub(began).Seconds(), "/s")
	}
	for seq, n := range order {
		if !r.receiver.has(n, uint64(seq)) { // #nosec G115 -- an index
			return fmt.Errorf("LOST: event %d did not arrive at %s", seq, r.receiver.url(n))
		}
	}
	return r.calm(ctx)
}

// idleDev: tocsin-dev with a webhook that has delivered, and nothing to do since.
func (b *bench) idleDev(ctx context.Context, result *Result) (err error) {
	r, err := b.newRig(ctx, rigOptions{})
	if err != nil {
		return err
	}
	defer func() { err = closing(err, r) }()
	if _, err := r.webhook(ctx, 0, nil); err != nil {
		return err
	}
	if err := r.warmUp(ctx, load{connections: 1, perRequest: 1, rate: 50}, 1); err != nil {
		return err
	}
	if !sleepUntil(ctx, time.Now().Add(b.sizes.settle)) {
		return ctx.Err()
	}
	m, err := r.measure(ctx, result, "idle")
	if err != nil {
		return err
	}
	if !sleepUntil(ctx, time.Now().Add(b.sizes.idle/2)) {
		return ctx.Err()
	}
	if err := m.end(ctx, 0); err != nil {
		return err
	}
	used := result.Used[0]
	result.add("resident memory", result.memory("idle", r.server.name), "MB").atMost(250)
	result.add("CPU, of a core", 100*used.Processes[0].CPU/used.Seconds, "%").atMost(1)
	return nil
}
