package app

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are in memory, so that they keep the time of a
// test's bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// dial serves handler as the app would and returns a connection to it. Run it in a bubble.
func dial(t *testing.T, handler http.Handler) net.Conn {
	t.Helper()
	p := &pipes{make(chan net.Conn), make(chan struct{})}
	server := newServer(handler, slog.New(slog.DiscardHandler))
	go func() {
		if err := server.Serve(p); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serving: %v", err)
		}
	}()
	client, conn := net.Pipe()
	p.conns <- conn
	t.Cleanup(func() {
		client.Close()
		if err := server.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("shutting down: %v", err)
		}
	})
	return client
}

// drip writes text byte by byte, one a second, until the other side has had enough, and
// returns how long that took.
func drip(conn net.Conn, text string) time.Duration {
	start := time.Now()
	for i := 0; ; i++ {
		if _, err := conn.Write([]byte{text[i%len(text)]}); err != nil {
			return time.Since(start)
		}
		time.Sleep(time.Second)
	}
}

var nothing = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })

func TestAClientThatDripsItsHeadersIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := dial(t, nothing)
		go func() { _, _ = io.Copy(io.Discard, conn) }()
		if _, err := io.WriteString(conn, "GET /v1/webhooks HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
			t.Fatal(err)
		}
		if got := drip(conn, "a"); got > readHeaderTimeout+time.Second {
			t.Errorf("cut after %s, want %s", got, readHeaderTimeout)
		}
	})
}

func TestAClientThatDripsItsBodyIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := dial(t, nothing)
		go func() { _, _ = io.Copy(io.Discard, conn) }()
		if _, err := io.WriteString(conn, "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if got := drip(conn, "a"); got > readTimeout+2*time.Second {
			t.Errorf("cut after %s, want %s", got, readTimeout)
		}
	})
}

func TestAClientThatReadsNothingIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ended := make(chan time.Duration, 1)
		conn := dial(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			big := make([]byte, 1<<20)
			for {
				if _, err := w.Write(big); err != nil {
					ended <- time.Since(start)
					return
				}
			}
		}))
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if got := <-ended; got > writeTimeout+time.Second {
			t.Errorf("the handler was held for %s, want %s", got, writeTimeout)
		}
	})
}

func TestAnIdleConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := dial(t, nothing)
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(conn)
		if _, err := http.ReadResponse(in, nil); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("got %v, want the end", err)
		}
		if got := time.Since(start); got > idleTimeout+time.Second {
			t.Errorf("closed after %s, want %s", got, idleTimeout)
		}
	})
}

func TestHeadersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := dial(t, nothing)
		go func() {
			// The server answers before it has read all of it.
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("a", maxHeaderBytes+8192)+"\r\n\r\n")
		}()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("got %d, want 431", resp.StatusCode)
		}
	})
}

func TestOddPathsAreNotRedirectedToHandlers(t *testing.T) {
	says := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
	}
	h := beside(says("rest"), map[string]http.Handler{"GET /{$}": says("root"), "/console/": says("console")})
	for path, want := range map[string]string{
		"/": "root", "/console/": "console", "/console/webhooks": "console", "/v1/events": "rest",
		"//": "rest", "///": "rest", "/v1/..": "rest", "/v1/../console/": "rest", "//console/": "rest", "/console/../v1/events": "rest",
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "http://tocsin.example/", nil)
		r.URL.Path = path
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Body.String(); got != want {
			t.Errorf("GET %s: got %d %q, want %q", path, w.Code, got, want)
		}
	}
}
