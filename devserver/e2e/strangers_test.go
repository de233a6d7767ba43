package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/devserver/devtest"
)

// visit is one request that a stranger got.
type visit struct {
	at        time.Time
	webhookID string
	// notBefore is when the answer allowed the next request; zero: it did not say.
	notBefore time.Time
}

// strangers are receivers of every bad kind, one path for each.
type strangers struct {
	server  *httptest.Server
	forever chan struct{} // closed at the end of the test
	elseURL string        // where redirects lead

	mu        sync.Mutex
	visits    map[string][]visit
	swallowed int // bytes of the huge answer that went out
}

func newStrangers(t *testing.T) *strangers {
	t.Helper()
	s := &strangers{forever: make(chan struct{}), visits: map[string][]visit{}}
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { s.note("followed", visit{at: time.Now()}) }))
	s.elseURL = other.URL
	s.server = httptest.NewServer(http.HandlerFunc(s.answer))
	t.Cleanup(func() {
		close(s.forever)
		s.server.CloseClientConnections()
		s.server.Close()
		other.Close()
	})
	return s
}

// note records a request and returns how many came before it.
func (s *strangers) note(path string, v visit) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.visits[path] = append(s.visits[path], v)
	return len(s.visits[path]) - 1
}

func (s *strangers) seen(path string) []visit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.visits[path])
}

// answer behaves as its path says.
func (s *strangers) answer(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	path := r.URL.Path[1:]
	v := visit{at: time.Now(), webhookID: r.Header.Get("webhook-id")}
	var after string
	switch path {
	case "429-seconds":
		after, v.notBefore = "2", v.at.Add(2*time.Second)
	case "429-date":
		// Dates have whole seconds, and are read against the Date of the same answer.
		v.notBefore = v.at.Truncate(time.Second).Add(4 * time.Second)
		after = v.notBefore.UTC().Format(http.TimeFormat)
		w.Header().Set("Date", v.at.UTC().Format(http.TimeFormat))
		v.notBefore = v.at.Add(v.notBefore.Sub(v.at.Truncate(time.Second)))
	case "429-decade":
		after = strconv.Itoa(10 * 365 * 24 * 3600)
	case "429-garbage":
		after = "in a while\x7f; or -3"
	}
	before := s.note(path, v)
	if after != "" {
		if before == 0 {
			w.Header().Set("Retry-After", after)
			w.WriteHeader(http.StatusTooManyRequests)
		}
		return // 200 from the second request on
	}
	s.misbehave(w, r, path, before)
}

func (s *strangers) misbehave(w http.ResponseWriter, r *http.Request, path string, before int) {
	switch path {
	case "slow":
		s.wait(r, time.Second)
	case "drip-body":
		s.drip(r, func() error {
			_, err := w.Write([]byte("."))
			return orElse(err, http.NewResponseController(w).Flush)
		})
	case "drip-head":
		conn, buf := hijack(w)
		defer conn.Close()
		fmt.Fprint(buf, "HTTP/1.1 200 OK\r\nX-Slow: ")
		s.drip(r, func() error { return orElse(buf.WriteByte('.'), buf.Flush) })
	case "never":
		s.wait(r, time.Hour)
	case "huge":
		s.pour(w, 100<<20)
	case "reset":
		conn, buf := hijack(w)
		fmt.Fprint(buf, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
		_ = buf.Flush()                      // it is to be cut off anyway
		_ = conn.(*net.TCPConn).SetLinger(0) // RST instead of FIN
		_ = conn.Close()
	case "reset-early":
		conn, _ := hijack(w)
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	case "redirect":
		http.Redirect(w, r, s.elseURL+"/secret", http.StatusTemporaryRedirect)
	case "redirect-metadata":
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
	case "flip":
		if before%2 == 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}
}

// orElse returns err, or what do returns when there is none.
func orElse(err error, do func() error) error {
	if err != nil {
		return err
	}
	return do()
}

// wait returns after d, when the caller leaves, or at the end of the test.
func (s *strangers) wait(r *http.Request, d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	case <-s.forever:
	}
}

// drip writes once a second until that fails.
func (s *strangers) drip(r *http.Request, write func() error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for write() == nil {
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		case <-s.forever:
			return
		}
	}
}

// pour writes n bytes, or as many as are taken.
func (s *strangers) pour(w io.Writer, n int) {
	block := make([]byte, 64<<10)
	for range n / len(block) {
		some, err := w.Write(block)
		s.mu.Lock()
		s.swallowed += some
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func hijack(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter) {
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	return conn, buf
}

// Webhooks whose receivers behave in every bad way stand beside a healthy one. The
// healthy one gets everything, each bad one ends in the state its receiver deserves, and
// nobody is asked again before they allowed it. The healthy one's latency is printed for
// both halves of the run.
func TestReceiversBesideEachOther(t *testing.T) {
	s := newStrangers(t)
	receiver := devtest.NewReceiver(t)
	d := devtest.StartDev(t, devtest.DevOptions{})
	make1 := func(name, kind, url string) {
		d.MustCreate(map[string]any{
			"name": name, "channel": "webhook", "frequency": "instant", "events": []string{kind}, "config": map[string]any{"url": url},
		})
	}
	make1("healthy", "custom.good", receiver.URL("healthy"))
	alone := latencies(t, d.Client, receiver, 150)

	names := []string{
		"slow", "drip-body", "drip-head", "never", "huge", "reset", "reset-early", "redirect", "redirect-metadata", "flip",
		"429-seconds", "429-date", "429-decade", "429-garbage",
	}
	for _, name := range names {
		make1(name, "custom.bad", s.server.URL+"/"+name)
	}
	d.MustSend(devtest.Events("custom.bad", 20)...)
	for _, name := range names {
		devtest.Until(t, name+" to be asked", func() error {
			if len(s.seen(name)) == 0 {
				return errNotYet
			}
			return nil
		})
	}
	beside := latencies(t, d.Client, receiver, 150)
	t.Logf("healthy webhook, sent to received: alone p50 %s p95 %s; beside %d bad ones p50 %s p95 %s; ratio p50 %.2f, p95 %.2f",
		alone.p50, alone.p95, len(names), beside.p50, beside.p95, ratio(beside.p50, alone.p50), ratio(beside.p95, alone.p95))
	if b := d.MustSettle("healthy"); b.Delivered != 300 || b.Accepted != 300 {
		t.Errorf("the healthy webhook's ledger says %+v, want 300 delivered", b)
	}

	for _, name := range []string{"slow", "drip-body", "huge", "reset", "flip", "429-seconds", "429-date", "429-decade", "429-garbage"} {
		if b := d.MustSettle(name); b.Delivered != b.Accepted {
			t.Errorf("%s: the ledger says %+v, want all delivered", name, b)
		}
	}
	s.mustBeRespected(t)
	for _, name := range []string{"429-decade", "429-garbage"} {
		if first := mustAttempts(t, d.Client, name)[0]; first.RetryAfter != 0 {
			t.Errorf("%s: the attempt believes in a Retry-After of %s", name, first.RetryAfter)
		}
	}
	for _, name := range []string{"drip-head", "never"} {
		mustHold(t, d.Client, name, "timeout", tocsin.StateActive, tocsin.StateFailing)
	}
	mustHold(t, d.Client, "reset-early", "reset", tocsin.StateActive, tocsin.StateFailing)
	for _, name := range []string{"redirect", "redirect-metadata"} {
		mustHold(t, d.Client, name, "status", tocsin.StateFailing)
	}
	if n := len(s.seen("followed")); n > 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
	// The sockets' own buffers take some more than was read.
	if s.mu.Lock(); s.swallowed > 32<<20 {
		t.Errorf("%d bytes of a huge answer were taken", s.swallowed)
	}
	s.mu.Unlock()
	mustKeepLittle(t, d.Client)
	mustBalance(t, d.Client)
}

// mustBeRespected checks that no request came before the answer to the one before
// allowed it, and that a delivery kept its id.
func (s *strangers) mustBeRespected(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, visits := range s.visits {
		for i := 1; i < len(visits); i++ {
			if allowed := visits[i-1].notBefore; i == 1 && !allowed.IsZero() && visits[i].at.Before(allowed) {
				t.Errorf("%s was asked again %s before it allowed that", name, allowed.Sub(visits[i].at))
			}
			if i == 1 && name != "slow" && name != "huge" && name != "drip-body" && name != "reset" && name != "followed" && visits[0].webhookID != visits[1].webhookID {
				t.Errorf("%s got its delivery again as %s and not as %s", name, visits[1].webhookID, visits[0].webhookID)
			}
		}
	}
}

// latency is how long events took from being sent to being received.
type latency struct{ p50, p95 time.Duration }

// latencies sends events one after the other, each when the one before has arrived.
func latencies(t *testing.T, c devtest.Client, receiver *devtest.Receiver, n int) latency {
	t.Helper()
	var all []time.Duration
	for _, e := range devtest.Events("custom.good", n) {
		began, before := time.Now(), len(receiver.All())
		c.MustSend(e)
		got := receiver.MustCount(before + 1)
		all = append(all, got[before].At.Sub(began))
	}
	slices.Sort(all)
	return latency{all[len(all)/2].Round(10 * time.Microsecond), all[len(all)*95/100].Round(10 * time.Microsecond)}
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

// mustAttempts returns the attempts of a webhook's oldest delivery.
func mustAttempts(t *testing.T, c devtest.Client, name string) []tocsin.Attempt {
	t.Helper()
	var page struct {
		Items []struct {
			ID string `json:"id"`
		} `json:"items"`
	}
	c.Must(http.MethodGet, "/v1/webhooks/"+url.PathEscape(name)+"/deliveries?limit=1000", nil, &page)
	if len(page.Items) == 0 {
		t.Fatalf("%s has no delivery", name)
	}
	var delivery struct {
		Attempts []tocsin.Attempt `json:"attempt_log"`
	}
	c.Must(http.MethodGet, "/v1/deliveries/"+page.Items[len(page.Items)-1].ID, nil, &delivery)
	if len(delivery.Attempts) == 0 {
		t.Fatalf("%s was never tried", name)
	}
	return delivery.Attempts
}

// mustHold waits until an attempt of a webhook has failed for the reason given, and checks
// that its events are held, with a next try.
func mustHold(t *testing.T, c devtest.Client, name, class string, states ...tocsin.State) {
	t.Helper()
	devtest.Until(t, name+" to fail with "+class, func() error {
		for _, a := range mustAttempts(t, c, name) {
			if a.FinishedAt == nil {
				continue
			}
			if a.ErrorClass != class {
				t.Errorf("%s failed with %q (%s), want %q", name, a.ErrorClass, a.Error, class)
			}
			return nil
		}
		return errNotYet
	})
	var w struct {
		tocsin.Webhook
		tocsin.Activity
		Balance tocsin.Balance `json:"balance"`
	}
	c.Must(http.MethodGet, "/v1/webhooks/"+name, nil, &w)
	if !slices.Contains(states, w.State) || w.Failures == 0 || w.DueAt == nil || w.LastError == "" {
		t.Errorf("%s is %s with %d failures, due %v, last error %q; want one of %v, and when it is tried next", name, w.State, w.Failures, w.DueAt, w.LastError, states)
	} else if ahead := time.Until(*w.DueAt); ahead > time.Hour {
		t.Errorf("%s is tried again only in %s", name, ahead)
	}
	if w.Balance.Delivered+w.Balance.Dead > 0 {
		t.Errorf("%s has lost what it holds: %+v", name, w.Balance)
	}
}

// mustKeepLittle checks how much of the huge answer is stored.
func mustKeepLittle(t *testing.T, c devtest.Client) {
	t.Helper()
	for _, a := range mustAttempts(t, c, "huge") {
		for _, x := range a.Exchanges {
			if n := len([]rune(x.ResponseBody)); n > tocsin.MaxResponseKept {
				t.Errorf("%d characters of the huge answer are kept, want at most %d", n, tocsin.MaxResponseKept)
			}
		}
	}
}

// mustBalance checks the ledger of every webhook.
func mustBalance(t *testing.T, c devtest.Client) {
	t.Helper()
	all, err := c.Balances()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range all {
		if b.Difference() != 0 {
			t.Errorf("the ledger of %s is off by %d: %+v", name, b.Difference(), b)
		}
	}
}
