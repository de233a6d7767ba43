package devtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Received is one request that a Receiver got.
type Received struct {
	Path string // "/w" for URL("w")
	At   time.Time
	// WebhookID is the header of that name: the delivery's id.
	WebhookID string
	// Events are the ids of the events in the body; none in a threat payload.
	Events []string
	Header http.Header
	Body   []byte
	// Status is what was answered.
	Status int
}

// Receiver is an HTTP server that records what it gets. It answers 200 until told to
// fail.
type Receiver struct {
	t      testing.TB
	server *httptest.Server

	mu     sync.Mutex
	all    []Received
	status int
	header http.Header
	gate   chan struct{} // requests wait for it when not nil
}

// NewReceiver starts a receiver on loopback that ends with the test.
func NewReceiver(t testing.TB) *Receiver {
	t.Helper()
	r := &Receiver{t: t, status: http.StatusOK}
	r.server = httptest.NewServer(http.HandlerFunc(r.receive))
	t.Cleanup(func() {
		r.Release()
		r.server.Close()
	})
	return r
}

// URL is an address of the receiver; path tells webhooks apart.
func (r *Receiver) URL(path string) string { return r.server.URL + "/" + path }

func (r *Receiver) receive(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the sender was killed halfway: not received
	}
	got := Received{Path: req.URL.Path, At: time.Now(), WebhookID: req.Header.Get("webhook-id"), Events: eventIDs(body), Header: req.Header, Body: body}
	r.mu.Lock()
	got.Status = r.status
	header, gate := r.header, r.gate
	r.all = append(r.all, got)
	r.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-req.Context().Done():
			return
		}
	}
	for name, values := range header {
		w.Header()[name] = values
	}
	w.WriteHeader(got.Status)
}

func eventIDs(body []byte) []string {
	var b struct {
		Data struct {
			Alerts []struct {
				ID string `json:"id"`
			} `json:"alerts"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &b) != nil {
		return nil
	}
	var ids []string
	for _, a := range b.Data.Alerts {
		ids = append(ids, a.ID)
	}
	return ids
}

// Fail answers with status, and these headers ("Retry-After", "7"), from now on.
func (r *Receiver) Fail(status int, header ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status, r.header = status, http.Header{}
	for n := 0; n+1 < len(header); n += 2 {
		r.header.Set(header[n], header[n+1])
	}
}

// Recover answers 200 from now on.
func (r *Receiver) Recover() { r.Fail(http.StatusOK) }

// Hold takes requests and leaves them without an answer until Release: for killing a
// process between sending and recording.
func (r *Receiver) Hold() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gate == nil {
		r.gate = make(chan struct{})
	}
}

// Release answers what was held.
func (r *Receiver) Release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gate != nil {
		close(r.gate)
		r.gate = nil
	}
}

// All returns everything received, in order.
func (r *Receiver) All() []Received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Received(nil), r.all...)
}

// MustCount waits until at least n requests came.
func (r *Receiver) MustCount(n int) []Received {
	r.t.Helper()
	var all []Received
	Until(r.t, fmt.Sprintf("%d requests", n), func() error {
		if all = r.All(); len(all) < n {
			return fmt.Errorf("%d came", len(all))
		}
		return nil
	})
	return all
}

// Delivered returns how often each event was in a request that was answered with
// success.
func (r *Receiver) Delivered() map[string]int {
	times := map[string]int{}
	for _, got := range r.All() {
		if got.Status >= 300 {
			continue
		}
		for _, id := range got.Events {
			times[id]++
		}
	}
	return times
}

// MustGet waits until every one of these events was delivered.
func (r *Receiver) MustGet(ids ...string) {
	r.t.Helper()
	Until(r.t, fmt.Sprintf("%d events", len(ids)), func() error {
		have := r.Delivered()
		var missing []string
		for _, id := range ids {
			if have[id] == 0 {
				missing = append(missing, id)
			}
		}
		if len(missing) == 0 {
			return nil
		}
		return fmt.Errorf("%d of %d are missing: %s", len(missing), len(ids), strings.Join(missing[:min(5, len(missing))], ", "))
	})
}

// MustKeepIDs fails the test when an event came under two webhook-ids at one path: a
// delivery keeps its id whatever happens.
func (r *Receiver) MustKeepIDs() {
	r.t.Helper()
	first := map[[2]string]string{}
	for _, got := range r.All() {
		for _, id := range got.Events {
			key := [2]string{got.Path, id}
			if known, ok := first[key]; ok && known != got.WebhookID {
				r.t.Errorf("event %s came to %s as %s and as %s", id, got.Path, known, got.WebhookID)
			}
			first[key] = got.WebhookID
		}
	}
}
