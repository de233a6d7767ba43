package activities_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
)

// disabling are the states after each failure of a webhook whose disable_after is over at
// once: it is probed often enough first.
var disabling = []tocsin.State{tocsin.StateActive, tocsin.StateFailing, tocsin.StateFailing, tocsin.StateFailing, tocsin.StateDisabled}

// Nothing but failures for disable_after disables a webhook, and it holds what it owes.
// Somebody resumes it: it may fail anew, and counts anew, until something is accepted.
func TestDisableAfter(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		c := newScene(t, s, func(set *tocsin.Settings) { set.DisableFor = 1 })
		submit(t, s, c.hook, "a", "b")
		c.answer(errBroken)
		for i, want := range disabling {
			if got := c.deliver(); got.State != want || want == tocsin.StateDisabled && got.Next != activities.NextAgain {
				t.Errorf("after %d failures got %+v, want %s", i+1, got, want)
			}
		}
		if w := c.webhook(); w.State != tocsin.StateDisabled || !strings.HasPrefix(w.StateReason, "nothing but failures for ") || w.Version != c.hook.Version+1 {
			t.Errorf("webhook is %s %q version %d", w.State, w.StateReason, w.Version)
		}
		if got := c.deliver(); got.Next != activities.NextParked {
			t.Errorf("got %+v, want parked", got)
		}
		if b := balance(t, s, c.hook); b.Pending+b.InFlight != 2 {
			t.Errorf("ledger %+v, want both held", b)
		}
		want := []string{saysFailing, saysDisabled}
		c.mustSay(want...)

		c.resume()
		if n := c.announced(); n != 1 {
			t.Errorf("announced is %d after the resumption, want 1: trouble is known, no percentage of it", n)
		}
		for i, want := range disabling {
			if got := c.deliver(); got.State != want {
				t.Errorf("after %d failures from the resumption on it is %s, want %s", i+1, got.State, want)
			}
		}
		want = append(want, saysFailing, saysDisabled)
		c.mustSay(want...)

		c.resume()
		c.answer(nil)
		c.deliver()
		want = append(want, saysRecovered)
		c.mustSay(want...)
		c.deliver()
		c.mustSay(want...)
		if n := c.announced(); n != 0 {
			t.Errorf("announced is %d after the recovery, want 0", n)
		}
		if b := balance(t, s, c.hook); b.Delivered != 2 {
			t.Errorf("ledger %+v, want both delivered", b)
		}
	})
}

// A success in between, and deliveries that are dead by their own fault, begin
// disable_after anew or do not count for it.
func TestDisableAfterCountsNothingButFailures(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		c := newScene(t, s, func(set *tocsin.Settings) { set.DisableFor, set.BatchSize = 1, 1 })
		for i := range 4 {
			submit(t, s, c.hook, fmt.Sprint(i))
			c.answer(tocsin.Permanent(errBroken))
			c.deliver()
			submit(t, s, c.hook, fmt.Sprint(i, "retried"))
			c.answer(errBroken)
			c.deliver()
			c.answer(nil)
			c.deliver()
		}
		if w := c.webhook(); w.State != tocsin.StateActive {
			t.Errorf("webhook is %s %q, want active", w.State, w.StateReason)
		}
		c.mustSay()
	})
}

// With a Retry-After of a day, five failures take longer than half of disable_after: it
// is failing, and announced, all the same.
func TestFewFailuresOverALongTimeAreAnnounced(t *testing.T) {
	t.Parallel()
	s, forward := clocked(t)
	const day = 24 * time.Hour
	c := newScene(t, s, func(set *tocsin.Settings) { set.DisableFor = tocsin.Duration(5 * day) })
	submit(t, s, c.hook, "a")
	c.answer(errBroken)
	c.deliver()
	forward(3 * day)
	c.deliver()
	c.mustSay(saysFailing)
	if w := c.webhook(); w.State != tocsin.StateFailing || !strings.HasPrefix(w.StateReason, "nothing but failures for 3d: ") {
		t.Errorf("webhook is %s %q", w.State, w.StateReason)
	}
	forward(2 * day)
	c.deliver()
	c.mustSay(saysFailing, saysFailing) // 90 percent: three failures are no reason to disable
	c.deliver()
	c.deliver()
	c.mustSay(saysFailing, saysFailing, saysDisabled)
}

// One failure, five days without any worker, and one more on return: that says little of
// the receiver. It is probed, and the next success makes it well.
func TestAnAbsenceOfOursDisablesNothing(t *testing.T) {
	t.Parallel()
	s, forward := clocked(t)
	c := newScene(t, s, func(set *tocsin.Settings) { set.DisableFor = tocsin.Duration(5 * 24 * time.Hour) })
	submit(t, s, c.hook, "a")
	c.answer(errBroken)
	c.deliver()
	forward(6 * 24 * time.Hour)
	if got := c.deliver(); got.State != tocsin.StateFailing {
		t.Errorf("on return got %+v, want failing", got)
	}
	c.answer(nil)
	if got := c.deliver(); got.State != tocsin.StateActive || got.Events != 1 {
		t.Errorf("got %+v, want it delivered", got)
	}
	c.mustSay(saysFailing, saysRecovered)
}

// It is disabled, resumed, and disabled again by the first attempt: that is news.
func TestASecondDisablingIsSaid(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		c := newScene(t, s, nil)
		c.answer(tocsin.Gone(errBroken))
		submit(t, s, c.hook, "a")
		c.deliver()
		c.resume()
		c.deliver()
		c.mustSay(saysDisabled, saysDisabled)
	})
}
