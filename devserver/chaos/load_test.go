package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin/devserver/devtest"
)

const (
	crowd = 3 // producers that submit at the same time
	keys  = 8 // dedup keys of each producer
	// ahead is how many events may be undelivered before producers wait, so that there is
	// always a backlog to be killed with, and never one that takes minutes to drain.
	ahead = 400
	// badShare is the part of events that picky receivers refuse.
	badShare = 0.02
)

// load submits events to any of several APIs until it is paused. What got no answer, or
// a 503, is submitted again as it is, wherever, until it is acknowledged.
type load struct {
	apis  []devtest.Client
	tally *tally

	mu      sync.Mutex
	some    sync.Cond
	running bool
	busy    int // producers with a request under way
	ended   bool
	failed  error // an answer that must not be
}

// startLoad starts so many producers, which wait to be resumed.
func startLoad(t *testing.T, tally *tally, producers int, apis ...devtest.Client) *load {
	l := &load{apis: apis, tally: tally}
	l.some.L = &l.mu
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for n := range producers {
		wg.Go(func() { l.produce(ctx, fmt.Sprintf("p%dk", n)) })
	}
	t.Cleanup(func() {
		cancel()
		l.mu.Lock()
		l.ended = true
		l.some.Broadcast()
		l.mu.Unlock()
		wg.Wait()
	})
	return l
}

// resume lets producers submit.
func (l *load) resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = true
	l.some.Broadcast()
}

// hold lets them begin no more requests; those under way are still repeated.
func (l *load) hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = false
}

// pause holds them, and returns when everything submitted is acknowledged.
func (l *load) pause(t *testing.T) {
	t.Helper()
	l.hold()
	devtest.Until(t, "everything submitted to be acknowledged", func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.failed != nil {
			t.Fatal(l.failed)
		}
		if l.busy > 0 {
			return fmt.Errorf("%d requests are under way", l.busy)
		}
		return nil
	})
}

// turn waits until the load runs and few enough events are undelivered; false at the end.
func (l *load) turn(ctx context.Context) bool {
	for {
		l.mu.Lock()
		for !l.running && !l.ended {
			l.some.Wait()
		}
		if l.ended {
			l.mu.Unlock()
			return false
		}
		l.busy++
		l.mu.Unlock()
		waiting, changed := watch(l.tally, l.tally.backlog)
		if waiting < ahead {
			return true
		}
		l.done()
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

func (l *load) done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy--
}

// backlog is the largest number of events that a prompt webhook still waits for.
func (t *tally) backlog() (n int) {
	for _, a := range t.webhooks {
		if a.spec.prompt() {
			n = max(n, a.missing)
		}
	}
	return n
}

// produce submits requests one after the other.
func (l *load) produce(ctx context.Context, name string) {
	for number := 1; l.turn(ctx); {
		events := make([]event, 1)
		if rand.IntN(3) == 0 {
			events = make([]event, 2+rand.IntN(15))
		}
		for i := range events {
			events[i] = event{key: fmt.Sprint(name, rand.IntN(keys)), number: number, bad: rand.Float64() < badShare}
			number++
		}
		err := l.submit(ctx, events)
		if err == nil {
			l.tally.ack(events)
		}
		l.done()
		if err != nil {
			if ctx.Err() == nil {
				l.mu.Lock()
				l.failed = err
				l.mu.Unlock()
			}
			return
		}
	}
}

// submit sends events until they are acknowledged.
func (l *load) submit(ctx context.Context, events []event) error {
	body := requestBody(events)
	tick := time.NewTicker(25 * time.Millisecond) // between tries: what is down comes back
	defer tick.Stop()
	for try := rand.IntN(len(l.apis)); ; try++ {
		status, answer, err := l.apis[try%len(l.apis)].Do(http.MethodPost, "/v1/events", body)
		switch {
		case err != nil || status == http.StatusServiceUnavailable:
		case status == http.StatusAccepted:
			return l.count(answer, len(events))
		default:
			return fmt.Errorf("an API answers %d: %s", status, answer)
		}
		l.tally.mu.Lock()
		l.tally.retried++
		if status == http.StatusServiceUnavailable {
			l.tally.refused++
		}
		l.tally.mu.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// count checks what a 202 says: each event is new or known, and known ones are the same.
func (l *load) count(answer []byte, events int) error {
	var said struct{ Accepted, Duplicates, Conflicts int }
	if err := json.Unmarshal(answer, &said); err != nil {
		return fmt.Errorf("an API answers 202 with %s: %w", answer, err)
	}
	if said.Accepted+said.Duplicates != events || said.Conflicts != 0 {
		return fmt.Errorf("an API answers %s to %d events", answer, events)
	}
	l.tally.mu.Lock()
	defer l.tally.mu.Unlock()
	l.tally.resubmitted += said.Duplicates
	return nil
}

func requestBody(events []event) map[string]any {
	all := make([]map[string]any, len(events))
	for i, e := range events {
		all[i] = map[string]any{"id": e.id(), "source": "/chaos", "type": "custom.chaos", "severity": "high", "subject": e.key, "title": "Event " + e.id()}
	}
	return map[string]any{"events": all}
}
