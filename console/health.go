package console

import (
	"cmp"
	"slices"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// channelHealth is how the webhooks of one channel do.
type channelHealth struct {
	Channel string
	// Webhooks counts all; the others those in a state.
	Webhooks, Healthy, Failing, Disabled, Paused int
	// Owed is how many events wait, OldestOwed since when the first of them does.
	Owed, Dead   int64
	OldestOwed   *time.Time
	LastDelivery *time.Time
	// Attempts are the latest of each webhook, Failed those of them with which nothing was
	// delivered. P95 is the slowest webhook's, in milliseconds: such numbers do not add up.
	Attempts, Failed int
	P95              int64
}

// healthOf adds up webhooks by channel, in the order of the alphabet.
func healthOf(hooks []hookView) []channelHealth {
	found := map[string]*channelHealth{}
	for _, h := range hooks {
		c := found[h.Channel]
		if c == nil {
			c = &channelHealth{Channel: h.Channel}
			found[h.Channel] = c
		}
		c.add(h)
	}
	var out []channelHealth
	for _, c := range found {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b channelHealth) int { return cmp.Compare(a.Channel, b.Channel) })
	return out
}

func (c *channelHealth) add(h hookView) {
	c.Webhooks++
	c.Owed += h.Owed()
	c.Dead += h.Balance.Dead
	if h.LastDelivery != nil && (c.LastDelivery == nil || h.LastDelivery.After(*c.LastDelivery)) {
		c.LastDelivery = h.LastDelivery
	}
	if f := h.Facts; f != nil {
		c.Attempts += f.Attempts
		c.Failed += f.Failed
		if f.P95 != nil {
			c.P95 = max(c.P95, *f.P95)
		}
		if f.OldestOwedAt != nil && (c.OldestOwed == nil || f.OldestOwedAt.Before(*c.OldestOwed)) {
			c.OldestOwed = f.OldestOwedAt
		}
	}
	switch h.State {
	case tocsin.StateActive:
		c.Healthy++
	case tocsin.StateFailing:
		c.Failing++
	case tocsin.StateDisabled:
		c.Disabled++
	case tocsin.StatePaused:
		c.Paused++
	}
}

// Success is the share of the latest attempts that delivered.
func (c channelHealth) Success() string { return successOf(int64(c.Attempts), int64(c.Failed)) }

// successOf is a share in words; it is not rounded up: 100 % is said of what never failed.
func successOf(attempts, failed int64) string {
	if attempts == 0 {
		return ""
	}
	return trim(float64((attempts-failed)*1000/attempts)/10) + " %"
}

// Slowest is P95 as people read it; "" where nothing was tried.
func (c channelHealth) Slowest() string {
	if c.Attempts == 0 {
		return ""
	}
	return milliseconds(float64(c.P95))
}
