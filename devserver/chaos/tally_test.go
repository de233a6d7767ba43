package chaos_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// event is what an event's id says: "k3-17", or "k3-17-bad" for one that picky receivers
// refuse. Events of one key are submitted one after the other, each after the one before
// was acknowledged, so their numbers must arrive in order.
type event struct {
	key    string
	number int
	bad    bool
}

func (e event) id() string {
	id := fmt.Sprintf("%s-%d", e.key, e.number)
	if e.bad {
		id += "-bad"
	}
	return id
}

func parseEvent(id string) (e event, err error) {
	rest, bad := strings.CutSuffix(id, "-bad")
	key, number, _ := strings.Cut(rest, "-")
	e = event{key: key, bad: bad}
	e.number, err = strconv.Atoi(number)
	return e, err
}

// tally compares what was acknowledged with what arrived.
type tally struct {
	mu       sync.Mutex
	changed  chan struct{} // closed and made anew with every change
	acked    map[event]bool
	webhooks map[string]*arrivals
	wrong    []string // what must not be; the first few

	retried     int // requests sent again after no answer, or 503
	refused     int // requests answered 503
	resubmitted int // events answered as duplicates: stored before, without an answer
}

// arrivals are what one webhook's receiver accepted.
type arrivals struct {
	spec    webhookSpec
	first   map[event]string // webhook-id it came under first
	last    map[string]int   // key → highest number that came
	missing int              // acknowledged, wanted, and not here yet
	agents  map[string]int   // User-Agent → deliveries accepted from it

	sameID, otherID, overtaken int
}

func newTally(specs []webhookSpec) *tally {
	t := &tally{changed: make(chan struct{}), acked: map[event]bool{}, webhooks: map[string]*arrivals{}}
	for _, s := range specs {
		t.webhooks[s.name] = &arrivals{spec: s, first: map[event]string{}, last: map[string]int{}, agents: map[string]int{}}
	}
	return t
}

// wants reports whether an event must arrive there.
func (a *arrivals) wants(e event) bool { return !e.bad || !a.spec.picky }

// ack notes that events were answered with 202.
func (t *tally) ack(events []event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range events {
		t.acked[e] = true
		for _, a := range t.webhooks {
			if _, here := a.first[e]; !here && a.wants(e) {
				a.missing++
			}
		}
	}
	t.wake()
}

// accept notes that a webhook's receiver took a delivery.
func (t *tally) accept(webhook, deliveryID, agent string, ids []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.webhooks[webhook]
	a.agents[agent]++
	for _, id := range ids {
		e, err := parseEvent(id)
		if err != nil {
			t.complain("an event %q that nobody sent came to %s", id, webhook)
			continue
		}
		t.arrive(a, e, deliveryID)
	}
	t.wake()
}

func (t *tally) arrive(a *arrivals, e event, deliveryID string) {
	if before, again := a.first[e]; again {
		if before == deliveryID {
			a.sameID++
			return
		}
		a.otherID++
		t.complain("event %s came to %s as %s and as %s", e.id(), a.spec.name, before, deliveryID)
		return
	}
	a.first[e] = deliveryID
	if t.acked[e] {
		a.missing--
	}
	if last := a.last[e.key]; e.number < last {
		a.overtaken++
		t.complain("event %s came to %s after number %d of its key", e.id(), a.spec.name, last)
	}
	a.last[e.key] = max(a.last[e.key], e.number)
}

// complain keeps the first few things that must not be; mu is held.
func (t *tally) complain(format string, args ...any) {
	if len(t.wrong) < 20 {
		t.wrong = append(t.wrong, fmt.Sprintf(format, args...))
	}
}

// wake tells those who wait that something changed; mu is held.
func (t *tally) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// watch returns what f says now, and a channel that is closed when that may have changed.
func watch[T any](t *tally, f func() T) (T, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return f(), t.changed
}

// ackedEvents returns what was acknowledged so far.
func (t *tally) ackedEvents() []event {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]event, 0, len(t.acked))
	for e := range t.acked {
		all = append(all, e)
	}
	return all
}

// undelivered counts events that a webhook which neither waits for a tick nor is refused
// has not got.
func (t *tally) undelivered(events []event) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, e := range events {
		for _, a := range t.webhooks {
			if _, here := a.first[e]; a.spec.prompt() && !here {
				n++
				break
			}
		}
	}
	return n
}

// missing says what did not arrive yet; "" for nothing.
func (t *tally) missing() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []string
	for name, a := range t.webhooks {
		if a.missing == 0 {
			continue
		}
		example := ""
		for e := range t.acked {
			if _, here := a.first[e]; !here && a.wants(e) {
				example = e.id()
				break
			}
		}
		all = append(all, fmt.Sprintf("%d at %s (%s)", a.missing, name, example))
	}
	return strings.Join(all, ", ")
}

// counts sums up over all webhooks.
func (t *tally) counts() (acked, lost, sameID, otherID, overtaken int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range t.webhooks {
		lost, sameID, otherID, overtaken = lost+a.missing, sameID+a.sameID, otherID+a.otherID, overtaken+a.overtaken
	}
	return len(t.acked), lost, sameID, otherID, overtaken
}

// bad counts the acknowledged events that picky receivers refuse.
func (t *tally) bad() (n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for e := range t.acked {
		if e.bad {
			n++
		}
	}
	return n
}

// complaints returns what must not be, and forgets it.
func (t *tally) complaints() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	wrong := t.wrong
	t.wrong = nil
	return wrong
}
