package post_test

import (
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

func loopbackClient(t *testing.T) *post.Client {
	c := post.New(post.Options{AllowCIDRs: loopback})
	t.Cleanup(c.Close)
	return c
}

func TestSessionRemembersWhatALibraryDoes(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		}
		body, _ := io.ReadAll(r.Body) // what came is what is answered
		_, _ = w.Write(append([]byte("secret-1 said "), body...))
	}))
	defer server.Close()
	s := loopbackClient(t).Session(post.NewRedactor("secret-1"))
	client := s.HTTP(false)
	for _, path := range []string{"/a", "/moved"} {
		res, err := client.Post(server.URL+path, "text/plain", strings.NewReader("hello secret-1"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if path == "/a" && string(body) != "secret-1 said hello secret-1" || path == "/moved" && res.StatusCode != 302 {
			t.Errorf("%s: status %d, body %q", path, res.StatusCode, body)
		}
	}
	x := s.Exchanges()
	if len(x) != 2 || x[0].RequestBody != "hello [redacted]" || x[0].ResponseBody != "[redacted] said hello [redacted]" || x[1].Status != 302 {
		t.Errorf("remembered %+v", x)
	}
}

func TestSessionErrorsKeepTheirClass(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 5 << 10 {
			if _, err := w.Write(make([]byte, 1<<10)); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	strict := post.New(post.Options{})
	defer strict.Close()
	_, err := strict.Session(nil).HTTP(false).Get(server.URL)
	if class(err) != post.ClassEgress || tocsin.Classify(err).Fault != tocsin.FaultWebhook {
		t.Errorf("to a forbidden address: got %v of class %q", err, class(err))
	}
	res, err := loopbackClient(t).Session(nil).HTTP(false).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, res.Body); n != 4<<20 || class(err) != post.ClassBody || !tocsin.Classify(err).Unsure {
		t.Errorf("5 MiB: read %d bytes, then %v", n, err)
	}
}

func TestKeepBodyAndShown(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 100<<10)) // the length is what is tested
	}))
	defer server.Close()
	c := loopbackClient(t)
	for keep, want := range map[int]int{0: tocsin.MaxResponseKept, 10: 10, 50 << 10: 50 << 10, 100 << 10: 100 << 10, 200 << 10: 100 << 10} {
		res, err := c.Do(t.Context(), post.Request{Method: "POST", URL: server.URL, KeepBody: keep, Body: []byte("packed"), Shown: []byte("readable")})
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Body) != want || res.BodyCut != (want < 100<<10) || len(res.Exchange.ResponseBody) != tocsin.MaxResponseKept {
			t.Errorf("keeping %d: %d bytes, cut %t, %d in the record", keep, len(res.Body), res.BodyCut, len(res.Exchange.ResponseBody))
		}
		if res.Exchange.RequestBody != "readable" || res.Exchange.RequestBytes != 6 {
			t.Errorf("the record shows %q and %d bytes", res.Exchange.RequestBody, res.Exchange.RequestBytes)
		}
	}
}

func TestWithTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	c := loopbackClient(t)
	if _, err := c.Do(t.Context(), post.Request{Method: "GET", URL: server.URL}); class(err) != post.ClassTLS {
		t.Errorf("without its CA: got %v", err)
	}
	own, err := c.WithTLS(post.TLS{CA: ca})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := own.Do(t.Context(), post.Request{Method: "GET", URL: server.URL}); err != nil {
		t.Errorf("with its CA: %v", err)
	}
	if again, _ := c.WithTLS(post.TLS{CA: ca}); again != own {
		t.Error("the same CA gives another client")
	}
	if same, _ := c.WithTLS(post.TLS{}); same != c {
		t.Error("no certificates give another client")
	}
	for want, bad := range map[string]post.TLS{
		"holds no certificate": {CA: "nonsense"}, "belong together": {Cert: ca}, "cannot be used together": {Cert: ca, Key: "s3cret"},
	} {
		if _, err := c.WithTLS(bad); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestKeysAreNoCertificates: texts that are shown to everybody take certificates alone.
func TestKeysAreNoCertificates(t *testing.T) {
	block := func(kind, content string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte(content)}))
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	cert, c := block("CERTIFICATE", string(server.Certificate().Raw)), loopbackClient(t)
	const secret = "s3cret key of somebody" // as PEM: czNjcmV0
	for text, want := range map[string]string{
		cert + block("PRIVATE KEY", secret):                             "holds a private key, which does not belong there",
		block("EC PRIVATE KEY", secret) + cert:                          "holds a private key, which does not belong there",
		block("ENCRYPTED PRIVATE KEY", secret):                          "holds a private key, which does not belong there",
		block("OPENSSH PRIVATE KEY", secret):                            "holds a private key, which does not belong there",
		cert + "-----BEGIN RSA PRIVATE KEY-----\nczNjcmV0\n":            "holds a private key, which does not belong there", // cut off
		cert + "-----begin private key----- czNjcmV0":                   "holds a private key, which does not belong there",
		cert + block("PUBLIC KEY", secret):                              "holds something other than certificates",
		block("CERTIFICATE REQUEST", secret) + cert:                     "holds something other than certificates",
		"subject=CN = somebody\n" + cert + block("X czNjcmV0", "x"):     "holds something other than certificates",
		cert + block("czNjcmV0 \"PRIVATE KEY\"", secret) + "trailing s": "holds a private key, which does not belong there",
	} {
		for about, id := range map[string]post.TLS{"the CA ": {CA: text}, "the client certificate ": {Cert: text, Key: block("PRIVATE KEY", secret)}} {
			_, err := c.WithTLS(id)
			if err == nil || !strings.HasPrefix(err.Error(), about+want) || strings.Contains(err.Error(), "czNjcmV0") {
				t.Errorf("%.200q: got %v, want %q", text, err, about+want)
			}
		}
	}
	if _, err := c.WithTLS(post.TLS{CA: "subject=CN = somebody\n" + cert + "\n# and once more\n" + cert}); err != nil {
		t.Errorf("certificates with words between them: %v", err)
	}
}

func TestDialKeepsTheRules(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing depends on it
	strict := post.New(post.Options{})
	defer strict.Close()
	if _, err := strict.Dial(t.Context(), "tcp", l.Addr().String()); class(err) != post.ClassEgress || tocsin.Classify(err).Fault != tocsin.FaultWebhook {
		t.Errorf("to a forbidden address: got %v", err)
	}
	if _, err := strict.Dial(t.Context(), "udp", l.Addr().String()); class(err) != post.ClassEgress {
		t.Errorf("by UDP to a forbidden address: got %v", err)
	}
	c := loopbackClient(t)
	conn, err := c.Dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close() // nothing was sent
	_ = l.Close()
	_, err = c.Dial(t.Context(), "tcp", l.Addr().String())
	if s := tocsin.Classify(err); class(err) != post.ClassConnect || s.Fault != tocsin.FaultRetry || s.Unsure {
		t.Errorf("to a closed port: got %v", err)
	}
	var sent *tocsin.SendError
	if lost := post.Lost(io.ErrUnexpectedEOF, post.StepAnswer, true, nil); !errors.As(lost, &sent) || !sent.Unsure || class(lost) != post.ClassReset {
		t.Errorf("a connection lost after sending: %v", lost)
	}
}

func TestHosts(t *testing.T) {
	c := loopbackClient(t)
	for host, want := range map[string]string{
		"127.0.0.1": "", "localhost": "", "mail.invalid": "", "10.0.0.1": "private", "169.254.169.254": "metadata", "0x7f.1": "another spelling",
		"": "has no host", "a b": "cannot", "user@h": "cannot", "h/x": "cannot", "[::1]": "", "::1": "loopback",
	} {
		err := c.CheckHost(t.Context(), host, 25)
		if want == "cannot" {
			want = "not a name that can be looked up"
		}
		if host == "[::1]" {
			want = "IPv6"
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", host, err, want)
		}
	}
	for _, port := range []int{0, -1, 65536} {
		if err := c.CheckHost(t.Context(), "localhost", port); err == nil {
			t.Errorf("port %d: want an error", port)
		}
	}
	for host, want := range map[string]bool{"127.0.0.1": true, "localhost": true, "93.184.215.14": false, "receiver.invalid": false, "": false} {
		if got := c.AllowedHost(t.Context(), host); got != want {
			t.Errorf("AllowedHost(%q) = %t", host, got)
		}
	}
}
