package email

import (
	"sync"
	"time"
)

// patience is how long recipients who are put off are waited for, from the first time on,
// when others have the mail. Greylisting (https://www.rfc-editor.org/rfc/rfc6647) is over
// after minutes nearly everywhere. It is not longer, because the webhook's next alerts wait
// for this mail.
const patience = 30 * time.Minute

// waits are between the attempts for them; the last is repeated.
var waits = []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute}

// maxGivenUp bounds what is remembered of recipients who were given up.
const maxGivenUp = 10_000

// givenUp remembers who was waited for in vain, so that a mailbox that is full for days
// holds one mail up for its half hour, and not each. It is for one process: another one, or
// the next, finds out by itself.
type givenUp struct {
	mu   sync.Mutex
	keys map[string]bool // hashes of webhook and address
}

func (g *givenUp) has(webhook, addr string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.keys[webhook+addressHash(addr)]
}

// add remembers a recipient until forget, or until there are too many.
func (g *givenUp) add(webhook, addr string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.keys == nil || len(g.keys) >= maxGivenUp {
		g.keys = map[string]bool{}
	}
	g.keys[webhook+addressHash(addr)] = true
}

// forget is for a recipient who has mail again.
func (g *givenUp) forget(webhook, addr string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.keys, webhook+addressHash(addr))
}
