package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// load is what the generator sends. Each connection sends one request after the other;
// without a rate as fast as it is answered (closed loop), with one when each is due,
// whether or not those before were answered in time (open loop): an event's latency counts
// from when it was due.
type load struct {
	connections int
	perRequest  int
	rate        float64 // events per second; 0 is a closed loop
	duration    time.Duration
	most        int             // events; 0 is as many as fit in duration
	stop        <-chan struct{} // closed to end before duration; nil is never
}

// sent is what became of it. All events numbered from first up to, but not including, last
// were acknowledged.
type sent struct {
	first, last uint64
	began       time.Time
	elapsed     time.Duration // until the last answer
	answers     percentiles   // time from request to answer
	late        percentiles   // how late requests were sent, in an open loop
	refused     int64         // answers 503, after which the request was sent again
}

func (s sent) events() int { return int(s.last - s.first) } // #nosec G115 -- counted, not computed

// rate is events acknowledged per second.
func (s sent) rate() float64 { return float64(s.events()) / s.elapsed.Seconds() }

// generator sends to one API. Events are numbered through all its loads.
type generator struct {
	target    *url.URL
	header    http.Header
	transport *http.Transport
	next      uint64 // the number of the next event; changed between loads only
	accept    int    // the status that acknowledges

	collection string                  // of its events
	pick       func(seq uint64) string // the same by an event's number, one in each request; nil for all alike
}

func newGenerator(target, key string, connections int) (*generator, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("reading the API's URL: %w", err)
	}
	header := http.Header{"Content-Type": {"application/json"}, "User-Agent": {"tocsin-bench"}}
	if key != "" {
		header.Set("Authorization", "Bearer "+key)
	}
	return &generator{target: u, header: header, accept: http.StatusAccepted, collection: collection,
		transport: &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}}, nil
}

func (g *generator) close() { g.transport.CloseIdleConnections() }

// turn is the requests of one run.
type turn struct {
	*generator
	load
	began         time.Time
	taken         atomic.Uint64 // requests
	refused       atomic.Int64
	answers, late recorder
}

// run sends until the duration is over and everything sent is answered.
func (g *generator) run(ctx context.Context, l load) (sent, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t := &turn{generator: g, load: l, began: time.Now()}
	var wg sync.WaitGroup
	for range l.connections {
		wg.Go(func() {
			if err := t.connection(ctx); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	s := sent{first: g.next, last: g.next + t.taken.Load()*uint64(l.perRequest), began: t.began, elapsed: time.Since(t.began), // #nosec G115 -- positive
		answers: t.answers.take(), late: t.late.take(), refused: t.refused.Load()}
	g.next = s.last
	if err := context.Cause(ctx); err != nil {
		return s, fmt.Errorf("sending events: %w", err)
	}
	return s, nil
}

// connection sends one request after the other.
func (t *turn) connection(ctx context.Context) error {
	var body []byte
	for ctx.Err() == nil {
		n, due, ok := t.take()
		if !ok {
			return nil
		}
		if t.rate > 0 {
			if !sleepUntil(ctx, due) {
				return ctx.Err()
			}
			t.late.add(time.Since(due))
		}
		seq, collection := t.next+n*uint64(t.perRequest), t.collection // #nosec G115 -- positive
		if t.pick != nil {
			collection = t.pick(seq)
		}
		body = appendRequest(body[:0], collection, seq, t.perRequest, due.UnixMicro())
		began := time.Now()
		if err := t.insist(ctx, body); err != nil {
			return err
		}
		t.answers.add(time.Since(began))
	}
	return ctx.Err()
}

// take returns the number of the next request and when it is due; not ok when there is
// none.
func (t *turn) take() (n uint64, due time.Time, ok bool) {
	for {
		n = t.taken.Load()
		select {
		case <-t.stop:
			return 0, due, false
		default:
		}
		if due = t.due(n); due.Sub(t.began) >= t.duration || t.most > 0 && n*uint64(t.perRequest) >= uint64(t.most) { // #nosec G115 -- positive
			return 0, due, false
		}
		if t.taken.CompareAndSwap(n, n+1) {
			return n, due, true
		}
	}
}

// due is when request n is: now in a closed loop.
func (t *turn) due(n uint64) time.Time {
	if t.rate == 0 {
		return time.Now()
	}
	return t.began.Add(time.Duration(float64(n) * float64(t.perRequest) / t.rate * float64(time.Second)))
}

func sleepUntil(ctx context.Context, at time.Time) bool {
	wait := time.Until(at)
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// refusedWait is how long a connection waits after a 503: short, so that a full queue is
// used as soon as it has room.
const refusedWait = 20 * time.Millisecond

// insist sends a request until it is acknowledged. Only 503 is worth another try.
func (t *turn) insist(ctx context.Context, body []byte) error {
	for {
		status, answer, err := t.post(ctx, body)
		switch {
		case err != nil:
			return err
		case status == t.accept:
			return nil
		case status != http.StatusServiceUnavailable:
			return fmt.Errorf("the answer is %d: %s", status, answer)
		}
		t.refused.Add(1)
		if !sleepUntil(ctx, time.Now().Add(refusedWait)) {
			return ctx.Err()
		}
	}
}

// post sends a request. It uses the transport itself: redirects and cookies are not
// wanted. What of the answer is not wanted is read, so that the connection is used again.
func (g *generator) post(ctx context.Context, body []byte) (status int, answer string, err error) {
	req := (&http.Request{Method: http.MethodPost, URL: g.target, Host: g.target.Host, Header: g.header,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
	resp, err := g.transport.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode == g.accept {
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, "", err
	}
	var text strings.Builder
	_, err = io.Copy(&text, io.LimitReader(resp.Body, 4<<10))
	return resp.StatusCode, text.String(), err
}
