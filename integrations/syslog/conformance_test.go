package syslog_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/syslog"
)

// TestConformance runs the suite over TLS with a client certificate. Syslog has no
// answer, so the peer knows when all has arrived from the records of the sends.
func TestConformance(t *testing.T) {
	id := newIdentity(t)
	written := &sent{bytes: map[string]int{}}
	spec := integrationtest.Spec{
		New: func(c *post.Client, _ *slog.Logger) tocsin.Channel { return counted{syslog.New(c), written} },
		Config: func(addr string) string {
			return text(t, map[string]any{
				"address": addr, "transport": "tls", "framing": "octet-counting", "format": "json", "facility": "local4", "app_name": "tocsin-test",
				"hostname": "tocsin.example.com", "enterprise_number": 32473, "max_bytes": 65536, "bom": false,
				"ca_cert": id.cert, "client_cert": id.cert, "client_key": id.key, "server_name": "127.0.0.1",
			})
		},
		Secrets: strings.Split(id.key, "\n")[1:4], // JSON has the lines apart
		Peer: func(t *testing.T, b integrationtest.Behaviour) integrationtest.Peer {
			return peer(t, b, id, written)
		},
		IdempotencyKey: func(r []integrationtest.Received) string {
			var all []string
			for _, one := range r {
				texts, err := frames(one.Body)
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range parseAll(t, texts) {
					all = append(all, m.params["delivery"]+" "+m.params["uid"])
				}
			}
			return strings.Join(all, "\n")
		},
		Events: map[string][]tocsin.Event{"shared-hostile": integrationtest.Pick(t, "it-hostile", "it-scripts")},
	}
	integrationtest.Run(t, spec)
}

// peer is a receiver as the suite wants one.
func peer(t *testing.T, b integrationtest.Behaviour, id identity, written *sent) integrationtest.Peer {
	switch b {
	case integrationtest.Hangs: // takes the connection and never shakes hands
		l := silent(t)
		return integrationtest.Peer{Addr: l, Want: integrationtest.Outcome{Fault: tocsin.FaultRetry}, Class: post.ClassTimeout}
	case integrationtest.Drops:
		l := dropping(t)
		return integrationtest.Peer{Addr: l, Want: integrationtest.Outcome{Fault: tocsin.FaultRetry}, Class: post.ClassTLS}
	}
	r := listen(t, "", id.server(t, id.cert))
	var got []integrationtest.Received
	seen := 0
	return integrationtest.Peer{Addr: r.addr(), Received: func() []integrationtest.Received {
		if all := r.wait(written.to(r.addr())); len(all) > seen {
			got = append(got, integrationtest.Received{Method: "SYSLOG", Body: all[seen:]})
			seen = len(all)
		}
		return got
	}}
}

// silent is the address of a listener that takes connections and reads nothing.
func silent(t *testing.T) string {
	return server(t, func(conn net.Conn) {
		_ = conn.(*net.TCPConn).SetReadBuffer(4096) // so that little fits on the way
		<-t.Context().Done()
		_ = conn.Close()
	})
}

// dropping is the address of a listener that closes connections at once.
func dropping(t *testing.T) string {
	return server(t, func(conn net.Conn) { _ = conn.Close() })
}

// server calls handle for each connection.
func server(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { handle(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

// sent counts the bytes of successful sends by address.
type sent struct {
	mu    sync.Mutex
	bytes map[string]int
}

func (s *sent) to(addr string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes[addr]
}

// counted is a channel whose sends are counted.
type counted struct {
	tocsin.Channel
	written *sent
}

func (c counted) Open(config json.RawMessage) (tocsin.Sender, error) {
	s, err := c.Channel.Open(config)
	if err != nil {
		return nil, err
	}
	return countedSender{s, c.written}, nil
}

type countedSender struct {
	tocsin.Sender
	written *sent
}

func (c countedSender) Send(ctx context.Context, n tocsin.Notification) (tocsin.Receipt, error) {
	receipt, err := c.Sender.Send(ctx, n)
	if err == nil {
		c.written.mu.Lock()
		defer c.written.mu.Unlock()
		c.written.bytes[strings.TrimPrefix(receipt.Exchanges[0].URL, "syslog+tls://")] += receipt.Exchanges[0].RequestBytes
	}
	return receipt, err
}

func (c countedSender) Check(ctx context.Context) (string, []tocsin.Exchange, error) {
	return c.Sender.(tocsin.Checker).Check(ctx)
}

func text(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
