package sweep

import (
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/internal/series"
)

// RepeatsKept is the longest repeat_after that a webhook can have.
const RepeatsKept = 30 * 24 * time.Hour

// Step removes what is older than before and reports whether more is left.
type Step func(before time.Time) (more bool, err error)

// Steps are what a store removes, in the order in which it does.
type Steps struct {
	Deliveries, Suppressed, Incidents, Events, Keys, Audit, Replays, Mutes, Refs, Repeats, Rejections Step
	// Activity removes sums of spans of a length that began before a moment.
	Activity func(step time.Duration, before time.Time) (more bool, err error)
}

// Run makes the steps that r asks for, and reports whether more is left of anything.
// Events wait until nothing is left of what refers to them.
func (s Steps) Run(now time.Time, r tocsin.Retention) (more bool, err error) {
	events := func(before time.Time) (bool, error) {
		if more {
			return true, nil
		}
		return s.Events(before)
	}
	for _, step := range []struct {
		keep time.Duration // 0: for ever
		run  Step
	}{
		{r.History, s.Deliveries}, {r.History, s.Suppressed}, {r.History, s.Incidents}, {r.History, events}, {r.Keys, s.Keys},
		{r.Audit, s.Audit}, {r.Audit, s.Replays}, {r.Audit, s.Mutes}, {r.Refs, s.Refs}, {RepeatsKept, s.Repeats}, {r.History, s.Rejections},
	} {
		if step.keep <= 0 {
			continue
		}
		left, err := step.run(now.Add(-step.keep))
		if err != nil {
			return more, err
		}
		more = more || left
	}
	for _, span := range series.Steps { // whatever r says: they are sums of what is kept elsewhere
		left, err := s.Activity(span.Step, now.Add(-span.Kept))
		if err != nil {
			return more, err
		}
		more = more || left
	}
	return more, nil
}
