package syslog_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"
)

// identity is a certificate for 127.0.0.1 with its key, signed by itself.
type identity struct{ cert, key string }

func newIdentity(t testing.TB) identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "syslog test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return identity{
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})),
	}
}

// server is a tls.Config of a receiver; clients, when given, must sign its clients' certificates.
func (i identity) server(t testing.TB, clients string) *tls.Config {
	t.Helper()
	pair, err := tls.X509KeyPair([]byte(i.cert), []byte(i.key))
	if err != nil {
		t.Fatal(err)
	}
	conf := &tls.Config{Certificates: []tls.Certificate{pair}}
	if clients != "" {
		conf.ClientCAs, conf.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		conf.ClientCAs.AppendCertsFromPEM([]byte(clients))
	}
	return conf
}

// receiver takes streams, and keeps what comes.
type receiver struct {
	t        testing.TB
	listener net.Listener
	conf     *tls.Config // nil: plain TCP

	mu      sync.Mutex
	changed *sync.Cond
	conns   []net.Conn
	opened  int
	text    string
	wg      sync.WaitGroup
}

// listen starts a receiver at addr, "" for any free port. It ends with the test.
func listen(t testing.TB, addr string, conf *tls.Config) *receiver {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{t: t, listener: l, conf: conf}
	r.changed = sync.NewCond(&r.mu)
	r.wg.Go(r.accept)
	t.Cleanup(r.stop)
	return r
}

func (r *receiver) addr() string { return r.listener.Addr().String() }

func (r *receiver) accept() {
	for {
		conn, err := r.listener.Accept()
		if err != nil {
			return
		}
		if r.conf != nil {
			conn = tls.Server(conn, r.conf)
		}
		r.mu.Lock()
		r.conns = append(r.conns, conn)
		r.opened++
		r.mu.Unlock()
		r.wg.Go(func() { r.read(conn) })
	}
}

func (r *receiver) read(conn net.Conn) {
	defer conn.Close() //nolint:errcheck // it is over
	buffer := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buffer)
		r.mu.Lock()
		r.text += string(buffer[:n])
		r.changed.Broadcast()
		r.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// stop ends it as a restart does: no more connections, and all that were are closed.
func (r *receiver) stop() {
	_ = r.listener.Close()
	r.hangUp()
	r.wg.Wait()
}

// hangUp closes all connections.
func (r *receiver) hangUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
}

func (r *receiver) connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.opened
}

// wait returns everything that came once it is at least so many bytes.
func (r *receiver) wait(bytes int) string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer context.AfterFunc(ctx, r.changed.Broadcast)()
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.text) < bytes {
		if ctx.Err() != nil {
			r.t.Fatalf("%d of %d bytes came: %.200q", len(r.text), bytes, r.text)
		}
		r.changed.Wait()
	}
	return r.text
}

// messages reads frames, of which there must be so many bytes, as messages.
func (r *receiver) messages(bytes int) []message {
	r.t.Helper()
	texts, err := frames(r.wait(bytes))
	if err != nil {
		r.t.Fatal(err)
	}
	return parseAll(r.t, texts)
}

func parseAll(t testing.TB, texts []string) []message {
	t.Helper()
	out := make([]message, len(texts))
	for i, text := range texts {
		m, err := parseMessage(text)
		if err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		out[i] = m
	}
	return out
}
