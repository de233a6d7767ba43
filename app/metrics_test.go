package app_test

import (
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/app"
)

var update = flag.Bool("update", false, "write the table of metrics in docs/metrics.md anew")

const (
	metricsDoc = "../docs/metrics.md"
	tableBegin = "<!-- the table is written by go test ./app -run TestTheTableOfMetrics -update -->\n"
	tableEnd   = "<!-- end of the table -->\n"
)

// described are the metrics that a process of these roles may have: name → "labels | help",
// whether they were observed yet or not.
func described(t *testing.T, roles app.Roles) map[string]string {
	t.Helper()
	all, named := app.Registries(start(t, app.Config{Roles: roles, Open: true, MetricsListen: "127.0.0.1:0"}))
	out := map[string]string{}
	for _, r := range []*prometheus.Registry{all, named} {
		descs := make(chan *prometheus.Desc)
		go func() {
			defer close(descs)
			r.Describe(descs)
		}()
		for d := range descs {
			if m := desc.FindStringSubmatch(d.String()); m == nil {
				t.Fatalf("reading %s", d)
			} else if name := m[1]; strings.HasPrefix(name, "tocsin_") || strings.HasPrefix(name, "temporal_") {
				labels := constant.FindAllStringSubmatch(m[3], -1)
				names := strings.FieldsFunc(m[4], func(r rune) bool { return r == ',' })
				for _, l := range labels {
					names = append(names, l[1])
				}
				slices.Sort(names)
				out[name] = strings.Join(names, ", ") + " | " + strings.ReplaceAll(m[2], `\"`, `"`)
			}
		}
	}
	return out
}

var (
	desc     = regexp.MustCompile(`^Desc\{fqName: "([^"]*)", help: "((?:[^"\\]|\\.)*)", (?:unit: "[^"]*", )?constLabels: \{(.*?)\}, variableLabels: \{(.*?)\}`)
	constant = regexp.MustCompile(`(\w+)="`)
)

// kindOf is a metric's type, which its name tells.
func kindOf(name string) string {
	switch {
	case strings.HasSuffix(name, "_total"):
		return "counter"
	case slices.Contains([]string{"tocsin_group_commit_events", "tocsin_group_commit_requests"}, name):
		return "histogram"
	case strings.HasSuffix(name, "_seconds") && name != "tocsin_webhook_oldest_pending_seconds":
		return "histogram"
	}
	return "gauge"
}

// TestTheTableOfMetrics holds docs/metrics.md against the metrics that serve and the worker
// have, both ways.
func TestTheTableOfMetrics(t *testing.T) {
	serve, work := described(t, app.Serve), described(t, app.Work)
	var table strings.Builder
	table.WriteString("| metric | type | labels | of | meaning |\n|---|---|---|---|---|\n")
	whole := maps.Clone(serve)
	maps.Copy(whole, work)
	for _, name := range slices.SortedFunc(maps.Keys(whole), byOwner) {
		of := "both"
		if _, ok := work[name]; !ok {
			of = "serve"
		} else if _, ok := serve[name]; !ok {
			of = "worker"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", name, kindOf(name), strings.Replace(whole[name], " | ", " | "+of+" | ", 1))
	}
	text, err := os.ReadFile(metricsDoc)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	got, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no marks around a table", metricsDoc)
	}
	if *update {
		if err := os.WriteFile(metricsDoc, []byte(before+tableBegin+table.String()+tableEnd+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(table.String(), got); diff != "" {
		t.Errorf("the table in %s (-want +got); -update writes it anew:\n%s", metricsDoc, diff)
	}
}

// byOwner sorts Tocsin's own metrics before those of the SDK.
func byOwner(a, b string) int {
	if own, other := strings.HasPrefix(a, "tocsin_"), strings.HasPrefix(b, "tocsin_"); own != other {
		if own {
			return -1
		}
		return 1
	}
	return strings.Compare(a, b)
}

// TestMetricsHaveNoFaults: promlint finds nothing in what a process with everything says
// after requests and events.
func TestMetricsHaveNoFaults(t *testing.T) {
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	a := start(t, app.Config{Roles: app.Serve | app.Work, Open: true, EgressAllow: loopback})
	call(t, "POST", "http://"+a.Addr()+"/v1/webhooks", `{"name": "soc", "channel": "webhook", "config": {"url": "http://127.0.0.1:9/hook"}}`)
	if status, answer := call(t, "POST", "http://"+a.Addr()+"/v1/events", `{"id": "1", "source": "s", "type": "custom.x", "severity": "low"}`); status != http.StatusAccepted {
		t.Fatalf("submitting: %d %s", status, answer)
	}
	all, named := app.Registries(a)
	problems, err := testutil.GatherAndLint(prometheus.Gatherers{all, named})
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
	for _, name := range []string{"tocsin_build_info", "tocsin_store_up", "tocsin_store_connections", "tocsin_worker_polling", "go_goroutines", "process_start_time_seconds", "tocsin_webhooks"} {
		if n, err := testutil.GatherAndCount(all, name); err != nil || n == 0 {
			t.Errorf("%d series of %s (%v)", n, name, err)
		}
	}
	if n, err := testutil.GatherAndCount(named, "tocsin_webhook_pending_events"); err != nil || n != 1 {
		t.Errorf("%d webhooks with a backlog (%v), want 1", n, err)
	}
}

// TestTheSDKsMetricsAreKnown reads which metrics the SDK has from its source.
func TestTheSDKsMetricsAreKnown(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "go.temporal.io/sdk").Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "internal/common/metrics/constants.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	prefixes := map[string]string{"TemporalMetricsPrefix": "temporal_", "TemporalRequest": "temporal_request", "TemporalLongRequest": "temporal_long_request"}
	for _, m := range regexp.MustCompile(`= (Temporal\w+) ?\+ "(\w+)"`).FindAllStringSubmatch(string(text), -1) {
		names[prefixes[m[1]]+m[2]] = true
	}
	known := app.SDKMetricNames()
	for _, name := range known {
		if !names[name] {
			t.Errorf("the SDK has no metric %s", name)
		}
	}
	for name := range names {
		// There are no local activities and no Nexus operations, and the SDK never uses the last.
		elsewhere := strings.Contains(name, "local_activity") || strings.Contains(name, "nexus") || name == "temporal_workflow_active_thread_count"
		if !elsewhere && !slices.Contains(known, name) {
			t.Errorf("the SDK's metric %s is not taken", name)
		}
	}
}

func TestProfilesAreWhereTheMetricsAre(t *testing.T) {
	for _, asked := range []bool{false, true} {
		a := start(t, app.Config{Roles: app.Serve, Open: true, MetricsListen: "127.0.0.1:0", Pprof: asked})
		want := map[bool]int{false: http.StatusNotFound, true: http.StatusOK}[asked]
		if status, _ := call(t, "GET", "http://"+a.MetricsAddr()+"/debug/pprof/goroutine?debug=1", ""); status != want {
			t.Errorf("asked for %v: profiles answer %d, want %d", asked, status, want)
		}
		if status, _ := call(t, "GET", "http://"+a.Addr()+"/debug/pprof/goroutine?debug=1", ""); status != http.StatusNotFound {
			t.Errorf("asked for %v: profiles at the API's address answer %d, want 404", asked, status)
		}
	}
	_, err := app.New(app.Config{Roles: app.Work, Store: openStore(t), SecretKey: tocsin.NewSecret(tocsin.GenerateKey("k")), Pprof: true})
	if tocsin.CodeOf(err) != tocsin.CodeInvalid || !strings.Contains(err.Error(), "TOCSIN_METRICS_LISTEN") {
		t.Errorf("without an address for metrics: %v, want an error that names it", err)
	}
}
