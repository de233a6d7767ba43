package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// part is one row of the table of figures.
type part struct {
	name   string
	about  string
	stores []string
	run    func(b *bench, ctx context.Context, result *Result) error
}

var (
	onPostgres = []string{postgresStore}
	onSQLite   = []string{sqliteStore}
	onBoth     = []string{postgresStore, sqliteStore}
)

// parts are all of them, in the order they run in.
func parts() []part {
	return []part{
		{"single", "one event in each request", onBoth, (*bench).single},
		{"batch", "100 events in each request", onBoth, (*bench).batch},
		{"latency", "from due to arrival, at a rate", onBoth, (*bench).latency},
		{"fanout", "100 webhooks want every event", onBoth, (*bench).fanout},
		{"idle10k", "many webhooks, all idle", onPostgres, (*bench).idle},
		{"backlog", "one webhook with a long backlog", onPostgres, (*bench).backlogged},
		{"big", "a store with many events", onPostgres, (*bench).bigStore},
		{"workers", "slow receivers, more and more workers", onPostgres, (*bench).manyWorkers},
		{"idledev", "tocsin-dev with nothing to do", onSQLite, (*bench).idleDev},
	}
}

func partNames() (names []string) {
	for _, p := range parts() {
		names = append(names, p.name)
	}
	return names
}

// run runs the parts that are asked for and writes the results.
func run(ctx context.Context, o options, out io.Writer) (err error) {
	b := &bench{options: o}
	if b.dir, err = os.MkdirTemp("", "tocsin-bench-"); err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer func() {
		if b.cluster != nil {
			err = errors.Join(err, b.cluster.Remove())
		}
		err = errors.Join(err, os.RemoveAll(b.dir))
	}()
	results, err := b.runParts(ctx, out)
	return errors.Join(err, b.publish(ctx, results))
}

// errStopped is how a run ends after a signal.
var errStopped = errors.New("stopped; what was running has ended and its data is removed")

// runParts goes on after a part that failed, since the others tell something as well.
func (b *bench) runParts(ctx context.Context, out io.Writer) (results []*Result, err error) {
	for _, p := range parts() {
		for _, store := range p.stores {
			if !slices.Contains(b.parts, p.name) || !slices.Contains(b.stores, store) {
				continue
			}
			fmt.Fprintf(os.Stderr, "measuring %s on %s …\n", p.name, store)
			result, failure := b.runPart(ctx, p, store)
			if ctx.Err() != nil {
				printResult(out, p, result)
				return results, errors.Join(err, errStopped)
			}
			if failure != nil {
				// What it measured until then may help, and is not published.
				printResult(out, p, result)
				fmt.Fprintln(out, "  FAILED, as said at the end")
				err = errors.Join(err, fmt.Errorf("part %s on %s: %w", p.name, store, failure))
				continue
			}
			results = append(results, result)
			printResult(out, p, result)
		}
	}
	return results, err
}

// publish writes what was measured to where it is asked for.
func (b *bench) publish(ctx context.Context, results []*Result) error {
	if b.json == "" && b.report == "" || len(results) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), apiTimeout) // also what was measured until Ctrl-C
	defer cancel()
	var r Report
	var err error
	if b.json != "" {
		if r, err = readReport(b.json); err != nil {
			return err
		}
	}
	before := r.Machine
	if r.Machine, err = b.machine(ctx); err != nil {
		return err
	}
	if r.Machine.Postgres == "" {
		r.Machine.Postgres = before.Postgres
	}
	r.merge(results)
	if b.json != "" {
		if err := r.write(b.json); err != nil {
			return err
		}
	}
	if b.report == "" {
		return nil
	}
	return r.publish(b.report)
}

func (b *bench) runPart(ctx context.Context, p part, store string) (*Result, error) {
	b.store = store
	result := &Result{Part: p.name, Store: store}
	began := time.Now()
	err := p.run(b, ctx, result)
	result.Figures = append(result.Figures, result.costs...)
	result.Seconds = time.Since(began).Seconds()
	return result, err
}

// closing closes a rig after err, which a part ends with.
func closing(err error, r *rig) error {
	if err != nil {
		for _, p := range r.processes {
			if text := p.out.String(); text != "" {
				err = fmt.Errorf("%w\n--- %s:\n%s", err, p.name, text)
			}
		}
	}
	return errors.Join(err, r.close())
}

// full is a load for as long as a part measures.
func (b *bench) full(connections, perRequest int) load {
	return load{connections: connections, perRequest: perRequest, duration: b.sizes.load}
}

// warmUp runs a load for a moment, waits until it has arrived at so many webhooks, and
// forgets what it took.
func (r *rig) warmUp(ctx context.Context, l load, webhooks int) error {
	l.duration = r.sizes.warm
	s, err := r.send.run(ctx, l)
	if err != nil {
		return err
	}
	if err := r.drained(ctx, s, webhooks); err != nil {
		return err
	}
	r.receiver.latency.take()
	return nil
}

// drained waits until everything sent so far has arrived at so many webhooks, each of
// which wants every event, and checks that what was just sent is there.
func (r *rig) drained(ctx context.Context, s sent, webhooks int) error {
	if err := r.receiver.await(ctx, int64(s.last)*int64(webhooks)); err != nil { // #nosec G115 -- ten digits
		return err
	}
	for n := range webhooks {
		if err := r.receiver.complete(n, s.first, s.last); err != nil {
			return err
		}
	}
	return nil
}
