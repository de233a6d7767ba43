package pagerduty_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// routingKey is the secret.
const routingKey = "e93facc04764012d7bfb002500d5d1a6"

func config(url string) string {
	return `{"routing_key":"` + routingKey + `","region":"eu","url":"` + url + `/v2/enqueue","client":"Tocsin (prod)"}`
}

// event is what the Events API reads of a body, by its own documentation.
type event struct {
	RoutingKey string `json:"routing_key"`
	Action     string `json:"event_action"`
	DedupKey   string `json:"dedup_key"`
	Client     string `json:"client"`
	ClientURL  string `json:"client_url"`
	Links      []struct{ Href, Text string }
	Payload    *struct {
		Summary, Source, Severity, Timestamp string
		Component, Group, Class              string
		CustomDetails                        map[string]any `json:"custom_details"`
	}
}

func read(t *testing.T, body string) event {
	t.Helper()
	var e event
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatalf("reading the event: %v", err)
	}
	return e
}

// vendor plays the Events API: it refuses what the documentation says that it refuses, in
// its words, and keeps alerts.
type vendor struct {
	*httptest.Server
	mu      sync.Mutex
	key     string
	alerts  map[string]string // state by dedup key: triggered, acknowledged, resolved
	opened  int
	log     []string // what was done, in order
	bodies  []string
	changes int
	// fail answers in place of the vendor; nil or false: as usual.
	fail func(e event, w http.ResponseWriter) bool
}

func newVendor(t *testing.T) *vendor {
	t.Helper()
	v := &vendor{key: routingKey, alerts: map[string]string{}}
	v.Server = httptest.NewServer(v)
	t.Cleanup(v.Close)
	return v
}

func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the sender is gone
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.bodies = append(v.bodies, string(body))
	var e event
	switch {
	case r.Method != http.MethodPost:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case len(body) > 512_000:
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	case json.Unmarshal(body, &e) != nil || !utf8.Valid(body):
		refuse(w, "Unrecognized object", "Event object format is unrecognized", "JSON parse error")
	case v.fail != nil && v.fail(e, w):
	case r.URL.Path == "/v2/change/enqueue":
		v.change(w, e, body)
	case r.URL.Path == "/v2/enqueue":
		v.alert(w, e)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func refuse(w http.ResponseWriter, status, message string, errors ...string) {
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "message": message, "errors": errors}) // the test notices what is missing
}

var alphanumeric = regexp.MustCompile(`^[A-Za-z0-9]*$`)

// problems are what is wrong with an event of either kind.
func (v *vendor) problems(e event) []string {
	var out []string
	add := func(bad bool, format string, args ...any) {
		if bad {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	add(len(e.RoutingKey) != 32, "Length of 'routing_key' is incorrect (should be 32 characters)")
	add(!alphanumeric.MatchString(e.RoutingKey), "'routing_key' cannot contain non-alphanumeric characters.")
	for _, l := range e.Links {
		add(l.Href == "", "'links.href' is missing or blank")
	}
	if e.Payload == nil {
		add(true, "'payload' is missing or blank")
		return out
	}
	add(strings.TrimSpace(e.Payload.Summary) == "", "'payload.summary' is missing or blank")
	add(utf8.RuneCountInString(e.Payload.Summary) > 1024, "'payload.summary' is too long (maximum is 1024 characters)")
	_, err := time.Parse(time.RFC3339, e.Payload.Timestamp)
	add(e.Payload.Timestamp != "" && err != nil, "'payload.timestamp' is invalid")
	return out
}

func (v *vendor) alert(w http.ResponseWriter, e event) {
	bad := v.problems(e)
	if e.Payload != nil {
		if strings.TrimSpace(e.Payload.Source) == "" {
			bad = append(bad, "'payload.source' is missing or blank")
		}
		if !strings.Contains("critical error warning info", e.Payload.Severity) || e.Payload.Severity == "" {
			bad = append(bad, "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')")
		}
	}
	if utf8.RuneCountInString(e.DedupKey) > 255 || e.DedupKey == "" {
		bad = append(bad, "'dedup_key' is invalid")
	}
	switch {
	case len(bad) > 0:
		refuse(w, "invalid event", "Event object is invalid", bad...)
		return
	case e.RoutingKey != v.key:
		refuse(w, "invalid event", "Invalid routing key")
		return
	}
	open := v.alerts[e.DedupKey] == "triggered" || v.alerts[e.DedupKey] == "acknowledged"
	switch {
	case e.Action == "trigger":
		if !open {
			v.opened++
			v.alerts[e.DedupKey] = "triggered"
		}
	case e.Action == "acknowledge" && open:
		v.alerts[e.DedupKey] = "acknowledged"
	case e.Action == "resolve" && open:
		v.alerts[e.DedupKey] = "resolved"
	case e.Action != "acknowledge" && e.Action != "resolve":
		refuse(w, "invalid event", "Event object is invalid", "'event_action' is invalid")
		return
	}
	v.log = append(v.log, e.Action+" "+e.DedupKey)
	accept(w, e)
}

// change events have no severity, no dedup key and no client.
func (v *vendor) change(w http.ResponseWriter, e event, body []byte) {
	bad := v.problems(e)
	for _, field := range []string{`"event_action"`, `"dedup_key"`, `"severity"`, `"client"`, `"images"`} {
		if bytes.Contains(body, []byte(field+":")) {
			bad = append(bad, field+" is not part of a change event")
		}
	}
	if len(bad) > 0 || strings.HasPrefix(e.RoutingKey, "R") {
		refuse(w, "invalid event", "Event object is invalid", bad...)
		return
	}
	v.changes++
	accept(w, e)
}

func accept(w http.ResponseWriter, e event) {
	w.WriteHeader(http.StatusAccepted)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": "success", "message": "Event processed", "dedup_key": e.DedupKey}) // as above
}

// open returns a sender with a configuration.
func open(t *testing.T, config string) tocsin.Sender {
	t.Helper()
	c := post.New(post.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	t.Cleanup(c.Close)
	ch := newChannel(c, slog.New(slog.DiscardHandler))
	if err := ch.Validate(t.Context(), json.RawMessage(config)); err != nil {
		t.Fatal(err)
	}
	s, err := ch.Open(json.RawMessage(config))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// nobody is a client that may send to public addresses alone, and reaches none.
func nobody(t *testing.T) *post.Client {
	t.Helper()
	c := post.New(post.Options{Timeout: time.Nanosecond})
	t.Cleanup(c.Close)
	return c
}

// bodies are what would be sent, by a sender to nowhere.
func bodies(t *testing.T, n tocsin.Notification) []string {
	t.Helper()
	x, err := open(t, `{"routing_key":"`+routingKey+`"}`).Preview(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]string, len(x))
	for i := range x {
		out[i] = x[i].RequestBody
	}
	return out
}
