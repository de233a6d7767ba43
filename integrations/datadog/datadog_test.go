package datadog_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/datadog"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// apiKey is the secret.
const apiKey = "0f3acanary9e8d7c6b5a49382716"

func newChannel(c *post.Client, _ *slog.Logger) tocsin.Channel { return datadog.New(c) }

func config(url, more string) string {
	return fmt.Sprintf(`{"url":%q,"api_url":%q,"api_key":%q,"service":"alerts","source":"tocsin","tags":["env:production"],"hostname":"alerts-1"%s}`, url, url, apiKey, more)
}

func TestConformance(t *testing.T) {
	for format, golden := range map[string]string{"tocsin": "golden", "ocsf": "golden-ocsf"} {
		t.Run(format, func(t *testing.T) { integrationtest.Run(t, spec(t, format, golden)) })
	}
}

func spec(t *testing.T, format, golden string) integrationtest.Spec {
	return integrationtest.Spec{
		New: newChannel, Secrets: []string{apiKey}, Golden: golden,
		Config: func(url string) string {
			return config(url, `,"site":"datadoghq.eu","gzip":true,"format":"`+format+`"`)
		},
		Accept: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, "{}") // a sender that is gone is the test's to notice
		},
		Limits: []integrationtest.Limit{{
			Name: "message", Max: 8<<10 - len("🟡 Medium: "), Size: func(s string) int { return len(s) },
			Event: func(text string) tocsin.Event {
				e := integrationtest.Pick(t, "it-agent")[0]
				e.Title = text
				e.Summary = ""
				return e
			},
			Rendered: func(t *testing.T, body string) string {
				var logs []entry
				if err := json.Unmarshal([]byte(body), &logs); err != nil {
					t.Fatal(err)
				}
				return strings.TrimPrefix(logs[0].Message, "🟡 Medium: ")
			},
		}},
	}
}

func open(t *testing.T, url, more string) tocsin.Sender {
	t.Helper()
	c := post.New(post.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	t.Cleanup(c.Close)
	s, err := newChannel(c, nil).Open(json.RawMessage(config(url, more)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func send(t *testing.T, h http.Handler, more string, n tocsin.Notification) (tocsin.Receipt, error) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return open(t, server.URL, more).Send(t.Context(), n)
}

// events returns n events with so much data each.
func events(t *testing.T, n, size int) []tocsin.Event {
	base := integrationtest.Pick(t, "it-agent")[0]
	out := make([]tocsin.Event, n)
	for i := range out {
		out[i] = base
		out[i].ID, out[i].DedupKey = fmt.Sprint("e", i), fmt.Sprint("k", i)
		if size > 0 {
			out[i].Data = json.RawMessage(`{"pad":"` + strings.Repeat("x", size) + `"}`)
		}
	}
	return out
}

// fates says what became of each event.
func fates(receipt tocsin.Receipt, err error, n int) string {
	if receipt.Results == nil {
		if err == nil {
			return strings.Repeat("ok ", n)
		}
		s := tocsin.Classify(err)
		return fmt.Sprintf("all %s unsure=%v", s.Fault, s.Unsure)
	}
	out := ""
	for _, r := range receipt.Results {
		if r.Err == nil {
			out += "ok "
		} else {
			out += string(tocsin.Classify(r.Err).Fault) + " "
		}
	}
	return out
}

// TestFormats sends all events of the suite, hostile ones too, in each format.
func TestFormats(t *testing.T) {
	for _, format := range []string{"tocsin", "ocsf"} {
		d := newIntake(t, integrationtest.At)
		n := integrationtest.Notify(integrationtest.Events(t)...)
		receipt, err := send(t, d, `,"format":"`+format+`"`, n)
		if err != nil || receipt.Results != nil || receipt.Truncated != 0 || len(d.logs) != len(n.Events) || d.cut+d.dropped > 0 {
			t.Fatalf("%s: %v, %d of %d taken, %d cut, %d dropped", format, err, len(d.logs), len(n.Events), d.cut, d.dropped)
		}
		for i, l := range d.logs {
			e := &n.Events[i]
			if l.Service != "alerts" || l.Source != "tocsin" || l.Hostname != "alerts-1" || len(l.EventUID) != 32 || l.DeliveryID != n.DeliveryID || l.Test ||
				l.Timestamp != e.Time.UnixMilli() || l.EventTime != e.Time.Format(time.RFC3339) || !strings.HasPrefix(l.Tags, "env:production,type:"+e.Type+",event_status:") {
				t.Errorf("%s %s: %+.400v", format, e.ID, l)
			}
			if strings.ContainsAny(l.Message, "\r\u202e\x07") {
				t.Errorf("%s: the message is %q", e.ID, l.Message)
			}
			checkEvent(t, format, l, e)
		}
	}
}

func checkEvent(t *testing.T, format string, l entry, e *tocsin.Event) {
	t.Helper()
	if format == "ocsf" {
		if l.Tocsin != nil || !bytes.Contains(l.OCSF, []byte(`"class_uid":2004`)) {
			t.Errorf("%s: not OCSF: %.200s", e.ID, l.OCSF)
		}
		return
	}
	var got tocsin.Event
	if err := json.Unmarshal(l.Tocsin, &got); err != nil || l.OCSF != nil || got.Title != e.Title || got.Summary != e.Summary || got.ID != e.ID {
		t.Errorf("%s: %v: %.400s", e.ID, err, l.Tocsin)
	}
}

func TestStatusOfALog(t *testing.T) {
	d := newIntake(t, integrationtest.At)
	n := integrationtest.Notify(events(t, 7, 0)...)
	want := []string{"info", "info", "notice", "warning", "error", "critical", "ok"}
	for i := range n.Events {
		n.Events[i].Severity = min(tocsin.Severity(i), tocsin.SeverityCritical)
	}
	n.Events[6].Status = tocsin.Resolved
	if _, err := send(t, d, "", n); err != nil {
		t.Fatal(err)
	}
	for i, l := range d.logs {
		if l.Status != want[i] {
			t.Errorf("%s: status %s, want %s", n.Events[i].Severity, l.Status, want[i])
		}
	}
}

// TestTime: what Datadog would drop has the time of the attempt, and its own beside it.
func TestTime(t *testing.T) {
	at := integrationtest.At
	for age, own := range map[time.Duration]bool{
		0: true, 17 * time.Hour: true, 17*time.Hour + 30*time.Minute: true, 17*time.Hour + 31*time.Minute: false, 400 * 24 * time.Hour: false,
		-time.Hour: true, -90 * time.Minute: true, -91 * time.Minute: false,
	} {
		d := newIntake(t, at.Add(5*time.Minute)) // some time passes until Datadog looks
		n := integrationtest.Notify(events(t, 1, 0)...)
		n.Events[0].Time = at.Add(-age)
		if _, err := send(t, d, "", n); err != nil {
			t.Fatal(err)
		}
		if len(d.logs) != 1 {
			t.Errorf("%s old: dropped", age)
			continue
		}
		l := d.logs[0]
		if got := l.Timestamp == n.Events[0].Time.UnixMilli(); got != own || l.EventTime != n.Events[0].Time.Format(time.RFC3339) || !own && l.Timestamp != at.UnixMilli() {
			t.Errorf("%s old: timestamp %d, event_time %s", age, l.Timestamp, l.EventTime)
		}
	}
}

func TestATestIsMarked(t *testing.T) {
	for _, format := range []string{"tocsin", "ocsf"} {
		d := newIntake(t, integrationtest.At)
		n := integrationtest.Notify(events(t, 1, 0)...)
		n.Test = true
		if _, err := send(t, d, `,"format":"`+format+`"`, n); err != nil {
			t.Fatal(err)
		}
		if l := d.logs[0]; !strings.HasPrefix(l.Message, "[TEST] ") || !l.Test || !strings.Contains(string(l.Tocsin)+string(l.OCSF), "[TEST] ") || !strings.Contains(l.Tags, "tocsin_test:true") {
			t.Errorf("%s: %+v", format, l)
		}
	}
}

// TestStatuses has what the documentation lists.
func TestStatuses(t *testing.T) {
	for status, want := range map[int]string{
		202: "ok ok ", 200: "ok ok ", 400: "all event unsure=false", 401: "all webhook unsure=false", 403: "all webhook unsure=false",
		408: "all retry unsure=false", 413: "all event unsure=false", 429: "all retry unsure=false", 500: "all retry unsure=true", 503: "all retry unsure=true",
	} {
		d := newIntake(t, integrationtest.At)
		d.answers = []func(http.ResponseWriter){func(w http.ResponseWriter) { d.fail(w, status, "said", "") }}
		receipt, err := send(t, d, "", integrationtest.Notify(events(t, 2, 0)...))
		if got := fates(receipt, err, 2); got != want {
			t.Errorf("%d: got %s, want %s (%v)", status, got, want, err)
		}
	}
	d := newIntake(t, integrationtest.At)
	d.key = "other"
	if _, err := send(t, d, "", integrationtest.Notify(events(t, 1, 0)...)); err == nil || !strings.Contains(err.Error(), "check the API key") {
		t.Errorf("another key: %v", err)
	}
}

// TestALoginPageIsNoYes: a captive portal or a wrong host says 200 to everything, an intake
// 202; what else it may say is no page for people.
func TestALoginPageIsNoYes(t *testing.T) {
	for _, row := range []struct {
		status     int
		kind, want string
	}{
		{200, "text/html", "all webhook unsure=true"}, {200, "Text/HTML; charset=utf-8", "all webhook unsure=true"}, {203, "application/xhtml+xml", "all webhook unsure=true"},
		{200, "text/html;", "all webhook unsure=true"}, {202, "text/html", "ok ok "}, {200, "application/json", "ok ok "}, {204, "", "ok ok "},
	} {
		page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{row.kind}
			w.WriteHeader(row.status)
			if row.status != http.StatusNoContent {
				_, _ = io.WriteString(w, "<html>Please log in</html>")
			}
		})
		receipt, err := send(t, page, "", integrationtest.Notify(events(t, 2, 0)...))
		if got := fates(receipt, err, 2); got != row.want || err != nil && !strings.Contains(err.Error(), "may be wrong") {
			t.Errorf("%d %s: got %s, want %s (%v)", row.status, row.kind, got, row.want, err)
		}
	}
}

// TestLimits: 1,000 logs and 5 MB to a request, 1 MB to a log; one more is another request,
// or a shortened event.
func TestLimits(t *testing.T) {
	for _, row := range []struct{ n, size, requests int }{
		{999, 0, 1}, {1000, 0, 1}, {1001, 0, 2}, {5, 990_000, 1}, {6, 990_000, 2},
	} {
		d := newIntake(t, integrationtest.At)
		receipt, err := send(t, d, "", integrationtest.Notify(events(t, row.n, row.size)...))
		if err != nil || d.bodies != row.requests || len(d.logs) != row.n || d.cut > 0 || receipt.Truncated > 0 {
			t.Errorf("%+v: %v, %d requests, %d logs, %d cut, %d truncated", row, err, d.bodies, len(d.logs), d.cut, receipt.Truncated)
		}
	}
	x, err := open(t, "http://127.0.0.1:1", "").Preview(t.Context(), integrationtest.Notify(events(t, 1, 1)...))
	if err != nil {
		t.Fatal(err)
	}
	room := 1_000_000 - (len(x[0].RequestBody) - len("[]") - 1)
	for over, want := range map[int]int{-1: 0, 0: 0, 1: 1} {
		d := newIntake(t, integrationtest.At)
		receipt, err := send(t, d, "", integrationtest.Notify(events(t, 1, room+over)...))
		if err != nil || receipt.Truncated != want || len(d.logs) != 1 || d.cut > 0 || strings.Contains(string(d.logs[0].Tocsin), "tocsin_truncated") != (want == 1) {
			t.Errorf("%+d: %v, %d truncated, %d logs, %d cut", over, err, receipt.Truncated, len(d.logs), d.cut)
		}
	}
}

// TestStopsAtTheFirstFailure: what was taken stays taken, the rest has the failure.
func TestStopsAtTheFirstFailure(t *testing.T) {
	d := newIntake(t, integrationtest.At)
	d.answers = []func(http.ResponseWriter){nil, func(w http.ResponseWriter) {
		w.Header().Set("Retry-After", "9")
		d.fail(w, 429, "Too Many Requests", "")
	}}
	receipt, err := send(t, d, "", integrationtest.Notify(events(t, 12, 990_000)...))
	if got, want := fates(receipt, err, 12), strings.Repeat("ok ", 5)+strings.Repeat("retry ", 7); got != want || d.bodies != 2 || tocsin.Classify(receipt.Results[11].Err).After != 9*time.Second {
		t.Errorf("got %s (%v), want %s", got, err, want)
	}
}

func TestCheck(t *testing.T) {
	d := newIntake(t, integrationtest.At)
	server := httptest.NewServer(d)
	defer server.Close()
	found, exchanges, err := open(t, server.URL, "").(tocsin.Checker).Check(t.Context())
	if err != nil || !strings.Contains(found, "valid") || len(exchanges) != 1 || d.bodies != 0 {
		t.Errorf("%q, %v, %d exchanges, %d requests with logs", found, err, len(exchanges), d.bodies)
	}
	d.key = "other"
	_, exchanges, err = open(t, server.URL, "").(tocsin.Checker).Check(t.Context())
	if tocsin.Classify(err).Fault != tocsin.FaultWebhook {
		t.Errorf("another key: %v", err)
	}
	if text, _ := json.Marshal(exchanges); strings.Contains(string(text)+err.Error(), apiKey) {
		t.Error("the key is shown")
	}
}

// TestAddresses: which hosts a site and the overrides stand for.
func TestAddresses(t *testing.T) {
	c := post.New(post.Options{})
	defer c.Close()
	for text, want := range map[string]string{
		`{"api_key":"k"}`: "https://http-intake.logs.datadoghq.com/api/v2/logs",
		`{"api_key":"k","site":"us2.ddog-gov.com"}`:        "https://http-intake.logs.us2.ddog-gov.com/api/v2/logs",
		`{"api_key":"k","url":"https://p.example.com/a/"}`: "https://p.example.com/a/api/v2/logs",
	} {
		full, _, err := newChannel(c, nil).Complete(json.RawMessage(text))
		if err != nil {
			t.Fatal(err)
		}
		s, err := newChannel(c, nil).Open(full)
		if err != nil {
			t.Fatal(err)
		}
		x, err := s.Preview(t.Context(), integrationtest.Notify(events(t, 1, 0)...))
		if err != nil || x[0].URL != want {
			t.Errorf("%s: %v, %s", text, err, x[0].URL)
		}
	}
}

func TestValidate(t *testing.T) {
	c := post.New(post.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	defer c.Close()
	ch := newChannel(c, nil)
	for text, want := range map[string]string{
		`{"url":"https://8.8.8.8","api_key":"k"}`:                              "",
		`{"url":"http://127.0.0.1:8080","api_key":"k"}`:                        "",
		`{"url":"http://8.8.8.8","api_key":"k"}`:                               "config.url: the scheme is http",
		`{"url":"https://8.8.8.8/api/v2/logs","api_key":"k"}`:                  "config.url: leave out /api/v2/logs",
		`{"url":"https://8.8.8.8?x=1","api_key":"k"}`:                          "config.url: has a query",
		`{"url":"https://8.8.8.8","api_url":"https://10.0.0.1","api_key":"k"}`: "config.api_url: ",
		`{"url":"https://8.8.8.8"}`:                                            "config.api_key: required",
		`{"url":"https://8.8.8.8","api_key":"a b"}`:                            "config.api_key: contains a space",
		`{"api_key":"k","site":"https://app.datadoghq.eu/"}`:                   `want datadoghq.eu`,
		`{"api_key":"k","site":"datadoghq.org"}`:                               "config.site: is \"datadoghq.org\"; allowed: datadoghq.com,",
		`{"url":"https://8.8.8.8","api_key":"k","tags":["a,b"]}`:               "config.tags: \"a,b\" is not a tag",
		`{"url":"https://8.8.8.8","api_key":"k","format":"cef"}`:               "config.format: ",
		`{"url":"https://8.8.8.8","api_key":"k","hostname":"a\nb"}`:            "config.hostname: want one line",
	} {
		err := ch.Validate(t.Context(), json.RawMessage(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
