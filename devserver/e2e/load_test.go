package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin/devserver/devtest"
)

// answerWithin is how long a producer waits for an answer, whatever is broken.
const answerWithin = 20 * time.Second

// impatient is a producer's HTTP client: no answer is a failure.
var impatient = &http.Client{Timeout: answerWithin}

// load is a crowd of producers. Each sends a batch of events again and again until it is
// acknowledged, then the next one. Anything but 202 and a clean 503 is a failure.
type load struct {
	t    *testing.T
	c    devtest.Client
	size int // of a batch
	stop chan struct{}
	done sync.WaitGroup

	mu      sync.Mutex
	acked   []string
	sent    map[string]map[string]any // what was acknowledged, by id
	refused int
	slowest time.Duration
}

// startLoad starts producers that send batches of size events to an API.
func startLoad(t *testing.T, c devtest.Client, producers, size int) *load {
	t.Helper()
	l := &load{t: t, c: c, size: size, stop: make(chan struct{}), sent: map[string]map[string]any{}}
	for range producers {
		l.done.Go(l.produce)
	}
	t.Cleanup(func() { l.end() })
	return l
}

func (l *load) produce() {
	// A pace that leaves two cores time for the rest.
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for {
		events := devtest.Events("custom.test", l.size)
		for !l.send(events) {
			select {
			case <-pace.C:
			case <-l.t.Context().Done():
				return // the test is over: what is refused stays so
			}
		}
		select {
		case <-pace.C:
		case <-l.stop:
			return
		}
	}
}

// send submits a batch and reports whether it was acknowledged.
func (l *load) send(events []map[string]any) bool {
	body, err := json.Marshal(map[string]any{"events": events})
	if err != nil {
		l.t.Error(err)
		return true
	}
	began := time.Now()
	got, err := request(http.MethodPost, l.c, "/v1/events", body)
	took := time.Since(began)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, took)
	switch {
	case err != nil:
		l.t.Errorf("a producer got no answer: %v", err)
	case got.status == http.StatusAccepted:
		for _, e := range events {
			id := fmt.Sprint(e["id"])
			l.acked, l.sent[id] = append(l.acked, id), e
		}
		return true
	default:
		l.refused++
		got.mustRefuse(l.t)
	}
	return false
}

// counts returns how many events were acknowledged and how many requests refused so far.
func (l *load) counts() (acked, refused int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked), l.refused
}

// mustGrow waits until n more events were acknowledged.
func (l *load) mustGrow(n int) {
	l.t.Helper()
	before, _ := l.counts()
	devtest.Until(l.t, fmt.Sprintf("%d more events to be acknowledged", n), func() error {
		if now, _ := l.counts(); now < before+n {
			return fmt.Errorf("%d were", now-before)
		}
		return nil
	})
}

// mustRefuseMore waits until n more requests were refused.
func (l *load) mustRefuseMore(n int) {
	l.t.Helper()
	_, before := l.counts()
	devtest.Until(l.t, fmt.Sprintf("%d more requests to be refused", n), func() error {
		if _, now := l.counts(); now < before+n {
			return fmt.Errorf("%d were", now-before)
		}
		return nil
	})
}

// end lets every producer finish its batch and returns the ids of all acknowledged
// events.
func (l *load) end() []string {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.done.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked
}

// answered is what an API said.
type answered struct {
	status int
	header http.Header
	body   []byte
}

// request makes one request of an impatient client.
func request(method string, c devtest.Client, path string, body []byte) (answered, error) {
	req, err := http.NewRequest(method, c.URL+path, bytes.NewReader(body))
	if err != nil {
		return answered{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.Key != "" {
		req.Header.Set("Authorization", "Bearer "+c.Key)
	}
	resp, err := impatient.Do(req)
	if err != nil {
		return answered{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answered{resp.StatusCode, resp.Header, text}, err
}

// mustRefuse checks that an answer is the clean 503: a problem document about the store,
// and when to come back.
func (a answered) mustRefuse(t *testing.T) {
	t.Helper()
	var problem struct{ Code, Detail string }
	err := json.Unmarshal(a.body, &problem)
	if a.status != http.StatusServiceUnavailable || a.header.Get("Content-Type") != "application/problem+json" ||
		a.header.Get("Retry-After") == "" || err != nil || problem.Code != "unavailable" || problem.Detail == "" {
		t.Errorf("answered %d %v: %s; want 503, problem+json with the code unavailable, Retry-After", a.status, a.header, a.body)
	}
}

// mustBeDown waits until a server says that it is not ready, with a clean 503, while it is
// alive.
func mustBeDown(t *testing.T, c devtest.Client) {
	t.Helper()
	devtest.Until(t, "the server not to be ready", func() error {
		ready, err := request(http.MethodGet, c, "/-/ready", nil)
		if err != nil {
			return err
		}
		if ready.status == http.StatusOK {
			return fmt.Errorf("it says it is ready")
		}
		ready.mustRefuse(t)
		return nil
	})
	alive, err := request(http.MethodGet, c, "/-/healthy", nil)
	if err != nil || alive.status != http.StatusOK {
		t.Errorf("healthy answers %d %s (%v)", alive.status, alive.body, err)
	}
}
