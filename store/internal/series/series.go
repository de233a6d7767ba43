// Package series is the frame of what moved by time, the same for every store.
package series

import (
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// Steps are the lengths that sums are kept for, and for how long: what is asked for, and some
// more, since a span is removed whole.
var Steps = []struct {
	Step, Kept time.Duration
}{
	{time.Minute, 3 * time.Hour},
	{15 * time.Minute, 3 * 24 * time.Hour},
}

// Frame returns the series of a window up to now, with nothing in its spans. CodeInvalid for
// a window that there is none of.
func Frame(now time.Time, window time.Duration) (tocsin.Series, error) {
	step := tocsin.SeriesStep(window)
	if step == 0 {
		return tocsin.Series{}, tocsin.Invalid("window", "%q is not a window; allowed: 1h, 24h", window)
	}
	now = now.UTC()
	s := tocsin.Series{Step: step, Now: now, Spans: make([]tocsin.Span, window/step)}
	first := now.Truncate(step).Add(step - window)
	for i := range s.Spans {
		s.Spans[i].Start = first.Add(time.Duration(i) * step)
	}
	return s, nil
}

// Fill adds what moved in the span that begins at start. What moved after the last span
// began counts there: a transaction that the snapshot saw may have begun after now was read.
func Fill(s *tocsin.Series, start time.Time, m tocsin.Movement) {
	if start.Before(s.Spans[0].Start) {
		return
	}
	i := min(int(start.Sub(s.Spans[0].Start)/s.Step), len(s.Spans)-1)
	s.Spans[i].Movement = s.Spans[i].Add(m)
	s.Total = s.Total.Add(m)
}
