package ingest

import (
	"log/slog"
	"runtime"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// SetAfterCommit makes the ingest call f between a commit and its ring.
func SetAfterCommit(in *Ingest, f func()) { in.afterCommit = f }

// FilterCost is the most that an evaluation may cost.
const FilterCost = filterCost

// Cost evaluates a filter and returns what that cost, in CEL's units.
func (f *Filter) Cost(e *tocsin.Event, category string) (uint64, error) {
	_, details, err := f.program.Eval(newSubject(e, category))
	if details == nil || details.ActualCost() == nil {
		return 0, err
	}
	return *details.ActualCost(), err
}

// Validate is what Receive and Submit check of decoded events.
func Validate(in *Ingest, events []tocsin.Event) error {
	var p problems
	in.validate(events, &p)
	return p.err(len(events))
}

// Fingerprint is what tells a duplicate from a conflict.
func Fingerprint(e *tocsin.Event) []byte { return fingerprint(e) }

// DedupKey is what an event without one gets.
func DedupKey(e *tocsin.Event) string { return dedupKey(e) }

// Matcher compiles a configuration; it returns how many webhooks are owed an event.
func Matcher(conf tocsin.Configuration) func(*tocsin.Event) int {
	m := compile(conf, catalog.Default(), nil, &filterCache{}, slog.New(slog.DiscardHandler))
	return func(e *tocsin.Event) int {
		owed, _ := m.match(e, e.Time)
		return len(owed)
	}
}

// Compiler compiles one configuration after the other.
func Compiler() func(tocsin.Configuration) {
	var filters filterCache
	return func(conf tocsin.Configuration) {
		compile(conf, catalog.Default(), nil, &filters, slog.New(slog.DiscardHandler))
	}
}

// WaitQueued returns when so many requests wait for their group.
func WaitQueued(in *Ingest, n int) {
	for {
		in.queue.mu.Lock()
		waiting := len(in.queue.wait)
		in.queue.mu.Unlock()
		if waiting >= n {
			return
		}
		runtime.Gosched()
	}
}
