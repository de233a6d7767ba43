package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// receiver is what webhooks deliver to. It counts the events of each path, each once, and
// what comes again apart from that.
type receiver struct {
	server  *http.Server
	address string

	delay   atomic.Int64  // nanoseconds until it answers
	every   atomic.Uint64 // of so many deliveries one is answered with 503; 0 is none
	down    atomic.Bool   // answers 503 to all
	counter atomic.Uint64

	arrived    atomic.Int64 // events, of all paths, each once
	deliveries atomic.Int64
	again      atomic.Int64 // events that had come before
	last       atomic.Int64 // when one came, in microseconds since 1970
	latency    recorder     // since due, of paths without a recorder

	mu    sync.Mutex
	paths []*path
	err   error // the first request that made no sense
}

// path is one webhook's.
type path struct {
	mu     sync.Mutex
	base   uint64   // the number of its first event
	seen   []uint64 // a bit for each event
	events int
	record *recorder // nil keeps no latency
	err    error
}

// newReceiver listens on loopback, for so many webhooks.
func newReceiver(paths int) (*receiver, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for deliveries: %w", err)
	}
	r := &receiver{address: l.Addr().String()}
	for range paths {
		r.paths = append(r.paths, &path{record: &r.latency})
	}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	go func() { _ = r.server.Serve(l) }() // until close
	return r, nil
}

func (r *receiver) close() { _ = r.server.Close() }

// url is where path n is.
func (r *receiver) url(n int) string { return fmt.Sprintf("http://%s/w/%d", r.address, n) }

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body := bodies.Get().(*bytes.Buffer)
	defer bodies.Put(body)
	body.Reset()
	if _, err := io.Copy(body, req.Body); err != nil {
		return // the sender went away
	}
	if d := r.delay.Load(); d > 0 {
		time.Sleep(time.Duration(d))
	}
	every := r.every.Load()
	if r.down.Load() || every > 0 && r.counter.Add(1)%every == 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if err := r.count(req.URL.Path, body.Bytes()); err != nil {
		r.mu.Lock()
		r.err = errors.Join(r.err, err)
		r.mu.Unlock()
		w.WriteHeader(http.StatusInternalServerError)
	}
}

func (r *receiver) count(at string, body []byte) error {
	text, _ := strings.CutPrefix(at, "/w/")
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n >= len(r.paths) {
		return fmt.Errorf("a delivery came to %s", at)
	}
	now := time.Now().UnixMicro()
	events, fresh, err := r.paths[n].count(body, now)
	if err == nil && events == 0 {
		err = fmt.Errorf("a delivery without events came to %s: %.200s", at, body)
	}
	r.deliveries.Add(1)
	r.again.Add(int64(events - fresh))
	r.last.Store(now)
	r.arrived.Add(int64(fresh))
	return err
}

// count counts the events of a body that came now, and how many are new.
func (p *path) count(body []byte, now int64) (events, fresh int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	err = scanIDs(body, func(seq uint64, due int64) {
		events++
		if seq < p.base {
			seq, p.err = p.base, errors.Join(p.err, fmt.Errorf("event %d came to a webhook that does not want it", seq))
		}
		seq -= p.base
		word := int(seq / 64) // #nosec G115 -- ten digits
		for len(p.seen) <= word {
			p.seen = append(p.seen, 0)
		}
		if bit := uint64(1) << (seq % 64); p.seen[word]&bit == 0 {
			p.seen[word] |= bit
			fresh++
			if p.record != nil {
				p.record.add(time.Duration(now-due) * time.Microsecond)
			}
		}
	})
	p.events += fresh
	return events, fresh, errors.Join(err, p.err)
}

// has reports whether an event came to path n.
func (r *receiver) has(n int, seq uint64) bool {
	p := r.paths[n]
	p.mu.Lock()
	defer p.mu.Unlock()
	seq -= p.base
	word := int(seq / 64) // #nosec G115 -- ten digits
	return word < len(p.seen) && p.seen[word]&(1<<(seq%64)) != 0
}

// patience is how long nothing may arrive while something is missing: longer than any
// backoff that a part provokes, and than the sweeper's interval of 30 s with its grace.
const patience = 90 * time.Second

// await waits until so many events arrived in all. Nothing coming for a long time is an
// error.
func (r *receiver) await(ctx context.Context, events int64) error {
	return r.until(ctx, events, r.arrived.Load)
}

// awaitPath waits until so many events arrived at path n.
func (r *receiver) awaitPath(ctx context.Context, n, events int) error {
	return r.until(ctx, int64(events), func() int64 { return int64(r.paths[n].arrived()) })
}

// arrived is how many events came, each once.
func (p *path) arrived() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.events
}

func (r *receiver) until(ctx context.Context, events int64, arrived func() int64) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	seen, since := int64(-1), time.Now()
	for {
		n := arrived()
		if err := r.failure(); err != nil || n >= events {
			return err
		}
		if n != seen {
			seen, since = n, time.Now()
		}
		if time.Since(since) > patience {
			return fmt.Errorf("LOST: of %d events %d arrived, and nothing came for %v", events, n, patience)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (r *receiver) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// complete checks that exactly these events, numbered from first to last, came to a path.
func (r *receiver) complete(n int, first, last uint64) error {
	for seq := first; seq < last; seq++ {
		if !r.has(n, seq) {
			return fmt.Errorf("LOST: event %d was acknowledged and did not arrive at %s", seq, r.url(n))
		}
	}
	return nil
}

// lastArrival is when the latest event came.
func (r *receiver) lastArrival() time.Time { return time.UnixMicro(r.last.Load()) }
