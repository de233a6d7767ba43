package sentinel_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/sentinel"
)

const (
	secret = "abc8Q~canary.Secret_value-0123456789+/="
	tenant = "11111111-2222-3333-4444-555555555555"
	client = "66666666-7777-8888-9999-000000000000"
	rule   = "dcr-0123456789abcdef0123456789abcdef"
)

func newChannel(c *post.Client, _ *slog.Logger) tocsin.Channel { return sentinel.New(c) }

func config(url, more string) string {
	return fmt.Sprintf(`{"endpoint":%q,"login_url":%q,"rule_id":%q,"stream":"Custom-TocsinAlerts","tenant_id":%q,"client_id":%q,"client_secret":%q%s}`,
		url, url, rule, tenant, client, secret, more)
}

func spec(t *testing.T, format, golden string) integrationtest.Spec {
	return integrationtest.Spec{
		New: newChannel, Secrets: []string{secret}, Golden: golden, BodyDecides: true, // 204 is the one yes
		Config: func(url string) string {
			return config(url, `,"scope":"https://monitor.azure.com/.default","gzip":true,"format":"`+format+`"`)
		},
		Accept: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		Prelude: func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token") {
				return false
			}
			_, _ = w.Write([]byte(`{"token_type":"Bearer","expires_in":3599,"access_token":"eyJ.suite.sig"}`)) // a sender that is gone is the test's to notice
			return true
		},
		Limits: []integrationtest.Limit{
			limit(t, "AlertSummary", func(e *tocsin.Event, text string) { e.Summary = text }),
			limit(t, "AlertTitle", func(e *tocsin.Event, text string) { e.Title = text }),
		},
	}
}

// limit is that of a column.
func limit(t *testing.T, column string, set func(*tocsin.Event, string)) integrationtest.Limit {
	return integrationtest.Limit{
		Name: column, Max: 64_000, Size: func(s string) int { return len(s) },
		Event: func(text string) tocsin.Event {
			e := integrationtest.Pick(t, "it-agent")[0]
			set(&e, text)
			return e
		},
		Rendered: func(t *testing.T, body string) string {
			var rows []map[string]any
			if err := json.Unmarshal([]byte(body), &rows); err != nil {
				t.Fatal(err)
			}
			return fmt.Sprint(rows[0][column])
		},
	}
}

func TestConformance(t *testing.T) {
	for format, golden := range map[string]string{"tocsin": "golden", "ocsf": "golden-ocsf"} {
		t.Run(format, func(t *testing.T) { integrationtest.Run(t, spec(t, format, golden)) })
	}
}

func open(t *testing.T, url, more string) tocsin.Sender {
	t.Helper()
	c := post.New(post.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	t.Cleanup(c.Close)
	s, err := newChannel(c, nil).Open(json.RawMessage(config(url, more+`,"scope":"https://monitor.azure.com/.default"`)))
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

// events returns n events with so much text each.
func events(t *testing.T, n, size int) []tocsin.Event {
	base := integrationtest.Pick(t, "it-agent")[0]
	out := make([]tocsin.Event, n)
	for i := range out {
		out[i] = base
		out[i].ID, out[i].DedupKey = fmt.Sprint("e", i), fmt.Sprint("k", i)
		if size > 0 {
			out[i].Summary = strings.Repeat("x", size)
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
	for format, column := range map[string]string{"tocsin": "Data", "ocsf": "Ocsf"} {
		a := newAzure(t)
		n := integrationtest.Notify(integrationtest.Events(t)...)
		receipt, err := send(t, a, `,"format":"`+format+`"`, n)
		if err != nil || receipt.Results != nil || receipt.Truncated != 0 || len(a.rows) != len(n.Events) || a.granted != 1 {
			t.Fatalf("%s: %v, %d of %d rows, %d truncated", format, err, len(a.rows), len(n.Events), receipt.Truncated)
		}
		for i, row := range a.rows {
			e := &n.Events[i]
			want := map[string]any{
				"EventId": e.ID, "EventSource": e.Source, "AlertType": e.Type, "AlertTitle": e.Title, "AlertSummary": e.Summary, "Subject": e.Subject,
				"Severity": e.Severity.String(), "AlertStatus": string(e.Status), "DeliveryId": n.DeliveryID, "IsTest": false, "AlertLink": alert.Link(e),
			}
			for name, value := range want {
				if row[name] != value {
					t.Errorf("%s %s: %s is %.100q, want %.100q", format, e.ID, name, row[name], value)
				}
			}
			if _, ok := row[column].(map[string]any); !ok || len(fmt.Sprint(row["EventUid"])) != 32 {
				t.Errorf("%s %s: no object %s, uid %v", format, e.ID, column, row["EventUid"])
			}
		}
	}
}

func TestATestIsMarked(t *testing.T) {
	for _, format := range []string{"tocsin", "ocsf"} {
		a := newAzure(t)
		n := integrationtest.Notify(events(t, 1, 0)...)
		n.Test = true
		if _, err := send(t, a, `,"format":"`+format+`"`, n); err != nil {
			t.Fatal(err)
		}
		if row := a.rows[0]; row["IsTest"] != true || !strings.HasPrefix(fmt.Sprint(row["AlertTitle"]), "[TEST] ") || format == "ocsf" && !strings.Contains(fmt.Sprint(row["Ocsf"]), "[TEST] ") {
			t.Errorf("%s: %v", format, row)
		}
	}
}

// TestLargeObjects: a column that holds JSON is never cut in the middle.
func TestLargeObjects(t *testing.T) {
	e := events(t, 1, 0)[0]
	data := func(size int) json.RawMessage {
		return json.RawMessage(`{"pad":"` + strings.Repeat("x", size-len(`{"pad":""}`)) + `"}`)
	}
	for over, want := range map[int]int{-1: 0, 0: 0, 1: 1} {
		a := newAzure(t)
		e.Data = data(64_000 + over)
		receipt, err := send(t, a, "", integrationtest.Notify(e))
		if err != nil || receipt.Truncated != want || len(a.rows) != 1 {
			t.Fatalf("%+d: %v, %d truncated", over, err, receipt.Truncated)
		}
		got := a.rows[0]["Data"].(map[string]any)
		if _, whole := got["pad"]; whole == (want == 1) || want == 1 && (got["tocsin_truncated"] != true || !strings.HasPrefix(fmt.Sprint(got["head"]), `{"pad":"xxx`)) {
			t.Errorf("%+d: Data is %.200v", over, got)
		}
	}
	a := newAzure(t)
	e.Data, e.Labels = data(200_000), map[string]string{"long": strings.Repeat("\x01", 64_000)}
	receipt, err := send(t, a, `,"format":"ocsf"`, integrationtest.Notify(e))
	if err != nil || receipt.Truncated != 1 || a.rows[0]["Ocsf"] == nil || a.rows[0]["Data"] == nil {
		t.Errorf("%v, %d truncated, %.200v", err, receipt.Truncated, a.rows)
	}
}

// TestSeveralRequests: 1 MB to a request, in order, with what became of each event.
func TestSeveralRequests(t *testing.T) {
	a := newAzure(t)
	n := integrationtest.Notify(events(t, 40, 60_000)...)
	receipt, err := send(t, a, "", n)
	if err != nil || a.calls != 3 || len(a.rows) != 40 || a.granted != 1 || len(receipt.Exchanges) != 4 {
		t.Errorf("%v, %d calls, %d rows, %d tokens, %d exchanges", err, a.calls, len(a.rows), a.granted, len(receipt.Exchanges))
	}
	a = newAzure(t)
	a.answers = []func(http.ResponseWriter){nil, func(w http.ResponseWriter) {
		w.Header().Set("Retry-After", "60")
		a.fail(w, 429, "TooManyRequests", "slow down")
	}}
	receipt, err = send(t, a, "", n)
	if got := fates(receipt, err, 40); got != strings.Repeat("ok ", 16)+strings.Repeat("retry ", 24) || a.calls != 2 || tocsin.Classify(receipt.Results[39].Err).After.Seconds() != 60 {
		t.Errorf("got %s (%v), %d calls", got, err, a.calls)
	}
}

// declaration is the part of the documentation that users paste.
var declaration = regexp.MustCompile("(?s)```json\n(\\{\\s*\"streamDeclarations\".*?)```")

// TestDeclaration: the documented stream has exactly the columns of the rows, and types
// that fit.
func TestDeclaration(t *testing.T) {
	text, err := os.ReadFile("../../docs/channels/sentinel.md")
	if err != nil {
		t.Fatal(err)
	}
	found := declaration.FindSubmatch(text)
	if found == nil {
		t.Fatal("the documentation has no stream declaration")
	}
	var doc struct {
		StreamDeclarations map[string]struct {
			Columns []struct{ Name, Type string }
		}
	}
	if err := json.Unmarshal(found[1], &doc); err != nil {
		t.Fatal(err)
	}
	declared := map[string]string{}
	for _, c := range doc.StreamDeclarations["Custom-TocsinAlerts"].Columns {
		declared[c.Name] = c.Type
	}
	sent := map[string]string{}
	for _, format := range []string{"tocsin", "ocsf"} {
		a := newAzure(t)
		if _, err := send(t, a, `,"format":"`+format+`"`, integrationtest.Notify(integrationtest.Events(t)...)); err != nil {
			t.Fatal(err)
		}
		for _, row := range a.rows {
			for name, value := range row {
				sent[name] = kindOf(name, value)
			}
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(sent)), slices.Sorted(maps.Keys(declared))); diff != "" {
		t.Fatalf("columns (-sent +documented):\n%s", diff)
	}
	if diff := cmp.Diff(sent, declared); diff != "" {
		t.Errorf("types (-sent +documented):\n%s", diff)
	}
	if !bytes.Contains(text, []byte("Custom-TocsinAlerts_CL")) {
		t.Error("the documentation names no table")
	}
}

// kindOf is the type of a column, https://learn.microsoft.com/en-us/azure/azure-monitor/essentials/data-collection-rule-structure#streamdeclarations
func kindOf(name string, value any) string {
	switch value.(type) {
	case bool:
		return "boolean"
	case map[string]any, []any:
		return "dynamic"
	}
	if name == "TimeGenerated" || name == "EventTime" {
		return "datetime"
	}
	return "string"
}
