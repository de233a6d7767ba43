package catalog_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

func threat(data string) *tocsin.Event {
	return &tocsin.Event{Type: "threat.detected", Title: "An attack", Data: []byte(data)}
}

func TestGuidanceOfBuiltInFilters(t *testing.T) {
	seen := map[string]string{}
	for _, filter := range []string{
		"SQLInjection", "XSS", "NoSQLInjection", "OSCommandInjection", "WindowsCommandInjection", "SSRF", "LocalFileInclusionLFIRFI",
		"SecurityMisconfig", "IpApiRateLimited", "ApiLevelRateLimited", "SequenceAnomaly", "4XX_FILTER",
	} {
		g := catalog.Default().Guidance(threat(`{"filterId":"` + filter + `"}`))
		if g.Overview.Description == "" || g.Overview.Details == "" || g.Overview.Impact == "" || g.Remediation.Title == "" || len(g.Remediation.Steps) == 0 {
			t.Errorf("%s: guidance is incomplete: %+v", filter, g)
		}
		if strings.Contains(g.Overview.Details, "no guidance") {
			t.Errorf("%s has only generic words", filter)
		}
		if other, ok := seen[g.Overview.Description]; ok {
			t.Errorf("%s says the same as %s", filter, other)
		}
		seen[g.Overview.Description] = filter
	}
	c := catalog.Default()
	if diff := cmp.Diff(c.Guidance(threat(`{"filterId":"4XX_FILTER"}`)), c.Guidance(threat(`{"filterId":"High4XXAlertFilter"}`))); diff != "" {
		t.Errorf("two names of one filter: %s", diff)
	}
}

func TestGuidanceFallsBack(t *testing.T) {
	c := catalog.Default()
	sql := c.Guidance(threat(`{"filterId":"SQLInjection"}`))
	if diff := cmp.Diff(sql, c.Guidance(threat(`{"filterId":"house-rule-7","subCategory":"SQL_INJECTION"}`))); diff != "" {
		t.Errorf("by sub-category: %s", diff)
	}
	for _, data := range []string{`{"filterId":"house-rule-7"}`, `[]`, ``} {
		g := c.Guidance(threat(data))
		if !strings.Contains(g.Overview.Details, "no guidance") || len(g.Remediation.Steps) == 0 {
			t.Errorf("%s: %+v", data, g)
		}
	}
}

func TestOwnGuidanceWins(t *testing.T) {
	c := catalog.Default()
	g := c.Guidance(threat(`{"filterId":"XSS","overview":{"description":"d","details":"e","impact":"i"},"remediation":{"title":"t","steps":[{"title":"s","text":"x"}]}}`))
	want := catalog.Guidance{
		Overview:    catalog.Overview{Description: "d", Details: "e", Impact: "i"},
		Remediation: catalog.Remediation{Title: "t", Steps: []catalog.Step{{Title: "s", Text: "x"}}},
	}
	if diff := cmp.Diff(want, g); diff != "" {
		t.Error(diff)
	}
	// One of the two leaves the other to the catalog.
	half := c.Guidance(threat(`{"filterId":"XSS","overview":{"description":"d"}}`))
	if diff := cmp.Diff(c.Guidance(threat(`{"filterId":"XSS"}`)).Remediation, half.Remediation); diff != "" || half.Overview.Description != "d" {
		t.Errorf("overview %+v, remediation %s", half.Overview, diff)
	}
	text := c.Guidance(&tocsin.Event{Type: "vulnerability.found", Data: []byte(`{"remediation":"Check arguments."}`)})
	if len(text.Remediation.Steps) != 1 || text.Remediation.Steps[0].Text != "Check arguments." {
		t.Errorf("text: %+v", text.Remediation)
	}
	odd := c.Guidance(threat(`{"filterId":"XSS","overview":7,"remediation":null}`))
	if diff := cmp.Diff(c.Guidance(threat(`{"filterId":"XSS"}`)), odd); diff != "" {
		t.Errorf("odd own guidance: %s", diff)
	}
}

func TestGuidanceKey(t *testing.T) {
	key := func(data string) string { return catalog.Default().GuidanceKey(threat(data)) }
	base := key(`{"filterId":"XSS","subCategory":"A","actor":"1"}`)
	if base == "" || strings.ContainsAny(base, ".\x00") {
		t.Errorf("key %q", base)
	}
	equal := []string{`{"filterId":"XSS","subCategory":"B","actor":"2"}`, `{"actor":"3","filterId":"XSS"}`}
	for _, data := range equal {
		if key(data) != base {
			t.Errorf("%s does not share a payload with the first", data)
		}
	}
	differ := []string{`{"filterId":"SSRF"}`, `{"filterId":"XSS","overview":{"description":"d"}}`, `{"filterId":"XSS","remediation":{"title":"d"}}`, `{}`}
	for _, data := range differ {
		if key(data) == base {
			t.Errorf("%s shares a payload with the first", data)
		}
	}
	if key(`{"filterId":"own","subCategory":"XSS"}`) == key(`{"filterId":"own","subCategory":"SSRF"}`) {
		t.Error("sub-categories of a filter without guidance share a payload")
	}
	if key(`{"filterId":"XSS","overview":{"impact":"i"}}`) != key(`{"filterId":"XSS","overview": {"impact" : "i"} }`) {
		t.Error("spacing makes a difference")
	}
	if got := catalog.Default().GuidanceKey(&tocsin.Event{Type: "finding.critical", Data: []byte(`{"filterId":"XSS"}`)}); got != "" {
		t.Errorf("another type has key %q", got)
	}
}

func TestLoadGuidance(t *testing.T) {
	file := filepath.Join(t.TempDir(), "guidance.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := catalog.New()
	write(`{"guidance":[{"filters":["house-rule-7","XSS"],"severity":"critical","overview":{"description":"ours"},"remediation":{"title":"call us"}}]}`)
	if err := c.LoadGuidance(file); err != nil {
		t.Fatal(err)
	}
	for _, filter := range []string{"HOUSE_RULE_7", "xss"} {
		e := threat(`{"filterId":"` + filter + `"}`)
		if g := c.Guidance(e); g.Overview.Description != "ours" || g.Remediation.Steps == nil {
			t.Errorf("%s: %+v", filter, g)
		}
		if s := c.DefaultSeverity(e); s != tocsin.SeverityCritical {
			t.Errorf("%s: severity %s", filter, s)
		}
	}
	if catalog.Default().Guidance(threat(`{"filterId":"XSS"}`)).Overview.Description == "ours" {
		t.Error("loading changed the default catalog")
	}
	for text, want := range map[string]string{
		`{"guidance":[{"overview":{}}]}`:                "entry 0 names no filters",
		`{"guidance":[{"filters":["--"]}]}`:             `entry 0: "--" is not a name`,
		`{"guidance":[{"filter":"XSS"}]}`:               `unknown field "filter"`,
		`{"guidance":[{"filters":["a"],"severity":9}]}`: "severity",
		`{`: "unexpected EOF",
	} {
		write(text)
		if err := c.LoadGuidance(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if err := c.LoadGuidance(file + ".none"); err == nil {
		t.Error("a file that is not there was read")
	}
}
