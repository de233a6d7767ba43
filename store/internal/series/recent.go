package series

import (
	"slices"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// Attempts are attempts that ended, oldest first, as stores keep them: the minute since 1970 in
// which each ended, and its milliseconds, -1 - milliseconds for one that failed.
type Attempts struct {
	Minutes, Took []int32
}

// Then returns the attempts with later ones after them, at most as many as are looked at.
func (a Attempts) Then(later Attempts) Attempts {
	minutes, took := slices.Concat(a.Minutes, later.Minutes), slices.Concat(a.Took, later.Took)
	from := max(0, len(minutes)-tocsin.RecentAttempts)
	return Attempts{minutes[from:], took[from:]}
}

// Recent sums up those that are recent now.
func (a Attempts) Recent(now time.Time) (r tocsin.Recent) {
	from := now.Add(-tocsin.RecentFor).Unix() / 60
	var took []int32
	for i, minute := range a.Minutes {
		ms := a.Took[i]
		if int64(minute) < from {
			continue
		}
		if ms < 0 {
			r.Failed++
			ms = -1 - ms
		}
		took = append(took, ms)
	}
	if r.Attempts = len(took); r.Attempts == 0 {
		return r
	}
	slices.Sort(took)
	// The nearest rank: the smallest that so many of 100 do not exceed.
	rank := func(percent int) time.Duration {
		return time.Duration(took[(len(took)*percent+99)/100-1]) * time.Millisecond
	}
	r.P50, r.P95 = rank(50), rank(95)
	return r
}
