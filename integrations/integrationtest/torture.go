package integrationtest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// wire is a receiver below HTTP: it reads a request and answers bytes.
type wire struct {
	addr   string
	opened atomic.Int32
	sent   atomic.Int64 // bytes of answers taken by the network
}

// torture starts a receiver that answers every connection by hand. When the test ends,
// the client must have closed each of them.
func torture(t *testing.T, s Spec, answer func(w *wire, conn *net.TCPConn)) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{addr: "http://" + l.Addr().String()}
	var serving sync.WaitGroup
	var preludes atomic.Int32 // the first request of a sender, which keeps its token
	preludes.Store(1)
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // the test is over
			}
			serving.Go(func() {
				defer conn.Close() //nolint:errcheck // the client has closed it
				if s.Prelude != nil && preludes.Add(-1) >= 0 {
					s.answerPrelude(conn)
					return
				}
				w.opened.Add(1)
				answer(w, conn.(*net.TCPConn))
				// Until the client closes, too.
				_, _ = io.Copy(io.Discard, conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close() // nothing depends on how a listener closes
		done := make(chan struct{})
		go func() { serving.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(30 * time.Second):
			t.Errorf("a connection of %d was never closed by the client", w.opened.Load())
		}
	})
	return w
}

// answerPrelude answers one request, and closes.
func (s Spec) answerPrelude(conn net.Conn) {
	r, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	answer := httptest.NewRecorder()
	s.Prelude(answer, r)
	res := answer.Result()
	res.Close, res.ContentLength = true, int64(answer.Body.Len())
	_ = res.Write(conn) // a client that is gone is the test's to notice
}

// request reads one whole request.
func request(conn net.Conn) {
	r, err := http.ReadRequest(bufio.NewReader(conn))
	if err == nil {
		_, _ = io.Copy(io.Discard, r.Body) // what was sent is not what is tested
	}
}

// write answers text.
func (w *wire) write(conn net.Conn, text string) bool {
	n, err := io.WriteString(conn, text)
	w.sent.Add(int64(n))
	return err == nil
}

// drip answers a byte at a time, for ever.
func (w *wire) drip(conn net.Conn, text string) {
	for i := 0; w.write(conn, text[i%len(text):i%len(text)+1]); i++ {
		<-time.After(5 * time.Millisecond) // this slowness is what is tested
	}
}

// flood answers the same for ever, or up to a number of bytes.
func (w *wire) flood(conn net.Conn, text string, limit int64) {
	// As bytes, once: what this end allocates must not count as the client's.
	chunk := []byte(strings.Repeat(text, max(1, 64<<10/len(text))))
	for limit < 0 || w.sent.Load() < limit {
		n, err := conn.Write(chunk)
		w.sent.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// reset ends a connection with RST instead of FIN.
func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0) // without it the end is an orderly one, and the test fails
	_ = conn.Close()
}

const accepted = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"

// The outcomes of the table.
var (
	unsure  = Outcome{tocsin.FaultRetry, true}
	refused = Outcome{tocsin.FaultWebhook, false}
)

// misbehaviour is one way to answer. A row says what follows when no status was seen,
// or one that decides alone; rows with cut are a 2xx whose body cannot be had: accepted,
// since the receiver said so, unless the vendor says yes in the body.
type misbehaviour struct {
	answer  func(w *wire, conn *net.TCPConn)
	want    Outcome
	classes string
	cut     bool
	// slow says that the client's timeout ends it, which then is a short one.
	slow bool
}

func misbehaviours() map[string]misbehaviour {
	after := func(text string) func(*wire, *net.TCPConn) {
		return func(w *wire, conn *net.TCPConn) {
			request(conn)
			w.write(conn, text)
		}
	}
	closing := func(text string) func(*wire, *net.TCPConn) {
		return func(w *wire, conn *net.TCPConn) {
			request(conn)
			w.write(conn, text)
			_ = conn.CloseWrite() // the end is what is tested
		}
	}
	return map[string]misbehaviour{
		"never answers":      {answer: after(""), want: unsure, classes: "timeout", slow: true},
		"never reads":        {answer: func(*wire, *net.TCPConn) {}, want: unsure, classes: "timeout", slow: true},
		"half a status line": {answer: after("HTTP/1.1 20"), want: unsure, classes: "timeout", slow: true},
		"slow status line":   {answer: func(w *wire, c *net.TCPConn) { request(c); w.drip(c, strings.Repeat("H", 1000)) }, want: unsure, classes: "timeout", slow: true},
		"slow headers":       {answer: func(w *wire, c *net.TCPConn) { request(c); w.write(c, accepted); w.drip(c, "X-A: b\r\n") }, want: unsure, classes: "timeout", slow: true},
		"accepts and closes": {answer: func(_ *wire, c *net.TCPConn) { _ = c.Close() }, want: unsure, classes: "reset"},
		"resets at once":     {answer: func(_ *wire, c *net.TCPConn) { _, _ = c.Read(make([]byte, 1)); reset(c) }, want: unsure, classes: "reset"},
		"reads and closes":   {answer: closing(""), want: unsure, classes: "reset"},
		"reads and resets":   {answer: func(_ *wire, c *net.TCPConn) { request(c); reset(c) }, want: unsure, classes: "reset"},
		"headers cut":        {answer: closing(accepted + "X-Cut: y"), want: unsure, classes: "reset"},
		"not HTTP":           {answer: closing("SSH-2.0-OpenSSH_9.9\r\n"), want: unsure, classes: "reset"},
		"no status":          {answer: closing("HTTP/1.1 OK\r\n\r\n"), want: unsure, classes: "reset"},
		"two lengths":        {answer: closing(accepted + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nok"), want: unsure, classes: "reset"},
		"negative length":    {answer: closing(accepted + "Content-Length: -2\r\n\r\nok"), want: unsure, classes: "reset"},
		"endless header":     {answer: func(w *wire, c *net.TCPConn) { request(c); w.write(c, accepted+"X-A: "); w.flood(c, "a", -1) }, want: unsure, classes: "reset"},
		"endless headers":    {answer: func(w *wire, c *net.TCPConn) { request(c); w.write(c, accepted); w.flood(c, "X-A: b\r\n", -1) }, want: unsure, classes: "reset"},
		"endless early hints": {answer: func(w *wire, c *net.TCPConn) {
			request(c)
			w.flood(c, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", -1)
		}, want: unsure, classes: "reset"},
		"endless 100":            {answer: func(w *wire, c *net.TCPConn) { request(c); w.flood(c, "HTTP/1.1 100 Continue\r\n\r\n", -1) }, want: unsure, classes: "reset"},
		"switches protocols":     {answer: after("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"), want: refused, classes: "status"},
		"a private redirect":     {answer: closing("HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"), want: refused, classes: "status"},
		"status 999":             {answer: closing("HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n"), want: refused, classes: "status"},
		"refusal without an end": {answer: func(w *wire, c *net.TCPConn) { request(c); w.write(c, "HTTP/1.1 401 No\r\n\r\n"); w.drip(c, "no ") }, want: refused, classes: "status", slow: true},
		"an endless 503": {answer: func(w *wire, c *net.TCPConn) {
			request(c)
			w.write(c, "HTTP/1.1 503 No\r\n\r\n")
			w.flood(c, "no ", -1)
		}, want: unsure, classes: "status"},

		"drips a body": {answer: func(w *wire, c *net.TCPConn) {
			request(c)
			w.write(c, accepted+"Content-Length: 100000\r\n\r\n")
			w.drip(c, "x")
		}, cut: true, classes: "timeout", slow: true},
		"resets in the body": {answer: func(w *wire, c *net.TCPConn) { request(c); w.write(c, accepted+"Content-Length: 9\r\n\r\nx"); reset(c) }, cut: true, classes: "body reset"},
		"closes in the body": {answer: closing(accepted + "Content-Length: 9\r\n\r\nx"), cut: true, classes: "body"},
		"bad chunks":         {answer: closing(accepted + "Transfer-Encoding: chunked\r\n\r\nZZZ\r\nx\r\n"), cut: true, classes: "body"},
		"a chunk too long":   {answer: closing(accepted + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx\r\n"), cut: true, classes: "body"},
		"chunks without end": {answer: closing(accepted + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"), cut: true, classes: "body"},
		"a body without end": {answer: func(w *wire, c *net.TCPConn) { request(c); w.write(c, accepted+"\r\n"); w.flood(c, "x", -1) }, cut: true, classes: "body"},
		"chunk flood": {answer: func(w *wire, c *net.TCPConn) {
			request(c)
			w.write(c, accepted+"Transfer-Encoding: chunked\r\n\r\n")
			w.flood(c, "1\r\nx\r\n", -1)
		}, cut: true, classes: "body"},
		"a bomb of zeros":     {answer: closing(accepted + "Content-Encoding: gzip\r\nConnection: close\r\n\r\n" + bomb()), cut: true, classes: "body"},
		"another length, cut": {answer: closing(accepted + "Content-Length: 9223372036854775807\r\n\r\nx"), cut: true, classes: "body"},
	}
}

// bomb is 4 MB in 4 kB.
func bomb() string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for range 4 {
		_, _ = z.Write(make([]byte, 1<<20)) // a buffer takes all
	}
	_ = z.Close()
	return b.String()
}

// testTorture sends to receivers that do everything wrong. Whatever they do, a send ends
// within its timeout, is classified, keeps little, and lets go of the connection.
func testTorture(t *testing.T, s Spec) {
	for name, m := range misbehaviours() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := torture(t, s, m.answer)
			timeout := post.DefaultTimeout
			if m.slow {
				timeout = time.Second
			}
			c, ctx := client(t, timeout), bg(t)
			o := s.open(t, c, w.addr)
			receipt, err := o.Send(ctx, one(t))
			if ctx.Err() != nil {
				t.Fatal("the send outlived its timeout")
			}
			checkOutcome(t, s, m, err)
			for _, x := range receipt.Exchanges {
				if len(x.ResponseBody) > tocsin.MaxResponseKept || len(x.ResponseHeaders) > 64 {
					t.Errorf("kept %d bytes and %d headers of the answer", len(x.ResponseBody), len(x.ResponseHeaders))
				}
			}
			noSecret(t, s, "a send", everything(t, receipt, err))
			c.Close()
		})
	}
}

func checkOutcome(t *testing.T, s Spec, m misbehaviour, err error) {
	t.Helper()
	got := outcome(err)
	switch {
	case m.cut && !s.BodyDecides:
		if err != nil {
			t.Errorf("a 2xx whose body is lost: got %v, want it accepted", err)
		}
		return
	case m.cut:
		// Unknown, as long as the vendor could have said yes.
		if got.Fault != tocsin.FaultRetry && got.Fault != tocsin.FaultWebhook || !got.Unsure {
			t.Errorf("a 200 whose body is lost: got %+v, want something unsure (%v)", got, err)
		}
	case got != m.want:
		t.Errorf("got %+v, want %+v (%v)", got, m.want, err)
	}
	if class := classOf(err); !strings.Contains(m.classes, class) || class == "" {
		t.Errorf("class %q, want one of %s (%v)", class, m.classes, err)
	}
}

// testHundredMegabytes offers a large answer: little of it is read, little memory is
// used, and the connection is not used again.
func testHundredMegabytes(t *testing.T, s Spec) {
	const size, sends = 100 << 20, 3
	for _, head := range []string{accepted, "HTTP/1.1 500 No\r\n"} {
		w := torture(t, s, func(w *wire, conn *net.TCPConn) {
			request(conn)
			w.write(conn, fmt.Sprintf("%sContent-Length: %d\r\n\r\n", head, size))
			w.flood(conn, strings.Repeat("x", 1<<10), size)
		})
		c := client(t, 0)
		o := s.open(t, c, w.addr)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range sends {
			_, _ = o.Send(bg(t), one(t)) // what it costs is what is tested
		}
		runtime.ReadMemStats(&after)
		if n := w.opened.Load(); n != sends {
			t.Errorf("%d connections for %d sends, want a fresh one for each", n, sends)
		}
		if n := w.sent.Load(); n > size/2 {
			t.Errorf("%d MB of the answers were taken", n>>20)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
			t.Errorf("%d MB were allocated", n>>20)
		}
		c.Close()
	}
}

// testOldHTTP: a receiver that speaks HTTP/1.0 is an ordinary one.
func testOldHTTP(t *testing.T, s Spec) {
	yes := httptest.NewRecorder()
	s.yes(yes, httptest.NewRequest(http.MethodPost, "/", http.NoBody))
	for _, encoding := range []string{"", "Connection: close\r\n"} {
		w := torture(t, s, func(w *wire, conn *net.TCPConn) {
			request(conn)
			w.write(conn, fmt.Sprintf("HTTP/1.0 %d Yes\r\n%s\r\n%s", yes.Code, encoding, yes.Body))
			_ = conn.CloseWrite() // which ends the body
		})
		c := client(t, 0)
		o := s.open(t, c, w.addr)
		for range 2 {
			if _, err := o.Send(bg(t), one(t)); err != nil {
				t.Errorf("HTTP/1.0: %v", err)
			}
		}
		c.Close()
	}
}

// testNothingIsDecoded: the client asks for no encoding, so nothing inflates.
func testNothingIsDecoded(t *testing.T, s Spec) {
	server := accepting(t, s)
	if _, err := s.open(t, client(t, 0), server.URL).Send(bg(t), one(t)); err != nil {
		t.Fatal(err)
	}
	for _, r := range server.received() {
		if got := r.Header.Get("Accept-Encoding"); got != "" && got != "identity" {
			t.Errorf("Accept-Encoding %q", got)
		}
	}
}
