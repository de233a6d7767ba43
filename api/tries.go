package api

import (
	"fmt"
	"sync"
	"time"
)

const (
	// maxTries is how many failed tries a client has in a minute.
	maxTries = 10
	// triesWindow is that minute: all counts begin anew at once, so that nothing has to
	// be kept or looked through for single clients.
	triesWindow = time.Minute
	// maxTried bounds the clients that are counted apart; those beyond share one count,
	// which refuses nobody who has a key.
	maxTried = 10_000
	// maxLookUps is how many keys that are new to this process are looked up in a second
	// for clients who failed too often. Their tries cost the store that and no more; it
	// is enough for a good key to get through beside a bad neighbour.
	maxLookUps = 50
)

// overflow is the client that all beyond maxTried count as.
const overflow = "others"

// tries limits failed authentication. The zero value is ready.
type tries struct {
	mu      sync.Mutex
	began   time.Time
	failing map[string]int
	// second is the one that lookUps counts in.
	second  int64
	lookUps int
}

// tooManyTries becomes 429.
type tooManyTries struct{ after time.Duration }

func (e tooManyTries) Error() string {
	return fmt.Sprintf("more than %d tries without a valid API key came from this address in a minute", maxTries)
}

// failed counts a failed try and returns err, or tooManyTries when there were too many
// before.
func (t *tries) failed(address string, now time.Time, err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn(now)
	client := t.client(address)
	if t.failing[client] >= maxTries {
		return t.tooMany(now)
	}
	t.failing[client]++
	return err
}

// mayLookUp is asked before a key that is new to this process is looked up.
func (t *tries) mayLookUp(address string, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn(now)
	if t.failing[t.client(address)] < maxTries {
		return nil
	}
	if t.second != now.Unix() {
		t.second, t.lookUps = now.Unix(), 0
	}
	if t.lookUps >= maxLookUps {
		return t.tooMany(now)
	}
	t.lookUps++
	return nil
}

// turn begins another window when the last one is over.
func (t *tries) turn(now time.Time) {
	if t.failing == nil || now.Sub(t.began) >= triesWindow || now.Before(t.began) {
		t.began, t.failing = now, map[string]int{}
	}
}

func (t *tries) client(address string) string {
	client := network(address)
	if _, counted := t.failing[client]; !counted && len(t.failing) >= maxTried {
		return overflow
	}
	return client
}

func (t *tries) tooMany(now time.Time) error {
	return tooManyTries{t.began.Add(triesWindow).Sub(now)}
}
