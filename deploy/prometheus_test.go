package deploy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// rule is an alert rule as Prometheus reads it.
type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func rules(t *testing.T) []rule {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	dec := yaml.NewDecoder(strings.NewReader(read(t, "prometheus/rules.yml")))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil {
		t.Fatal(err)
	}
	var all []rule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 20 {
		t.Fatalf("found %d rules", len(all))
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// promtool runs Prometheus' own checker; where it is not installed the test is skipped,
// or fails when CI is "true".
func promtool(t *testing.T, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("promtool is not installed (Debian: apt-get install prometheus): %v", err)
	}
	if err != nil {
		t.Skip("skipped: promtool is not installed (Debian: apt-get install prometheus)")
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPrometheusRulesFireWhenTheyShould(t *testing.T) {
	promtool(t, "check", "rules", "prometheus/rules.yml")
	promtool(t, "test", "rules", "prometheus/rules_test.yml")
}

// Every rule has a test of its own, a runbook, and says what is wrong.
func TestPrometheusRulesAreComplete(t *testing.T) {
	var tests struct {
		Tests []struct {
			Name string `yaml:"name"`
		} `yaml:"tests"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "prometheus/rules_test.yml")), &tests); err != nil {
		t.Fatal(err)
	}
	tested := map[string]bool{}
	for _, one := range tests.Tests {
		tested[one.Name] = true
	}
	headings := anchors(read(t, "../docs/operations.md"))
	for _, r := range rules(t) {
		if !tested[r.Alert] {
			t.Errorf("%s has no test in prometheus/rules_test.yml", r.Alert)
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s says %v, %v", r.Alert, r.Labels, r.Annotations)
		}
		path, anchor, _ := strings.Cut(r.Annotations["runbook_url"], "#")
		if !strings.HasSuffix(path, "/docs/operations.md") || anchor != strings.ToLower(r.Alert) {
			t.Errorf("%s has its runbook at %q", r.Alert, r.Annotations["runbook_url"])
		}
		if !slices.Contains(headings, anchor) {
			t.Errorf("docs/operations.md has no heading %s", r.Alert)
		}
		delete(tested, r.Alert)
	}
	for name := range tested {
		t.Errorf("prometheus/rules_test.yml tests %s, which is no rule", name)
	}
}

var heading = regexp.MustCompile(`(?m)^#+ (.+)$`)

// anchors are what Markdown's headings are linked by.
func anchors(text string) (all []string) {
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		all = append(all, strings.ReplaceAll(strings.ToLower(strings.TrimSpace(m[1])), " ", "-"))
	}
	return all
}

// Rules ask for metrics and labels that exist: one that does not exist never fires.
func TestPrometheusRulesAskForWhatExists(t *testing.T) {
	known := newVocabulary(t)
	for _, r := range rules(t) {
		known.check(t, r.Alert, r.Expr)
	}
}

// vocabulary is what queries may name: the metrics of docs/metrics.md, or while there is
// none, of testdata/metrics.txt.
type vocabulary struct{ words map[string]bool }

var (
	word      = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`)
	metric    = regexp.MustCompile(`\b(?:tocsin|temporal|process|go)_[a-z0-9_]+`)
	ofBuckets = regexp.MustCompile(`_(?:bucket|sum|count)$`)
	grouping  = regexp.MustCompile(`\b(?:by|on|without|ignoring)\s*\(([^)]*)\)`)
	matcher   = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)\s*"`)
)

func newVocabulary(t *testing.T) vocabulary {
	t.Helper()
	path := "../docs/metrics.md"
	if _, err := os.Stat(path); err != nil {
		path = "testdata/metrics.txt"
	}
	// What Prometheus and its client library add by themselves.
	v := vocabulary{map[string]bool{"instance": true, "job": true, "le": true, "process_cpu_seconds_total": true, "process_resident_memory_bytes": true}}
	for _, w := range word.FindAllString(read(t, path), -1) {
		v.words[w] = true
	}
	return v
}

func (v vocabulary) check(t *testing.T, where, query string) {
	t.Helper()
	names := metric.FindAllString(query, -1)
	if len(names) == 0 {
		t.Errorf("%s: %q asks for no metric of ours", where, query)
	}
	for _, name := range names {
		if !v.words[name] && !v.words[ofBuckets.ReplaceAllString(name, "")] {
			t.Errorf("%s asks for %s, which there is not", where, name)
		}
	}
	var labels []string
	for _, m := range grouping.FindAllStringSubmatch(query, -1) {
		labels = append(labels, word.FindAllString(m[1], -1)...)
	}
	for _, m := range matcher.FindAllStringSubmatch(query, -1) {
		labels = append(labels, m[1])
	}
	for _, l := range labels {
		if !v.words[l] {
			t.Errorf("%s asks for label %s, which there is not", where, l)
		}
	}
}

// mustParse checks queries by promtool, as rules that record them.
func mustParse(t *testing.T, queries []string) {
	t.Helper()
	type recording struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var all []recording
	for i, q := range queries {
		all = append(all, recording{fmt.Sprintf("query:%d", i), q})
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "queries", "rules": all}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "queries.yml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", file)
}
