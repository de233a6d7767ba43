package main

import (
	"slices"
	"sync"
	"time"
)

// recorder keeps durations, all of them: a million take 4 MB. The zero value is ready.
type recorder struct {
	mu      sync.Mutex
	samples []uint32 // microseconds
}

func (r *recorder) add(d time.Duration) {
	µs := min(max(d.Microseconds(), 0), 1<<32-1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.samples = append(r.samples, uint32(µs)) // #nosec G115 -- bounded above
}

// percentiles are what a user feels of many durations.
type percentiles struct {
	N                  int
	P50, P90, P99, Max time.Duration
}

// take returns the percentiles of what was added since the last take.
func (r *recorder) take() percentiles {
	r.mu.Lock()
	samples := r.samples
	r.samples = nil
	r.mu.Unlock()
	slices.Sort(samples)
	at := func(share float64) time.Duration {
		return time.Duration(rank(samples, share)) * time.Microsecond
	}
	return percentiles{N: len(samples), P50: at(0.5), P90: at(0.9), P99: at(0.99), Max: at(1)}
}

// rank is the smallest of sorted that at least a share of them do not exceed; 0 of none.
func rank(sorted []uint32, share float64) uint32 {
	if len(sorted) == 0 {
		return 0
	}
	i := int(share * float64(len(sorted)))
	if float64(i) == share*float64(len(sorted)) {
		i-- // exactly that many are at or below the one before
	}
	return sorted[max(0, min(i, len(sorted)-1))]
}
