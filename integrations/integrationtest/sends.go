package integrationtest

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// recorder is a receiver that keeps what it gets.
type recorder struct {
	URL string
	mu  sync.Mutex
	got []Received
	// peer is where it is, for a channel that does not speak HTTP.
	peer *Peer
}

// accepting starts a receiver that says yes to everything.
func accepting(t *testing.T, s Spec) *recorder {
	t.Helper()
	if s.Peer != nil {
		p := s.Peer(t, Accepts)
		return &recorder{URL: p.Addr, peer: &p}
	}
	r := &recorder{}
	server := s.serve(func(w http.ResponseWriter, req *http.Request) {
		body, err := unpack(req)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		r.got = append(r.got, Received{req.Method, req.URL.String(), req.Header.Clone(), body})
		r.mu.Unlock()
		s.Accept(w, req)
	})
	t.Cleanup(server.Close)
	r.URL = server.URL
	return r
}

// yes answers as the vendor does when it accepts.
func (s Spec) yes(w http.ResponseWriter, req *http.Request) {
	if _, err := unpack(req); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.Accept(w, req)
}

// unpack reads a body without its compression, and leaves it to be read again.
func unpack(req *http.Request) (string, error) {
	var from io.Reader = req.Body
	if req.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(req.Body)
		if err != nil {
			return "", err
		}
		from = z
	}
	body, err := io.ReadAll(from)
	if err != nil {
		return "", err
	}
	// Its end, too, where a compressed one was read by its own.
	_, err = io.Copy(io.Discard, req.Body)
	req.Body = io.NopCloser(bytes.NewReader(body))
	return string(body), err
}

func (r *recorder) received() []Received {
	if r.peer != nil {
		return r.peer.Received()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Received(nil), r.got...)
}

// noSecret fails when text shows a secret, in any of its forms.
func noSecret(t *testing.T, s Spec, where, text string) {
	t.Helper()
	for _, secret := range s.Secrets {
		quoted, err := json.Marshal(secret)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret), string(quoted[1 : len(quoted)-1])} {
			if strings.Contains(text, form) {
				t.Errorf("%s shows the secret %q", where, secret)
				break
			}
		}
	}
}

// testEchoes sends to receivers that repeat all they got, in every way a send can end.
func testEchoes(t *testing.T, s Spec) {
	echo := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			seen := fmt.Sprintf("%s %s %v", r.URL, r.URL.Path, r.Header)
			w.Header().Set("X-Echo", r.URL.String())
			w.Header().Set("Set-Cookie", "session="+base64.StdEncoding.EncodeToString([]byte("c")))
			w.Header().Set("Location", "http://"+r.Host+r.URL.String())
			w.WriteHeader(status)
			// Once at the start, and once across the border of what is kept.
			fmt.Fprint(w, seen, strings.Repeat(" ", max(0, tocsin.MaxResponseKept-len(seen)-len(seen)/2)), seen)
		}
	}
	for _, status := range []int{200, 302, 400, 401, 410, 429, 500} {
		server := s.serve(echo(status))
		o := s.open(t, client(t, 0), server.URL)
		receipt, err := o.Send(bg(t), one(t))
		server.Close()
		noSecret(t, s, fmt.Sprintf("a send answered %d", status), everything(t, receipt, err))
		noSecret(t, s, "the log", o.log.String())
		preview, err := o.Preview(bg(t), one(t))
		noSecret(t, s, "the preview", everything(t, tocsin.Receipt{Exchanges: preview}, err))
		if err != nil {
			t.Errorf("Preview: %v", err)
		}
	}
}

// testSecrets sends where nobody takes anything, and looks at what is said of it.
func testSecrets(t *testing.T, s Spec) {
	// No receiver, a name that cannot be, and one that does not speak TLS.
	nowhere, bad := []string{"http://127.0.0.1:1", "http://receiver.invalid", "https://127.0.0.1:1"},
		[]string{"ftp://h", "http://a:b@h", "http://h:99999", "http://[::1", "http://h/%zz", "", "http://10.0.0.1"}
	if s.Peer != nil {
		nowhere, bad = []string{"127.0.0.1:1", "receiver.invalid:9"}, []string{"a:b@h:1", "h:99999", "[::1", "h/x:1", "10.0.0.1:25"}
	}
	for _, to := range nowhere {
		o := s.open(t, client(t, time.Second), to)
		receipt, err := o.Send(bg(t), one(t))
		if err == nil {
			t.Errorf("sending to %s: want an error", to)
		}
		noSecret(t, s, "a send to "+to, everything(t, receipt, err))
	}
	for _, bad := range bad {
		o := s.open(t, client(t, 0), s.somewhere())
		text := s.configFor(bad)
		err := o.Validate(bg(t), json.RawMessage(text))
		var invalid *tocsin.Error
		if !errors.As(err, &invalid) {
			t.Errorf("Validate of a URL beginning with %q: got %v, want invalid", bad, err)
			continue
		}
		noSecret(t, s, "the error about "+bad, err.Error())
	}
}

func testUnchanged(t *testing.T, s Spec) {
	server := accepting(t, s)
	o := s.open(t, client(t, 0), server.URL)
	n := Notify(Events(t)...)
	n.Refs = map[string]json.RawMessage{n.Events[0].DedupKey: json.RawMessage(`{"v":1}`)}
	if _, err := o.Send(bg(t), n); err != nil {
		t.Errorf("Send: %v", err)
	}
	if _, err := o.Preview(bg(t), n); err != nil {
		t.Errorf("Preview: %v", err)
	}
	for i := range n.Events {
		_ = o.BatchKey(&n.Events[i]) // it must not change the event either
	}
	if diff := cmp.Diff(Events(t), n.Events); diff != "" {
		t.Errorf("the events were changed (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(`{"v":1}`, string(n.Refs[n.Events[0].DedupKey])); diff != "" {
		t.Errorf("the refs were changed (-before +after):\n%s", diff)
	}
}

func testConcurrent(t *testing.T, s Spec) {
	const senders, each = 8, 5
	server := accepting(t, s)
	o := s.open(t, client(t, 0), server.URL)
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for j := range each {
				n := one(t)
				n.Events[0].Title = fmt.Sprintf("unmistakable %d/%d", i, j)
				n.DeliveryID = fmt.Sprintf("dlv_%d_%d", i, j)
				if _, err := o.Send(t.Context(), n); err != nil {
					t.Errorf("Send %d/%d: %v", i, j, err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]int{}
	for _, r := range server.received() {
		for i := range senders {
			for j := range each {
				if strings.Contains(r.Body, fmt.Sprintf("unmistakable %d/%d", i, j)) {
					seen[fmt.Sprintf("%d/%d", i, j)]++
				}
			}
		}
	}
	for what, n := range seen {
		if n != 1 {
			t.Errorf("%s arrived %d times", what, n)
		}
	}
	if len(seen) != senders*each {
		t.Errorf("%d of %d arrived as themselves", len(seen), senders*each)
	}
}

func testIdempotency(t *testing.T, s Spec) {
	if s.IdempotencyKey == nil {
		t.Log("the vendor has no idempotency key")
		return
	}
	server := accepting(t, s)
	o := s.open(t, client(t, 0), server.URL)
	first := one(t)
	second := one(t)
	second.Attempt, second.At, second.Uncertain = 2, At.Add(time.Hour), true
	other := one(t)
	other.DeliveryID = "dlv_01JOTHER0000000000000000"
	var keys []string
	for _, n := range []tocsin.Notification{first, second, other} {
		before := len(server.received())
		if _, err := o.Send(bg(t), n); err != nil {
			t.Fatalf("Send: %v", err)
		}
		keys = append(keys, s.IdempotencyKey(server.received()[before:]))
	}
	if a, b, c := keys[0], keys[1], keys[2]; a == "" || a != b || a == c {
		t.Errorf("keys of first attempt, second attempt and another delivery: %q, %q, %q; want two equal, one other", a, b, c)
	}
}

// testPreview checks that a preview is what is sent, and that both are the same for
// equal input.
func testPreview(t *testing.T, s Spec) {
	server := accepting(t, s)
	o := s.open(t, client(t, 0), server.URL)
	n := Notify(ordinary(t)...)
	first, err := o.Preview(bg(t), n)
	if err != nil || len(first) == 0 {
		t.Fatalf("Preview: %d requests, %v", len(first), err)
	}
	if len(server.received()) != 0 {
		t.Error("Preview sent something")
	}
	second, err := o.Preview(bg(t), n)
	if diff := cmp.Diff(first, second); diff != "" || err != nil {
		t.Errorf("two previews differ, error %v (-first +second):\n%s", err, diff)
	}
	if _, err := o.Send(bg(t), n); err != nil {
		t.Fatalf("Send: %v", err)
	}
	got := server.received()[0]
	for _, secret := range s.Secrets { // one may travel in the body
		got.Body = strings.ReplaceAll(got.Body, secret, tocsin.Redacted)
	}
	if diff := cmp.Diff(first[0].RequestBody, got.Body); diff != "" || first[0].Method != got.Method {
		t.Errorf("the preview is not what was sent (-preview +sent):\n%s", diff)
	}
	for name, value := range first[0].RequestHeaders {
		if sent := strings.Join(got.Header.Values(name), ", "); value != tocsin.Redacted && sent != value {
			t.Errorf("header %s: preview %q, sent %q", name, value, sent)
		}
	}
}
