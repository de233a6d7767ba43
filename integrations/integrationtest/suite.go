package integrationtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// Spec describes a channel to the suite.
type Spec struct {
	// New returns the channel on a client. Required.
	New func(client *post.Client, log *slog.Logger) tocsin.Channel
	// Config returns a configuration that sends to url (scheme and host), with every
	// secret of Secrets and, where it can be, every key of the schema. Required.
	Config func(url string) string
	// Secrets are the texts in Config that must never be shown. Required.
	Secrets []string
	// Accept is how the vendor says yes; the body has been read and unpacked. Required without
	// Peer.
	Accept http.HandlerFunc
	// Statuses replaces rows of the status table, and adds to it.
	Statuses map[int]Outcome
	// Patience is what the channel waits after a 429 without a usable Retry-After, where the
	// vendor asks for it.
	Patience time.Duration
	// BodyDecides says that a 200 alone is no yes: the vendor says it in the body, or with
	// another status.
	BodyDecides bool
	// Prelude answers requests that come before the real one (for a token), and reports
	// whether it was one; nil for none. What it answers is not among what is Received.
	Prelude func(w http.ResponseWriter, r *http.Request) bool
	// Peer plays the vendor of a channel that does not speak HTTP, in place of Accept; Config
	// gets its Addr in place of a URL. The tests about HTTP are left out then, and the channel
	// brings its own.
	Peer func(t *testing.T, b Behaviour) Peer
	// IdempotencyKey reads the vendor's idempotency field from the requests of one Send;
	// nil when the vendor has none.
	IdempotencyKey func(sent []Received) string
	// Limits are the texts that the vendor limits in length.
	Limits []Limit
	// Golden is the folder of the golden files below testdata; "": golden.
	Golden string
	// Events are cases for golden files besides the suite's own.
	Events map[string][]tocsin.Event
}

// Outcome is what an answer means.
type Outcome struct {
	Fault tocsin.Fault // "": accepted
	// Unsure says that the request may have been accepted.
	Unsure bool
}

// Limit is a text of an event that the vendor limits.
type Limit struct {
	Name string
	// Max is the limit of the text itself, without what the channel puts before it.
	Max int
	// Size measures text as the vendor does.
	Size func(text string) int
	// Event returns an event with the text in the place that is limited.
	Event func(text string) tocsin.Event
	// Rendered finds the text in a request's body, without what stands before it.
	Rendered func(t *testing.T, body string) string
}

// Run holds a channel to everything a channel must do.
func Run(t *testing.T, spec Spec) {
	tests := map[string]func(*testing.T, Spec){
		"config": testConfig, "schema": testSchema, "unknown keys": testUnknownKeys, "secrets": testSecrets, "formatted": testFormatted,
		"events unchanged": testUnchanged, "concurrent use": testConcurrent, "idempotency": testIdempotency, "preview": testPreview,
		"limits": testLimits, "golden": testGolden, "no events": testNoEvents, "egress": testEgress, "refused": testRefused,
	}
	if spec.Peer != nil {
		tests["behaviours"] = testBehaviours
	} else {
		maps.Copy(tests, map[string]func(*testing.T, Spec){
			"redirects": testRedirects, "statuses": testStatuses, "retry-after": testRetryAfter, "timeout": testTimeout, "cancelled": testCancelled,
			"lost connections": testLostConnections, "bodies closed": testBodiesClosed, "endless body": testEndlessBody, "echoes": testEchoes,
			"torture": testTorture, "100 MB": testHundredMegabytes, "HTTP/1.0": testOldHTTP, "encodings": testNothingIsDecoded,
			"credentials in the URL": testUserInfo,
		})
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, spec) })
	}
}

// Received is one request as a receiver saw it.
type Received struct {
	Method string
	URL    string
	Header http.Header
	Body   string
}

// loopback is what the suite's clients may send to besides public addresses.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// client returns a client that may send to the suite's receivers.
func client(t *testing.T, timeout time.Duration) *post.Client {
	c := post.New(post.Options{AllowCIDRs: loopback, Timeout: timeout})
	t.Cleanup(c.Close)
	return c
}

// opened is a channel with a sender.
type opened struct {
	tocsin.Channel
	tocsin.Sender
	config json.RawMessage
	log    *logs
}

// open completes the spec's configuration for url, and opens it.
func (s Spec) open(t *testing.T, c *post.Client, url string) opened {
	t.Helper()
	o := opened{log: &logs{}}
	o.Channel = s.New(c, slog.New(slog.NewTextHandler(o.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	var err error
	if o.config, _, err = o.Complete(json.RawMessage(s.Config(url))); err != nil {
		t.Fatalf("Complete: %v", err)
	}
	if o.Sender, err = o.Open(o.config); err != nil {
		t.Fatalf("Open: %v", err)
	}
	return o
}

// before answers preludes, and leaves the rest to h.
func (s Spec) before(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.Prelude == nil || !s.Prelude(w, r) {
			h(w, r)
		}
	}
}

// serve starts a receiver.
func (s Spec) serve(h http.HandlerFunc) *httptest.Server { return httptest.NewServer(s.before(h)) }

// somewhere is an address that can be opened, where nobody is.
func (s Spec) somewhere() string {
	if s.Peer != nil {
		return "127.0.0.1:1"
	}
	return "http://127.0.0.1:1"
}

// example is the address in golden files.
func (s Spec) example() string {
	if s.Peer != nil {
		return "receiver.example.com:5140"
	}
	return "https://receiver.example.com"
}

// configFor is the spec's configuration with any text for an address.
func (s Spec) configFor(text string) json.RawMessage {
	const placeholder = "http://placeholder"
	return json.RawMessage(strings.ReplaceAll(s.Config(placeholder), placeholder, text))
}

// discard is a logger for what is not looked at.
func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// logs keeps what was logged.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// one is a notification of one ordinary event.
func one(t *testing.T) tocsin.Notification { return Notify(Pick(t, "it-agent")...) }

// outcome of an error, in the words of the table.
func outcome(err error) Outcome {
	if err == nil {
		return Outcome{}
	}
	s := tocsin.Classify(err)
	return Outcome{s.Fault, s.Unsure}
}

// classOf is the error's class.
func classOf(err error) string {
	var c interface{ ErrorClass() string }
	if errors.As(err, &c) {
		return c.ErrorClass()
	}
	return ""
}

// everything is all that a person could be shown of a send.
func everything(t *testing.T, receipt tocsin.Receipt, err error) string {
	t.Helper()
	text, jerr := json.Marshal(receipt)
	if jerr != nil {
		t.Fatalf("encoding the receipt: %v", jerr)
	}
	// Errors in a receipt do not encode; they are shown all the same.
	for _, r := range receipt.Results {
		text = append(text, fmt.Sprintf(" %v", r.Err)...)
	}
	return string(text) + fmt.Sprintf(" %v %+v %#v", err, err, chain(err))
}

// chain lists the texts of an error and of everything it wraps.
func chain(err error) []string {
	var out []string
	for ; err != nil; err = errors.Unwrap(err) {
		out = append(out, err.Error())
	}
	return out
}

// bg is a context that ends with the test, and before go test's own deadline.
func bg(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
