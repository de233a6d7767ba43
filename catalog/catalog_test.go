package catalog_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// documented are the types and categories that the catalog promises, with the words
// users know them by.
var documented = []struct{ name, category, title string }{
	{"agent.discovered", "discovery", "New Agent Components"},
	{"config.changed", "discovery", "Configuration Changes"},
	{"data.sensitive", "discovery", "Sensitive Data Detection"},
	{"mcp.discovered", "discovery", "New MCP Endpoints"},
	{"finding.critical", "security", "Critical Findings"},
	{"risk_score.changed", "security", "Risk Score Changes"},
	{"vulnerability.found", "security", "New Vulnerabilities"},
	{"anomaly.detected", "operational", "Anomaly Detection"},
	{"performance.degraded", "operational", "Performance Issues"},
	{"traffic.stopped", "operational", "Traffic Monitoring"},
	{"threat.detected", "threat", "New API runtime threats"},
	{"endpoint.discovered", "inventory", "New Endpoint"},
	{"parameter.discovered", "inventory", "New Parameter"},
	{"test_run.completed", "testing", "Testing run results"},
	{"test_run.pending", "testing", "Pending Tests"},
	{"incident.acknowledged", "pipeline", "Incident Acknowledged"},
	{"incident.resolved", "pipeline", "Incident Resolved"},
	{"mute.ending", "pipeline", "Mute Ending"},
	{"webhook.disabled", "pipeline", "Webhook Disabled"},
	{"webhook.failing", "pipeline", "Webhook Failing"},
	{"webhook.recovered", "pipeline", "Webhook Recovered"},
}

func TestTypes(t *testing.T) {
	var want, got []string
	for _, d := range documented {
		want = append(want, d.name+"|"+d.category+"|"+d.title)
	}
	for _, a := range catalog.Default().Types() {
		got = append(got, a.Type+"|"+a.Category+"|"+a.Title)
		if a.Description == "" || a.DefaultSeverity == tocsin.SeverityNone {
			t.Errorf("%s: description %q, default severity %q", a.Type, a.Description, a.DefaultSeverity)
		}
		if c := catalog.Default().Category(a.Type); c != a.Category {
			t.Errorf("Category(%s) = %q, want %q", a.Type, c, a.Category)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestExamplesAreValidAndOfThePast(t *testing.T) {
	ids := map[string]bool{}
	for _, a := range catalog.Default().Types() {
		var e tocsin.Event
		if err := json.Unmarshal(a.Example, &e); err != nil {
			t.Errorf("%s: %v", a.Type, err)
			continue
		}
		if errs := catalog.Default().Validate(&e); errs != nil {
			t.Errorf("%s: %v", a.Type, errs)
		}
		if e.Type != a.Type || e.ID == "" || e.Source == "" || ids[e.ID] {
			t.Errorf("%s: type %q, id %q, source %q", a.Type, e.Type, e.ID, e.Source)
		}
		if e.Time.IsZero() || e.Time.After(time.Date(2025, 12, 31, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("%s: time %v would be refused where a clock is behind", a.Type, e.Time)
		}
		ids[e.ID] = true
	}
}

// Leaving any required key out of an example is an error that names the key.
func TestEveryRequiredKeyIsRequired(t *testing.T) {
	for _, a := range catalog.Default().Types() {
		var schema struct {
			Required   []string
			Properties map[string]any
		}
		if err := json.Unmarshal(a.Schema, &schema); err != nil {
			t.Fatal(err)
		}
		if len(schema.Required) == 0 {
			t.Errorf("%s requires nothing", a.Type)
		}
		for _, key := range schema.Required {
			if schema.Properties[key] == nil {
				t.Errorf("%s: required key %s is not described", a.Type, key)
			}
			got := catalog.Default().Validate(change(t, a, func(data map[string]any) { delete(data, key) }))
			want := []tocsin.FieldError{{Field: "data." + key, Message: "is required"}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s without %s: %s", a.Type, key, diff)
			}
		}
	}
}

// change returns a type's example with its data edited.
func change(t *testing.T, a catalog.AlertType, edit func(map[string]any)) *tocsin.Event {
	t.Helper()
	var e tocsin.Event
	data := map[string]any{}
	if err := json.Unmarshal(a.Example, &e); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		t.Fatal(err)
	}
	edit(data)
	var err error
	if e.Data, err = json.Marshal(data); err != nil {
		t.Fatal(err)
	}
	return &e
}

func TestValidateNamesFieldValueAndWhatIsAllowed(t *testing.T) {
	tests := []struct {
		typ  string
		edit func(map[string]any)
		want []string
	}{
		{"agent.discovered", func(d map[string]any) { d["shadow"] = "yes" }, []string{`data.shadow: "yes" is a string; allowed: boolean`}},
		{"agent.discovered", func(d map[string]any) { d["framework"] = "" }, []string{`data.framework: is empty`}},
		{"agent.discovered", func(d map[string]any) { d["capabilities"] = []any{"tool_use", 7} }, []string{`data.capabilities.1: 7 is a number; allowed: string`}},
		{"agent.discovered", func(d map[string]any) { d["first_seen"] = "yesterday" }, []string{`data.first_seen: "yesterday" is not a time; write RFC 3339, for example 2026-01-31T08:30:00Z`}},
		{"agent.discovered", func(d map[string]any) { d["mood"] = "calm"; d["parts"] = []any{map[string]any{}} }, nil},
		{"mcp.discovered", func(d map[string]any) { delete(d, "tool") }, []string{`data: needs one of tool, endpoint`}},
		{"mcp.discovered", func(d map[string]any) { delete(d, "tool"); d["endpoint"] = "/sse" }, nil},
		{"data.sensitive", func(d map[string]any) { d["data_types"] = []any{} }, []string{`data.data_types: has 0 elements; at least 1 are needed`}},
		{"data.sensitive", func(d map[string]any) { d["apiCollectionId"] = true }, []string{`data.apiCollectionId: true is boolean; allowed: integer or string`}},
		{"config.changed", func(d map[string]any) { d["before"] = nil; d["after"] = []any{"x"} }, nil},
		{"threat.detected", func(d map[string]any) { d["eventType"] = "MANY" }, []string{`data.eventType: "MANY" is not allowed; allowed: AGGREGATED, SINGLE`}},
		{"threat.detected", func(d map[string]any) { d["timestamp"] = -1 }, []string{`data.timestamp: -1 is too small; at least 0 is needed`}},
		{"threat.detected", func(d map[string]any) { d["timestamp"] = 1.5; d["actor"] = 3 }, []string{`data.actor: 3 is a number; allowed: string`, `data.timestamp: 1.5 is a number; allowed: integer`}},
		{"threat.detected", func(d map[string]any) {
			d["overview"] = map[string]any{"description": "own"}
			d["remediation"] = map[string]any{"title": "own", "steps": []any{}}
		}, nil},
		{"test_run.pending", func(d map[string]any) { d["scheduledTestInfo"] = []any{map[string]any{"name": "nightly"}} }, []string{`data.scheduledTestInfo.0.scheduledTimestamp: is required`}},
	}
	for _, tt := range tests {
		a, _ := catalog.Default().Lookup(tt.typ)
		var got []string
		for _, f := range catalog.Default().Validate(change(t, a, tt.edit)) {
			got = append(got, f.Field+": "+f.Message)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.typ, diff)
		}
	}
}

func TestValidateOddData(t *testing.T) {
	tests := []struct{ data, want string }{
		{`"text"`, `data: "text" is a string; allowed: object`},
		{`null`, `data: null is null; allowed: object`},
		{``, `data.component: is required`},
		{`{`, `data: is not JSON: unexpected end of JSON input`},
		{`{"component":"` + strings.Repeat("x", 500) + `","previous":"` + strings.Repeat("é", 500) + `","current":1,"reasons":[]}`,
			`data.previous: "` + strings.Repeat("é", 39) + `… is a string; allowed: null or number`},
	}
	for _, tt := range tests {
		got := catalog.Default().Validate(&tocsin.Event{Type: "risk_score.changed", Data: []byte(tt.data)})
		if len(got) == 0 || fmt.Sprintf("%s: %s", got[0].Field, got[0].Message) != tt.want {
			t.Errorf("%.20s: got %v, want first %q", tt.data, got, tt.want)
		}
	}
}

func TestUnknownTypes(t *testing.T) {
	tests := []struct{ name, want string }{
		{"agent.discoverd", `"agent.discoverd" is not an alert type; did you mean "agent.discovered"?`},
		{"Threat.Detected", `did you mean "threat.detected"?`},
		{"weather", `"weather" is not an alert type; allowed: config.changed`},
		{"custom.", `"custom." is not an alert type`},
		{"", `is required`},
	}
	for _, tt := range tests {
		got := catalog.Default().Validate(&tocsin.Event{Type: tt.name})
		if len(got) != 1 || got[0].Field != "type" {
			t.Errorf("%q: %v", tt.name, got)
			continue
		}
		// The list begins with whatever type comes first; "weather" only must list them.
		want := strings.Replace(tt.want, "config.changed", catalog.Default().Types()[0].Type, 1)
		if !strings.Contains(got[0].Message, want) {
			t.Errorf("%q: got %q, want it to contain %q", tt.name, got[0].Message, want)
		}
	}
	if got := catalog.Default().Validate(&tocsin.Event{Type: "custom.deploy", Data: []byte(`[1]`)}); got != nil {
		t.Errorf("custom type: %v", got)
	}
}

func TestCategory(t *testing.T) {
	c := catalog.Default()
	for name, want := range map[string]string{"custom.x": "custom", "custom.": "", "nope": "", "webhook.failing": "pipeline"} {
		if got := c.Category(name); got != want {
			t.Errorf("Category(%q) = %q, want %q", name, got, want)
		}
	}
	want := []string{"discovery", "security", "operational", "threat", "inventory", "testing", "pipeline", "custom"}
	if diff := cmp.Diff(want, c.Categories()); diff != "" {
		t.Error(diff)
	}
}

func TestDefaultSeverity(t *testing.T) {
	for _, tt := range []struct {
		event tocsin.Event
		want  tocsin.Severity
	}{
		{tocsin.Event{Type: "finding.critical"}, tocsin.SeverityCritical},
		{tocsin.Event{Type: "custom.deploy"}, tocsin.SeverityInfo},
		{tocsin.Event{Type: "threat.detected", Data: []byte(`{"filterId":"SecurityMisconfig"}`)}, tocsin.SeverityLow},
		{tocsin.Event{Type: "threat.detected", Data: []byte(`{"filterId":"4XX_FILTER"}`)}, tocsin.SeverityMedium},
		{tocsin.Event{Type: "threat.detected", Data: []byte(`{"filterId":"Own"}`)}, tocsin.SeverityHigh},
	} {
		if got := catalog.Default().DefaultSeverity(&tt.event); got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.event.Type, tt.event.Data, got, tt.want)
		}
	}
}

func TestSuggest(t *testing.T) {
	from := []string{"severity", "subject", "source", "status"}
	for word, want := range map[string]string{
		"severty": "severity", "Severity": "severity", "souce": "source", "sorce": "source", "statsu": "status",
		"id": "", "payload": "", "": "", strings.Repeat("s", 5000): "",
	} {
		if got := catalog.Suggest(word, from); got != want {
			t.Errorf("Suggest(%.20q) = %q, want %q", word, got, want)
		}
	}
}

func TestTypesAreCopies(t *testing.T) {
	types := catalog.Default().Types()
	slices.Reverse(types)
	if diff := cmp.Diff(types[len(types)-1].Type, catalog.Default().Types()[0].Type); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkValidate(b *testing.B) {
	for _, name := range []string{"agent.discovered", "threat.detected"} {
		b.Run(name, func(b *testing.B) {
			a, _ := catalog.Default().Lookup(name)
			var e tocsin.Event
			if err := json.Unmarshal(a.Example, &e); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				catalog.Default().Validate(&e)
			}
		})
	}
}
