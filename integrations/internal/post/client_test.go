package post_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func class(err error) string {
	var c interface{ ErrorClass() string }
	if errors.As(err, &c) {
		return c.ErrorClass()
	}
	return ""
}

func TestDoRecordsTheExchange(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Seen", r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write(append([]byte("you said \x00 \xff "), body...))
	}))
	defer server.Close()
	c := post.New(post.Options{AllowCIDRs: loopback})
	defer c.Close()
	res, err := c.Do(t.Context(), post.Request{
		Method: "POST", URL: server.URL + "/in/it?key=topsecret&n=1", Body: []byte("hello topsecret"),
		Header: http.Header{"Authorization": {"Bearer tok-123"}, "Content-Type": {"text/plain"}},
		Redact: post.NewRedactor("topsecret", "Bearer tok-123"),
	})
	if err != nil {
		t.Fatal(err)
	}
	x := res.Exchange
	want := tocsin.Exchange{
		Method: "POST", URL: server.URL + "/in/it?key=[redacted]&n=[redacted]", RequestBody: "hello [redacted]", RequestBytes: 15,
		RequestHeaders: map[string]string{"Authorization": "[redacted]", "Content-Type": "text/plain", "User-Agent": "Tocsin/1"},
		Status:         418, ResponseBody: "you said \uFFFD \uFFFD hello [redacted]", RemoteAddr: strings.TrimPrefix(server.URL, "http://"),
	}
	got := x
	got.Timings, got.ResponseHeaders = tocsin.Timings{}, nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the exchange (-want +got):\n%s", diff)
	}
	if x.ResponseHeaders["X-Seen"] != "[redacted]" {
		t.Errorf("response header repeats the secret: %q", x.ResponseHeaders["X-Seen"])
	}
	if x.Timings.Connect <= 0 || x.Timings.FirstByte < x.Timings.Connect || x.Timings.Total < x.Timings.FirstByte {
		t.Errorf("timings do not grow: %+v", x.Timings)
	}
}

func TestSecretAcrossTheBorderOfWhatIsKept(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	c := post.New(post.Options{AllowCIDRs: loopback})
	defer c.Close()
	for shift := range len(secret) + 2 {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			pad := strings.Repeat(secret, 3) + strings.Repeat("-", tocsin.MaxResponseKept-3*len(secret)-shift)
			_, _ = io.WriteString(w, pad+secret+secret+secret[:20])
		}))
		res, err := c.Do(t.Context(), post.Request{Method: "POST", URL: server.URL, Redact: post.NewRedactor(secret)})
		server.Close()
		if err != nil {
			t.Fatal(err)
		}
		for n := 8; n < len(secret); n++ {
			if strings.Contains(res.Exchange.ResponseBody, secret[:n]) {
				t.Fatalf("shift %d: %d bytes of the secret are shown", shift, n)
			}
		}
	}
}

func TestTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
	defer server.Close()
	server.Config.ErrorLog = nil
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	trusting := post.New(post.Options{AllowCIDRs: loopback, RootCAs: pool})
	defer trusting.Close()
	res, err := trusting.Do(t.Context(), post.Request{Method: "POST", URL: server.URL})
	if err != nil || res.Status != 204 || res.Exchange.Timings.TLS <= 0 {
		t.Errorf("a trusted certificate: %v, status %d, TLS %v", err, res.Status, res.Exchange.Timings.TLS)
	}
	strict := post.New(post.Options{AllowCIDRs: loopback})
	defer strict.Close()
	_, err = strict.Do(t.Context(), post.Request{Method: "POST", URL: server.URL})
	if s := tocsin.Classify(err); class(err) != "tls" || s.Fault != tocsin.FaultRetry || s.Unsure {
		t.Errorf("an unknown certificate: %v (%+v)", err, s)
	}

	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10} //nolint:gosec // the old version is what is tested
	old.StartTLS()
	defer old.Close()
	pool.AddCert(old.Certificate())
	_, err = trusting.Do(t.Context(), post.Request{Method: "POST", URL: old.URL})
	if class(err) != "tls" {
		t.Errorf("TLS 1.1: got %v, want a TLS error", err)
	}
}

func TestNoProxyFromTheEnvironment(t *testing.T) {
	asked := make(chan string, 1)
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.String() }))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	c := post.New(post.Options{AllowCIDRs: loopback, Timeout: time.Second, Resolver: names{}})
	defer c.Close()
	if _, err := c.Do(t.Context(), post.Request{Method: "POST", URL: "http://proxied.example/"}); err == nil {
		t.Error("a name that does not resolve was reached")
	}
	select {
	case url := <-asked:
		t.Errorf("the proxy was asked for %s", url)
	default:
	}
}

func TestHugeResponseHeader(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Huge", strings.Repeat("x", 1<<20))
	}))
	defer server.Close()
	c := post.New(post.Options{AllowCIDRs: loopback})
	defer c.Close()
	if _, err := c.Do(t.Context(), post.Request{Method: "POST", URL: server.URL}); err == nil {
		t.Error("a header of 1 MiB was taken")
	}
}

func TestBodyCutShortKeepsTheStatus(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
	}))
	defer server.Close()
	c := post.New(post.Options{AllowCIDRs: loopback})
	defer c.Close()
	res, err := c.Do(t.Context(), post.Request{Method: "POST", URL: server.URL})
	if err != nil || res.Status != 200 || class(res.BodyErr) != "body" || !tocsin.Classify(res.BodyErr).Unsure {
		t.Errorf("got %v, status %d, body error %v", err, res.Status, res.BodyErr)
	}
}

func TestCheckHeader(t *testing.T) {
	for _, row := range []struct {
		name, value string
		ok          bool
	}{
		{"Authorization", "Bearer x", true}, {"X-Any", "täst", true}, {"X-Empty", "", true}, {"accept", "a\tb", true},
		{"X-A", "a\r\nX-B: c", false}, {"X-A", "a\nb", false}, {"X-A", "a\x00", false}, {"X A", "v", false}, {"", "v", false},
		{"X:", "v", false}, {"X\r\n", "v", false}, {"Ünï", "v", false}, {"Host", "h", false}, {"content-length", "3", false},
		{"Transfer-Encoding", "chunked", false}, {"Connection", "close", false}, {"Upgrade", "h2c", false}, {"TE", "x", false},
		{"Trailer", "x", false}, {"Expect", "100-continue", false}, {"Proxy-Authorization", "x", false},
		{"webhook-id", "x", false}, {"Webhook-Signature", "x", false}, {"webhook-anything", "x", false},
		{"X-Long", strings.Repeat("x", 8193), false}, {"X-Long", strings.Repeat("x", 8192), true},
	} {
		err := post.CheckHeader(row.name, row.value)
		if (err == nil) != row.ok {
			t.Errorf("%q: %.40q: got %v, want ok %v", row.name, row.value, err, row.ok)
		}
		if err != nil && len(row.value) > 4 && strings.Contains(err.Error(), row.value) {
			t.Errorf("%q: the error repeats the value", row.name)
		}
	}
}

func TestRetryAfterComparesWithTheReceiversClock(t *testing.T) {
	h := http.Header{"Date": {"Mon, 02 Mar 2026 08:00:00 GMT"}, "Retry-After": {"Mon, 02 Mar 2026 08:05:00 GMT"}}
	if got, want := post.RetryAfter(h, time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)), 5*time.Minute; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
