package main

import (
	"testing"
	"time"
)

func TestPercentiles(t *testing.T) {
	var r recorder
	for n := 100; n >= 1; n-- {
		r.add(time.Duration(n) * time.Millisecond)
	}
	want := percentiles{N: 100, P50: 50 * time.Millisecond, P90: 90 * time.Millisecond, P99: 99 * time.Millisecond, Max: 100 * time.Millisecond}
	if got := r.take(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := r.take(); got != (percentiles{}) {
		t.Errorf("after take there is %+v", got)
	}
	r.add(-time.Second) // a clock that was set back
	r.add(time.Millisecond)
	r.add(3 * time.Millisecond)
	if got := r.take(); got.P50 != time.Millisecond || got.P99 != 3*time.Millisecond {
		t.Errorf("of three: %+v", got)
	}
}

func TestNumber(t *testing.T) {
	for value, want := range map[float64]string{0: "0", 0.004: "0.004", 0.25: "0.25", 5.71: "5.71", 43.14: "43.1", 312.6: "313", 6000: "6,000", 1234567: "1,234,567", 100: "100", 50: "50", -1500: "-1,500"} {
		if got := number(value); got != want {
			t.Errorf("%v is written %s, want %s", value, got, want)
		}
	}
}
