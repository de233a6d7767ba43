package webhook_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// open returns a sender; more are members of the configuration, as JSON.
func open(t *testing.T, url string, more string) tocsin.Sender {
	t.Helper()
	c := newChannel(t)
	config, _, err := c.Complete(json.RawMessage(`{"url":"` + url + `","signing_secret":["` + secret + `","` + oldSecret + `"]` + more + `}`))
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// bodyOf is the body that a template makes of events.
func bodyOf(t *testing.T, template string, events ...tocsin.Event) (string, error) {
	t.Helper()
	more, err := json.Marshal(template)
	if err != nil {
		t.Fatal(err)
	}
	x, err := open(t, "https://r.example.com", `,"body_template":`+string(more)).Preview(t.Context(), integrationtest.Notify(events...))
	if err != nil {
		return "", err
	}
	return x[0].RequestBody, nil
}

// TestSignature lets the reference verifier judge both secrets of a rotation.
func TestSignature(t *testing.T) {
	var header http.Header
	var body bytes.Buffer
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		header = r.Header.Clone()
		if _, err := body.ReadFrom(r.Body); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	n := integrationtest.Notify(integrationtest.Pick(t, "it-hostile")...)
	n.At = time.Now() // the verifier compares with its own clock
	if _, err := open(t, server.URL, "").Send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{secret, oldSecret} {
		wh, err := standardwebhooks.NewWebhook(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := wh.Verify(body.Bytes(), header); err != nil {
			t.Errorf("verifying: %v", err)
		}
		if err := wh.Verify(append(body.Bytes(), ' '), header); err == nil {
			t.Error("a changed body was verified")
		}
	}
	if got, want := header.Get("webhook-timestamp"), strconv.FormatInt(n.At.Unix(), 10); got != want {
		t.Errorf("webhook-timestamp %s, want %s", got, want)
	}
	if got := header.Get("webhook-id"); got != n.DeliveryID {
		t.Errorf("webhook-id %s, want %s", got, n.DeliveryID)
	}
}

// TestThreatPayloadShape holds the body to the published keys, and to nothing else.
func TestThreatPayloadShape(t *testing.T) {
	x, err := open(t, "https://r.example.com", "").Preview(t.Context(), integrationtest.Notify(integrationtest.Pick(t, "it-threat-1", "it-threat-2")...))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(x[0].RequestBody), &got); err != nil {
		t.Fatal(err)
	}
	shape := map[string]any{}
	for path := range paths("", got) {
		shape[path] = true
	}
	want := map[string]any{}
	for _, p := range strings.Fields(`maliciousEvents maliciousEvents.actor maliciousEvents.apiCollectionId maliciousEvents.country
		maliciousEvents.eventType maliciousEvents.filterId maliciousEvents.ip maliciousEvents.method maliciousEvents.subCategory
		maliciousEvents.timestamp maliciousEvents.type maliciousEvents.url maliciousEvents.maliciousPayloadsResponses
		maliciousEvents.maliciousPayloadsResponses.orig maliciousEvents.maliciousPayloadsResponses.ts
		overview overview.description overview.details overview.impact
		remediation remediation.title remediation.steps remediation.steps.title remediation.steps.text`) {
		want[p] = true
	}
	if diff := cmp.Diff(want, shape); diff != "" {
		t.Errorf("keys (-published +ours):\n%s", diff)
	}
	if n := len(got["maliciousEvents"].([]any)); n != 2 {
		t.Errorf("%d elements, want 2", n)
	}
}

// paths lists every key of v, lists left out of the path.
func paths(at string, v any) map[string]bool {
	out := map[string]bool{}
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			path := strings.TrimPrefix(at+"."+k, ".")
			out[path] = true
			for p := range paths(path, inner) {
				out[p] = true
			}
		}
	case []any:
		for _, inner := range v {
			for p := range paths(at, inner) {
				out[p] = true
			}
		}
	}
	return out
}

func TestBatchKeysKeepThreatsApart(t *testing.T) {
	c := newChannel(t)
	keys := map[string][]string{}
	for _, e := range integrationtest.Events(t) {
		key := c.BatchKey(&e)
		keys[key] = append(keys[key], e.ID)
	}
	var groups [][]string
	for key, ids := range keys {
		if strings.HasPrefix(key, "threat:") {
			groups = append(groups, ids)
		} else if key != "events" {
			t.Errorf("key %q", key)
		}
	}
	if len(groups) != 2 || len(keys["events"]) != len(integrationtest.Events(t))-3 {
		t.Errorf("threats in groups %v, %d other events; want two groups by guidance", groups, len(keys["events"]))
	}
}

func TestDataPassesByteForByte(t *testing.T) {
	e := integrationtest.Pick(t, "it-agent")[0]
	e.Data = json.RawMessage(`{ "z":1.0e3,	"big":12345678901234567890123,  "esc":"\u003c\/",` + "\n" + `"a":1,"a":2 }`)
	x, err := open(t, "https://r.example.com", "").Preview(t.Context(), integrationtest.Notify(e))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(x[0].RequestBody, `"data":`+string(e.Data)) || !json.Valid([]byte(x[0].RequestBody)) {
		t.Errorf("the data is not in the body as it came: %s", x[0].RequestBody)
	}
}

func TestVariables(t *testing.T) {
	events := append(integrationtest.Pick(t, "it-endpoint", "it-parameter", "it-sensitive", "it-threat-1"), integrationtest.Pick(t, "it-hostile")...)
	got, err := bodyOf(t, `{"e":${AKTO.changes_info.newEndpoints},"ec":${AKTO.changes_info.newEndpointsCount},`+
		`"s":${AKTO.changes_info.newSensitiveEndpoints},"sc":${AKTO.changes_info.newSensitiveEndpointsCount},`+
		`"p":${AKTO.changes_info.newParametersCount},"sp":${AKTO.changes_info.newSensitiveParametersCount},`+
		`"summaries":[{{range $i, $e := .Events}}{{if $i}},{{end}}{{toJSON $e.summary}}{{end}}],`+
		`"t":{{len .ChangesInfo.apiThreatPayloads}}}`, events...)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"e":[{"host":"pay.example.com","path":"/v2/payers","method":"DELETE","apiCollectionId":1700000001,"collectionName":"pay.example.com"}],"ec":1,` +
		`"s":[{"url":"pay.example.com/v2/payers","method":"GET","subTypes":["CREDIT_CARD","EMAIL"],"link":"https://console.example.com/endpoints/payers",` +
		`"apiCollectionId":1700000001,"collectionName":"pay.example.com"}],"sc":1,"p":1,"sp":1,`
	if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, `"t":1}`) {
		t.Errorf("got  %s\nwant %s…", got, want)
	}
	// An event's text that looks like a variable stays what it is.
	if !strings.Contains(got, "${AKTO.changes_info.newEndpoints}") || !json.Valid([]byte(got)) {
		t.Errorf("the hostile summary was touched: %s", got)
	}
}

func TestTemplateKeepsLargeNumbers(t *testing.T) {
	e := integrationtest.Pick(t, "it-agent")[0]
	e.Data = json.RawMessage(`{"id":9007199254740993,"huge":123456789012345678901,"f":0.1}`)
	got, err := bodyOf(t, `[{{range .Events}}{{.data.id}},{{.data.huge}},{{.data.f}},{{if gt .data.id 5}}1{{end}}{{end}}]`, e)
	if want := "[9007199254740993,123456789012345678901,0.1,1]"; got != want || err != nil {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}

func TestTemplateThatDoesNotRenderIsTheWebhooksFault(t *testing.T) {
	s := open(t, "https://r.example.com", `,"body_template":"{{(index .Events 0).data.framework}}"`)
	n := integrationtest.Notify(integrationtest.Pick(t, "it-risk")...)
	_, sent := s.Send(t.Context(), n)
	_, shown := s.Preview(t.Context(), n)
	for _, err := range []error{sent, shown} {
		var class interface{ ErrorClass() string }
		if got := tocsin.Classify(err); got.Fault != tocsin.FaultWebhook || !asClass(err, &class) || class.ErrorClass() != post.ClassRender {
			t.Errorf("got %v (%+v), want the webhook's fault, class render", err, got)
		}
	}
}

func TestConflictAfterAnUnknownOutcomeIsDelivered(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusConflict) }))
	defer server.Close()
	s := open(t, server.URL, "")
	n := integrationtest.Notify(integrationtest.Pick(t, "it-agent")...)
	if _, err := s.Send(t.Context(), n); err == nil {
		t.Error("a 409 on the first attempt: want an error")
	}
	n.Attempt, n.Uncertain = 2, true
	if _, err := s.Send(t.Context(), n); err != nil {
		t.Errorf("a 409 after an attempt of unknown outcome: %v", err)
	}
}

func TestUserHeadersAndQueryArrive(t *testing.T) {
	var got *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r }))
	defer server.Close()
	s := open(t, server.URL+"/p?x=1", `,"method":"PATCH","headers":{"X-Key":"k","user-agent":"mine/2"},"query":{"y":"a b&c"}`)
	if _, err := s.Send(t.Context(), integrationtest.Notify(integrationtest.Pick(t, "it-agent")...)); err != nil {
		t.Fatal(err)
	}
	if got.Method != "PATCH" || got.URL.String() != "/p?x=1&y=a+b%26c" || got.Header.Get("X-Key") != "k" || got.UserAgent() != "mine/2" ||
		got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("got %s %s %v", got.Method, got.URL, got.Header)
	}
}

func asClass(err error, target *interface{ ErrorClass() string }) bool {
	return errors.As(err, target)
}
