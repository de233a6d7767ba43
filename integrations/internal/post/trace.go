package post

import (
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"sync"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// The steps of a request, for error texts and classes; see [Lost].
const (
	StepLookup  = "looking up the host"
	StepConnect = "connecting"
	StepTLS     = "TLS handshake"
	StepAnswer  = "waiting for the answer"
)

// tracer takes the timings of one request. Its hooks may be called by a dial that
// outlives the request, so it locks.
type tracer struct {
	mu      sync.Mutex
	began   time.Time
	at      string // the step in progress
	gotConn bool
	remote  string
	timings tocsin.Timings
}

func newTracer() *tracer { return &tracer{began: time.Now(), at: StepLookup} }

// attach returns ctx with the hooks.
func (t *tracer) attach(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSDone:           func(httptrace.DNSDoneInfo) { t.mark(&t.timings.DNS) },
		ConnectStart:      func(string, string) { t.begin(StepConnect) },
		ConnectDone:       func(string, string, error) { t.mark(&t.timings.Connect) },
		TLSHandshakeStart: func() { t.begin(StepTLS) },
		TLSHandshakeDone:  func(tls.ConnectionState, error) { t.mark(&t.timings.TLS) },
		GotConn: func(i httptrace.GotConnInfo) {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.at, t.gotConn, t.remote = StepAnswer, true, i.Conn.RemoteAddr().String()
		},
		GotFirstResponseByte: func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.timings.FirstByte = milliseconds(time.Since(t.began))
		},
	})
}

// begin notes a step of the dial. Once the request has a connection, a dial still
// going on is for another request.
func (t *tracer) begin(step string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.gotConn {
		t.at = step
	}
}

// mark notes when a step of the dial ended.
func (t *tracer) mark(into *float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.gotConn {
		*into = milliseconds(time.Since(t.began))
	}
}

// step is the step the request was in when it ended.
func (t *tracer) step() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.at
}

// sent reports whether a connection was handed to the request, and so bytes of it may
// have left.
func (t *tracer) sent() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.gotConn
}

// finish writes what was seen into x.
func (t *tracer) finish(x *tocsin.Exchange) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timings.Total = milliseconds(time.Since(t.began))
	x.Timings, x.RemoteAddr = t.timings, t.remote
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}
