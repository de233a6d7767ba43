package integrationtest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// table is what each status means, whatever the channel.
func table() map[int]Outcome {
	out := map[int]Outcome{
		400: {tocsin.FaultEvent, false}, 413: {tocsin.FaultEvent, false}, 422: {tocsin.FaultEvent, false},
		401: {tocsin.FaultWebhook, false}, 402: {tocsin.FaultWebhook, false}, 403: {tocsin.FaultWebhook, false},
		404: {tocsin.FaultWebhook, false}, 405: {tocsin.FaultWebhook, false}, 406: {tocsin.FaultWebhook, false},
		415: {tocsin.FaultWebhook, false}, 418: {tocsin.FaultWebhook, false}, 451: {tocsin.FaultWebhook, false},
		410: {tocsin.FaultGone, false},
		408: {tocsin.FaultRetry, false}, 409: {tocsin.FaultRetry, false}, 421: {tocsin.FaultRetry, false},
		423: {tocsin.FaultRetry, false}, 424: {tocsin.FaultRetry, false}, 425: {tocsin.FaultRetry, false}, 429: {tocsin.FaultRetry, false},
	}
	for _, status := range []int{300, 301, 302, 303, 304, 307, 308} {
		out[status] = Outcome{tocsin.FaultWebhook, false}
	}
	for _, status := range []int{500, 501, 502, 503, 504, 507, 520, 529, 599} {
		out[status] = Outcome{tocsin.FaultRetry, true}
	}
	return out
}

func testStatuses(t *testing.T, s Spec) {
	rows := table()
	for status, want := range s.Statuses {
		rows[status] = want
	}
	c := client(t, 0)
	accepting := s.serve(s.yes)
	defer accepting.Close()
	if _, err := s.open(t, c, accepting.URL).Send(bg(t), one(t)); err != nil {
		t.Fatalf("the vendor's yes: %v", err)
	}
	for status, want := range rows {
		server := s.serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		receipt, err := s.open(t, c, server.URL).Send(bg(t), one(t))
		server.Close()
		if got := outcome(err); got != want {
			t.Errorf("status %d: got %+v, want %+v (%v)", status, got, want, err)
		}
		if want.Fault != "" && classOf(err) != post.ClassStatus {
			t.Errorf("status %d: class %q, want %q", status, classOf(err), post.ClassStatus)
		}
		if n := len(receipt.Exchanges); n == 0 || receipt.Exchanges[n-1].Status != status {
			t.Errorf("status %d: not in the exchanges", status)
		}
	}
}

func testRetryAfter(t *testing.T, s Spec) {
	now := time.Now().UTC()
	date := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for _, row := range []struct {
		header string
		want   time.Duration
		within time.Duration // a date has whole seconds, and time passes
	}{
		{"", 0, 0}, {"0", 0, 0}, {"7", 7 * time.Second, 0}, {" 120 ", 2 * time.Minute, 0}, {"604800", 168 * time.Hour, 0},
		{date(90 * time.Minute), 90 * time.Minute, 5 * time.Second}, {date(-time.Hour), 0, 0},
		{"soon", 0, 0}, {"-5", 0, 0}, {"1.5", 0, 0}, {"99999999999999999999", 0, 0}, {"9223372036854775807", 0, 0},
		{"2", 2 * time.Second, 0}, {"+5", 0, 0}, {"0x10", 0, 0}, {"1e3", 0, 0}, {"２", 0, 0}, {"5, 10", 0, 0}, {"-18446744073", 0, 0},
		{strings.Repeat("9", 4000), 0, 0}, {"Mon, 99 Foo 2026 25:61:61 GMT", 0, 0}, {"NaN", 0, 0}, {"Infinity", 0, 0}, {"604801", 0, 0},
		{"315360000", 0, 0}, {date(10 * 365 * 24 * time.Hour), 0, 0}, {"604801", 0, 0},
	} {
		for _, status := range []int{429, 503} {
			server := s.serve(func(w http.ResponseWriter, _ *http.Request) {
				if row.header != "" {
					w.Header().Set("Retry-After", row.header)
				}
				w.WriteHeader(status)
			})
			_, err := s.open(t, client(t, 0), server.URL).Send(bg(t), one(t))
			server.Close()
			want := row.want
			if status == http.StatusTooManyRequests && want == 0 {
				want = s.Patience
			}
			if got := tocsin.Classify(err).After; got > want || got < want-row.within {
				t.Errorf("%d with Retry-After %q: got %s, want %s", status, row.header, got, want)
			}
		}
	}
}

func testRedirects(t *testing.T, s Spec) {
	var followed atomic.Int32
	other := s.serve(func(w http.ResponseWriter, r *http.Request) {
		followed.Add(1)
		s.yes(w, r)
	})
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := s.serve(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", other.URL)
			w.WriteHeader(status)
		})
		_, err := s.open(t, client(t, 0), server.URL).Send(bg(t), one(t))
		server.Close()
		if got := outcome(err); got.Fault != tocsin.FaultWebhook {
			t.Errorf("%d: got %+v, want a refusal (%v)", status, got, err)
		}
	}
	if n := followed.Load(); n > 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

func testTimeout(t *testing.T, s Spec) {
	server := s.serve(func(_ http.ResponseWriter, r *http.Request) { hang(r) })
	defer server.Close()
	_, err := s.open(t, client(t, 100*time.Millisecond), server.URL).Send(bg(t), one(t))
	if got, want := outcome(err), (Outcome{tocsin.FaultRetry, true}); got != want || classOf(err) != post.ClassTimeout {
		t.Errorf("got %+v of class %q, want %+v of class timeout (%v)", got, classOf(err), want, err)
	}
}

// hang waits until the sender is gone, which a server notices only once it has read
// the body.
func hang(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func testCancelled(t *testing.T, s Spec) {
	ctx, cancel := context.WithCancel(t.Context())
	server := s.serve(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		hang(r)
	})
	defer server.Close()
	o := s.open(t, client(t, 0), server.URL)
	_, err := o.Send(ctx, one(t))
	if got, want := outcome(err), (Outcome{tocsin.FaultRetry, true}); got != want {
		t.Errorf("cancelled while waiting: got %+v, want %+v (%v)", got, want, err)
	}
	if ctx.Err() == nil {
		t.Error("the send returned before its context was cancelled")
	}
	if _, err = o.Send(ctx, one(t)); err == nil || tocsin.Classify(err).Fault != tocsin.FaultRetry {
		t.Errorf("with a context that is over: got %v, want something to retry", err)
	}
}

func testLostConnections(t *testing.T, s Spec) {
	dropping := s.serve(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.Close() // the loss is what is tested
		}
	})
	defer dropping.Close()
	_, err := s.open(t, client(t, 0), dropping.URL).Send(bg(t), one(t))
	if got, want := outcome(err), (Outcome{tocsin.FaultRetry, true}); got != want || classOf(err) != post.ClassReset {
		t.Errorf("lost: got %+v of class %q, want %+v of class reset (%v)", got, classOf(err), want, err)
	}
}

// testRefused sends to a port where nobody listens any more.
func testRefused(t *testing.T, s Spec) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = s.open(t, client(t, 0), strings.TrimSuffix(s.somewhere(), "127.0.0.1:1")+addr).Send(bg(t), one(t))
	if got, want := outcome(err), (Outcome{tocsin.FaultRetry, false}); got != want || classOf(err) != post.ClassConnect {
		t.Errorf("refused: got %+v of class %q, want %+v of class connect (%v)", got, classOf(err), want, err)
	}
}

func testEgress(t *testing.T, s Spec) {
	server := accepting(t, s)
	strict := post.New(post.Options{})
	defer strict.Close()
	o := s.open(t, strict, server.URL)
	if err := o.Validate(bg(t), o.config); tocsin.CodeOf(err) != tocsin.CodeInvalid {
		t.Errorf("Validate of a loopback address: got %v, want invalid", err)
	}
	_, err := o.Send(bg(t), one(t))
	if got := outcome(err); got.Fault != tocsin.FaultWebhook || classOf(err) != post.ClassEgress || len(server.received()) != 0 {
		t.Errorf("Send to a loopback address: got %+v of class %q and %d hits (%v)", got, classOf(err), len(server.received()), err)
	}
}

func testNoEvents(t *testing.T, s Spec) {
	server := accepting(t, s)
	if _, err := s.open(t, client(t, 0), server.URL).Send(bg(t), Notify()); err == nil || len(server.received()) != 0 {
		t.Errorf("got %v and %d requests, want an error and none", err, len(server.received()))
	}
}

// connections counts a server's connections.
type connections struct {
	opened, closed atomic.Int32
	changed        chan struct{}
}

func (c *connections) state(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		c.opened.Add(1)
	case http.StateClosed, http.StateHijacked:
		c.closed.Add(1)
	}
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func testBodiesClosed(t *testing.T, s Spec) {
	for _, answer := range []http.HandlerFunc{s.yes, refuse(400), refuse(429), refuse(503)} {
		count := &connections{changed: make(chan struct{}, 1)}
		server := httptest.NewUnstartedServer(s.before(answer))
		server.Config.ConnState = count.state
		server.Start()
		c := client(t, 0)
		o := s.open(t, c, server.URL)
		for range 5 {
			_, _ = o.Send(bg(t), one(t)) // the connections are what counts
		}
		// Each body that is not read and closed costs a connection. One more is the machine's:
		// net/http gives up a connection whose request took it more than 50 ms to write.
		if n := count.opened.Load(); n > 2 {
			t.Errorf("5 sends opened %d connections, want 1 or 2: a body was not read and closed", n)
		}
		c.Close()
		for count.closed.Load() < count.opened.Load() {
			select {
			case <-count.changed:
			case <-bg(t).Done():
				t.Fatalf("%d of %d connections were never closed", count.opened.Load()-count.closed.Load(), count.opened.Load())
			}
		}
		server.Close()
	}
}

// refuse answers a status with a body larger than what is kept.
func refuse(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		for range 40 {
			fmt.Fprintf(w, "%01024d", 0)
		}
	}
}

func testEndlessBody(t *testing.T, s Spec) {
	server := s.serve(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := fmt.Fprintf(w, "%065536d", 0); err != nil {
				return
			}
		}
	})
	defer server.Close()
	receipt, _ := s.open(t, client(t, 0), server.URL).Send(bg(t), one(t)) // its end is what is tested
	for _, x := range receipt.Exchanges {
		if len(x.ResponseBody) > tocsin.MaxResponseKept {
			t.Errorf("kept %d bytes of the answer, at most %d", len(x.ResponseBody), tocsin.MaxResponseKept)
		}
	}
}
