package ingest

import "github.com/tocsin-alerts/tocsin"

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
