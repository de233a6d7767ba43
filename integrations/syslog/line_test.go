package syslog_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/syslog"
)

// channel is the channel with a client that may send to loopback.
func channel(t testing.TB, timeout time.Duration) *syslog.Channel {
	t.Helper()
	c := post.New(post.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: timeout})
	t.Cleanup(c.Close)
	return syslog.New(c)
}

// open returns a sender; config is keys and values.
func open(t testing.TB, timeout time.Duration, config map[string]any) tocsin.Sender {
	t.Helper()
	c := channel(t, timeout)
	raw := json.RawMessage(text(t, config))
	if err := c.Validate(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	s, err := c.Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// send sends one event with a title.
func send(t testing.TB, s tocsin.Sender, title string) (tocsin.Receipt, error) {
	t.Helper()
	e := integrationtest.Pick(t, "it-agent")[0]
	e.Title = title
	return s.Send(t.Context(), integrationtest.Notify(e))
}

// mustSend returns how many bytes went.
func mustSend(t testing.TB, s tocsin.Sender, title string) int {
	t.Helper()
	receipt, err := send(t, s, title)
	if err != nil {
		t.Fatalf("sending %q: %v", title, err)
	}
	return receipt.Exchanges[0].RequestBytes
}

// class is the class of an error.
func class(err error) string {
	var c interface{ ErrorClass() string }
	if errors.As(err, &c) {
		return c.ErrorClass()
	}
	return ""
}

// each runs a test over TCP and TLS.
func each(t *testing.T, test func(t *testing.T, start func(addr string) *receiver, config func(addr string) map[string]any)) {
	id := newIdentity(t)
	t.Run("tcp", func(t *testing.T) {
		test(t, func(addr string) *receiver { return listen(t, addr, nil) },
			func(addr string) map[string]any { return map[string]any{"address": addr, "transport": "tcp"} })
	})
	t.Run("tls", func(t *testing.T) {
		test(t, func(addr string) *receiver { return listen(t, addr, id.server(t, "")) },
			func(addr string) map[string]any { return map[string]any{"address": addr, "ca_cert": id.cert} })
	})
}

// TestOneConnection: all sends of a sender go over one.
func TestOneConnection(t *testing.T) {
	each(t, func(t *testing.T, start func(string) *receiver, config func(string) map[string]any) {
		r := start("")
		s := open(t, 0, config(r.addr()))
		n := 0
		for i := range 5 {
			n += mustSend(t, s, fmt.Sprint("number ", i))
		}
		got := r.messages(n)
		if len(got) != 5 || r.connections() != 1 || !strings.Contains(got[4].body, "number 4") {
			t.Errorf("%d messages over %d connections", len(got), r.connections())
		}
	})
}

// TestReceiverRestarts: a connection that the receiver ended is found before it is written
// to, so nothing is lost between the two.
func TestReceiverRestarts(t *testing.T) {
	each(t, func(t *testing.T, start func(string) *receiver, config func(string) map[string]any) {
		first := start("")
		addr := first.addr()
		s := open(t, 0, config(addr))
		first.messages(mustSend(t, s, "before"))
		first.stop()

		_, err := send(t, s, "meanwhile")
		if got := tocsin.Classify(err); err == nil || got.Fault != tocsin.FaultRetry || got.Unsure || class(err) != post.ClassConnect {
			t.Errorf("while nobody listens: %+v of class %q (%v)", got, class(err), err)
		}

		second := start(addr)
		got := second.messages(mustSend(t, s, "after"))
		if len(got) != 1 || !strings.Contains(got[0].body, `"after"`) {
			t.Errorf("after the restart: %+v", got)
		}
		if n := len(first.messages(0)); n != 1 {
			t.Errorf("%d messages before the restart, want 1", n)
		}
	})
}

// TestHangUpBetweenSends: the same, and the receiver goes on listening.
func TestHangUpBetweenSends(t *testing.T) {
	each(t, func(t *testing.T, start func(string) *receiver, config func(string) map[string]any) {
		r := start("")
		s := open(t, 0, config(r.addr()))
		n := 0
		for i := range 4 {
			n += mustSend(t, s, fmt.Sprint("number ", i))
			r.wait(n)
			r.hangUp()
		}
		if got := r.messages(n); len(got) != 4 || r.connections() != 4 {
			t.Errorf("%d messages over %d connections, want 4 over 4", len(got), r.connections())
		}
	})
}

// TestClosedWhileSending: a receiver that goes away without reading leaves the outcome open.
func TestClosedWhileSending(t *testing.T) {
	addr := server(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1))
		_ = conn.(*net.TCPConn).SetLinger(0) // a reset
		_ = conn.Close()
	})
	_, err := send(t, open(t, 0, map[string]any{"address": addr, "transport": "tcp"}), "lost")
	if got := tocsin.Classify(err); err == nil || got.Fault != tocsin.FaultRetry || !got.Unsure || class(err) != post.ClassReset {
		t.Errorf("%+v of class %q (%v)", got, class(err), err)
	}
}

// TestSlowReceiver: a receiver that stops reading holds a send up to the client's timeout,
// not for ever, and one that waits for its turn has sent nothing.
func TestSlowReceiver(t *testing.T) {
	addr := silent(t)
	s := open(t, 2*time.Second, map[string]any{"address": addr, "transport": "tcp", "max_bytes": 1 << 20})
	events := make([]tocsin.Event, 40)
	for i := range events {
		events[i] = integrationtest.Pick(t, "it-agent")[0]
		events[i].Summary = strings.Repeat("x", 200_000)
	}
	_, err := s.Send(t.Context(), integrationtest.Notify(events...))
	if got := tocsin.Classify(err); err == nil || got.Fault != tocsin.FaultRetry || !got.Unsure || class(err) != post.ClassTimeout {
		t.Errorf("%+v of class %q (%v)", got, class(err), err)
	}
}

// TestCancelledWhileWriting: a cancelled send ends at once, and the one that waited for it
// begins on a connection of its own.
func TestCancelledWhileWriting(t *testing.T) {
	accepted := make(chan struct{}, 8)
	addr := server(t, func(conn net.Conn) {
		_ = conn.(*net.TCPConn).SetReadBuffer(4096)
		accepted <- struct{}{}
		<-t.Context().Done()
		_ = conn.Close()
	})
	s := open(t, time.Hour, map[string]any{"address": addr, "transport": "tcp", "max_bytes": 1 << 20})
	e := integrationtest.Pick(t, "it-agent")[0]
	e.Summary = strings.Repeat("x", 200_000)
	events := make([]tocsin.Event, 40)
	for i := range events {
		events[i] = e
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := s.Send(ctx, integrationtest.Notify(events...))
		ended <- err
	}()
	<-accepted // so the first has its turn

	waiting, stop := context.WithCancel(t.Context())
	stop()
	_, err := s.Send(waiting, integrationtest.Notify(events[:1]...))
	if got := tocsin.Classify(err); err == nil || got.Unsure {
		t.Errorf("waiting for its turn: %+v (%v)", got, err)
	}

	cancel()
	select {
	case err = <-ended:
	case <-time.After(30 * time.Second):
		t.Fatal("a cancelled send goes on")
	}
	if got := tocsin.Classify(err); err == nil || got.Fault != tocsin.FaultRetry || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %+v (%v)", got, err)
	}
	mustSend(t, s, "after")
}

// TestConcurrentSendsDoNotMix: the frames of a delivery stand together, whoever sends else.
func TestConcurrentSendsDoNotMix(t *testing.T) {
	r := listen(t, "", nil)
	s := open(t, 0, map[string]any{"address": r.addr(), "transport": "tcp"})
	const senders, events = 10, 20
	var wg sync.WaitGroup
	var mu sync.Mutex
	bytes := 0
	for i := range senders {
		wg.Go(func() {
			n := integrationtest.Notify(make([]tocsin.Event, events)...)
			for j := range n.Events {
				n.Events[j] = tocsin.Event{ID: fmt.Sprint(j), Source: "/s", Type: "custom.x", Summary: strings.Repeat("long ", 500)}
			}
			n.DeliveryID = fmt.Sprint("dlv_", i)
			receipt, err := s.Send(t.Context(), n)
			if err != nil {
				t.Errorf("Send: %v", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			bytes += receipt.Exchanges[0].RequestBytes
		})
	}
	wg.Wait()
	got := r.messages(bytes)
	if len(got) != senders*events || r.connections() != 1 {
		t.Fatalf("%d messages over %d connections", len(got), r.connections())
	}
	for i, m := range got {
		if m.params["id"] != fmt.Sprint(i%events) || m.params["delivery"] != got[i-i%events].params["delivery"] {
			t.Errorf("message %d is number %s of %s", i, m.params["id"], m.params["delivery"])
		}
	}
}

// TestTLSIsVerified: wrong names, unknown signers, missing certificates and receivers
// without TLS are errors before anything is sent.
func TestTLSIsVerified(t *testing.T) {
	id, other := newIdentity(t), newIdentity(t)
	asking := listen(t, "", id.server(t, id.cert))
	plain := listen(t, "", nil)
	for name, config := range map[string]map[string]any{
		"unknown signer":        {"address": asking.addr(), "ca_cert": other.cert, "client_cert": id.cert, "client_key": id.key},
		"the system's signers":  {"address": asking.addr(), "client_cert": id.cert, "client_key": id.key},
		"wrong name":            {"address": asking.addr(), "ca_cert": id.cert, "client_cert": id.cert, "client_key": id.key, "server_name": "other.example.com"},
		"no client certificate": {"address": asking.addr(), "ca_cert": id.cert},
		"wrong client":          {"address": asking.addr(), "ca_cert": id.cert, "client_cert": other.cert, "client_key": other.key},
		"no TLS there":          {"address": silentHTTP(t), "ca_cert": id.cert},
	} {
		s := open(t, 2*time.Second, config)
		_, err := send(t, s, "secret")
		if got := tocsin.Classify(err); err == nil || got.Fault != tocsin.FaultRetry || got.Unsure || class(err) != post.ClassTLS {
			t.Errorf("%s: %+v of class %q (%v)", name, got, class(err), err)
		}
		if _, _, err := s.(tocsin.Checker).Check(t.Context()); err == nil || class(err) != post.ClassTLS {
			t.Errorf("%s: Check says %v", name, err)
		}
	}
	if asking.wait(0)+plain.wait(0) != "" {
		t.Errorf("something was sent: %q", asking.wait(0)+plain.wait(0))
	}
	s := open(t, 0, map[string]any{"address": asking.addr(), "ca_cert": id.cert, "client_cert": id.cert, "client_key": id.key, "server_name": "localhost"})
	asking.messages(mustSend(t, s, "with everything right"))
}

// silentHTTP is the address of a web server.
func silentHTTP(t *testing.T) string {
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// TestHTTPServer: what a wrong port answers is in the error and the record.
func TestHTTPServer(t *testing.T) {
	receipt, err := send(t, open(t, 0, map[string]any{"address": silentHTTP(t), "transport": "tcp", "framing": "newline"}), "x")
	if got := tocsin.Classify(err); err == nil || !got.Unsure || class(err) != post.ClassReset || !strings.Contains(err.Error(), "it answered \"HTTP/1.1 400") {
		t.Errorf("%+v (%v)", got, err)
	}
	if !strings.HasPrefix(receipt.Exchanges[0].ResponseBody, "HTTP/1.1 400") {
		t.Errorf("the record shows %q", receipt.Exchanges[0].ResponseBody)
	}
}

// TestTLSReceiverGetsPlainText: what a receiver of TLS says to it is an error.
func TestTLSReceiverGetsPlainText(t *testing.T) {
	r := listen(t, "", newIdentity(t).server(t, ""))
	_, err := send(t, open(t, 0, map[string]any{"address": r.addr(), "transport": "tcp"}), "x")
	if got := tocsin.Classify(err); err == nil || got.Fault != tocsin.FaultRetry || !got.Unsure || class(err) != post.ClassReset {
		t.Errorf("%+v of class %q (%v)", got, class(err), err)
	}
}

func TestUDP(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // the test is over
	s := open(t, 0, map[string]any{"address": conn.LocalAddr().String(), "transport": "udp"})
	long := integrationtest.Pick(t, "it-agent", "it-scripts", "it-hostile")
	receipt, err := s.Send(t.Context(), integrationtest.Notify(long...))
	if err != nil || receipt.Truncated != 1 {
		t.Fatalf("%d truncated, %v; want 1", receipt.Truncated, err)
	}
	var texts []string
	buffer := make([]byte, 1<<16)
	for range long {
		n, _, err := conn.ReadFrom(buffer)
		if err != nil {
			t.Fatal(err)
		}
		if n > 2048 {
			t.Errorf("a datagram of %d bytes", n)
		}
		texts = append(texts, string(buffer[:n]))
	}
	for i, m := range parseAll(t, texts) {
		if m.params["id"] != long[i].ID || !json.Valid([]byte(m.body)) {
			t.Errorf("datagram %d is %+v", i, m)
		}
	}
	if got := receipt.Exchanges[0]; got.RequestBody != strings.Join(texts, "\n") || got.URL != "syslog+udp://"+conn.LocalAddr().String() {
		t.Errorf("recorded as %+v", got)
	}
}

// TestUDPWithoutReceiver: where the system says that nobody listens, so do we.
func TestUDPWithoutReceiver(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := conn.LocalAddr().String()
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = send(t, open(t, 0, map[string]any{"address": addr, "transport": "udp"}), "x")
	if got := tocsin.Classify(err); err == nil || got.Fault != tocsin.FaultRetry || class(err) != post.ClassConnect {
		t.Errorf("%+v of class %q (%v)", got, class(err), err)
	}
}

func TestCheck(t *testing.T) {
	id := newIdentity(t)
	r := listen(t, "", id.server(t, ""))
	for _, row := range []struct {
		config map[string]any
		words  string
	}{
		{map[string]any{"address": r.addr(), "ca_cert": id.cert, "format": "cef"}, "reaches " + r.addr() + " over TLS 1.3; sends RFC 5424 messages as cef"},
		{map[string]any{"address": listen(t, "", nil).addr(), "transport": "tcp"}, "sends RFC 5424 messages as json"},
		{map[string]any{"address": "127.0.0.1:9", "transport": "udp"}, "nobody tells whether they arrive"},
	} {
		found, exchanges, err := open(t, 0, row.config).(tocsin.Checker).Check(t.Context())
		if err != nil || !strings.Contains(found, row.words) || len(exchanges) != 1 || exchanges[0].Method != "SYSLOG" {
			t.Errorf("found %q, %+v, %v; want %q", found, exchanges, err, row.words)
		}
	}
	if got := r.wait(0); got != "" {
		t.Errorf("Check sent %q", got)
	}
}

// TestAnswersAreBounded: a receiver that talks is listened to only so long.
func TestAnswersAreBounded(t *testing.T) {
	addr := server(t, func(conn net.Conn) {
		for {
			if _, err := io.WriteString(conn, strings.Repeat("chatter ", 1000)); err != nil {
				return
			}
		}
	})
	receipt, err := send(t, open(t, 0, map[string]any{"address": addr, "transport": "tcp"}), "x")
	if err == nil || len(receipt.Exchanges[0].ResponseBody) > 4096 {
		t.Errorf("%v and %d bytes kept", err, len(receipt.Exchanges[0].ResponseBody))
	}
}
