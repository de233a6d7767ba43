package e2e_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/tocsin-alerts/tocsin/devserver/devtest"
)

// spans is an OTLP receiver: what was exported, by service.
type spans struct {
	mu   sync.Mutex
	all  map[string][]*tracev1.Span
	text strings.Builder // everything, as text
}

func newSpans(t *testing.T) (*spans, string) {
	s := &spans{all: map[string][]*tracev1.Span{}}
	server := httptest.NewServer(http.HandlerFunc(s.take))
	t.Cleanup(server.Close)
	return s, server.URL
}

func (s *spans) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var export collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &export)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		http.Error(w, "no", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.WriteString(export.String())
	for _, resource := range export.GetResourceSpans() {
		service := ""
		for _, a := range resource.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			s.all[service] = append(s.all[service], scope.GetSpans()...)
		}
	}
}

// find returns a span of a service by its name and, unless that is "", its trace.
func (s *spans) find(t *testing.T, service, name, trace string) (found *tracev1.Span) {
	t.Helper()
	devtest.Until(t, service+"'s span "+name, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, span := range s.all[service] {
			if span.GetName() == name && (trace == "" || fmt.Sprintf("%x", span.GetTraceId()) == trace) {
				found = span
				return nil
			}
		}
		return fmt.Errorf("%d spans came", len(s.all[service]))
	})
	return found
}

// TestMetricsAndTracesOfProduction: real traffic through real processes, what they say
// about it at /metrics, and the trace of one event.
func TestMetricsAndTracesOfProduction(t *testing.T) {
	p := newProduction(t)
	exported, endpoint := newSpans(t)
	metrics := devtest.FreeAddr(t)
	env := append(slices.Clone(p.env), "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint, "OTEL_BSP_SCHEDULE_DELAY=100")
	serve := devtest.StartServe(t, p.key, append(slices.Clone(env), "TOCSIN_METRICS_LISTEN="+metrics)...)
	worker := devtest.StartWorker(t, env...)
	good, bad := devtest.NewReceiver(t), devtest.NewReceiver(t)
	bad.Fail(http.StatusUnprocessableEntity)
	for name, url := range map[string]string{"canary-name": good.URL("canary-path?token=canary-query"), "refuses": bad.URL("refuses")} {
		serve.MustCreate(map[string]any{"name": name, "channel": "webhook", "frequency": "instant", "events": []string{"custom." + strings.TrimPrefix(name, "canary-")},
			"config": map[string]any{"url": url, "headers": map[string]string{"X-Key": "canary-header"}}})
	}
	// What is paused owes what it is owed.
	serve.MustCreate(map[string]any{"name": "held", "channel": "webhook", "frequency": "instant", "events": []string{"custom.refuses"},
		"config": map[string]any{"url": good.URL("held")}})
	serve.Must(http.MethodPost, "/v1/webhooks/held/pause", nil, nil)

	const producer = "0af7651916cd43dd8448eb211c80319c"
	one := strings.NewReader(`{"id":"one","source":"s","type":"custom.name","title":"canary-title","data":{"x":"canary-data"}}`)
	req, err := http.NewRequest(http.MethodPost, serve.URL+"/v1/events", one)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+p.key)
	req.Header.Set("Traceparent", "00-"+producer+"-b7ad6b7169203331-01")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	good.MustGet("one")
	serve.MustSend(devtest.Events("custom.refuses", 4)...)
	serve.MustSettle("canary-name")
	serve.MustSettle("refuses")

	checkTree(t, exported, good, producer)
	exported.mu.Lock()
	text := exported.text.String()
	exported.mu.Unlock()
	for _, secret := range []string{"canary", p.key, "whsec_"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is in the spans", secret)
		}
	}
	checkMetrics(t, "serve", "http://"+metrics)
	checkMetrics(t, "worker", worker.MetricsURL)
}

// checkTree walks the trace of the one event, from the receiver back to its producer.
func checkTree(t *testing.T, exported *spans, receiver *devtest.Receiver, trace string) {
	t.Helper()
	post := exported.find(t, "tocsin-worker", "POST", trace)
	deliver := exported.find(t, "tocsin-worker", "deliver webhook", trace)
	commit := exported.find(t, "tocsin", "group commit", trace)
	ingest := exported.find(t, "tocsin", "ingest", trace)
	request := exported.find(t, "tocsin", "POST /v1/events", trace)
	for _, c := range []struct{ child, parent *tracev1.Span }{{post, deliver}, {deliver, ingest}, {commit, ingest}, {ingest, request}} {
		if got, want := fmt.Sprintf("%x", c.child.GetParentSpanId()), fmt.Sprintf("%x", c.parent.GetSpanId()); got != want {
			t.Errorf("%q is under %s, want %q (%s)", c.child.GetName(), got, c.parent.GetName(), want)
		}
	}
	if got := fmt.Sprintf("%x", request.GetParentSpanId()); got != "b7ad6b7169203331" {
		t.Errorf("the request is under %s, want the producer's span", got)
	}
	if got, want := receiver.All()[0].Header.Get("Traceparent"), fmt.Sprintf("00-%s-%x-01", trace, post.GetSpanId()); got != want {
		t.Errorf("the receiver got traceparent %q, want %q", got, want)
	}
	links := deliver.GetLinks()
	if len(links) != 1 {
		t.Fatalf("the delivery has %d links, want one to its activity", len(links))
	}
	activity := exported.find(t, "tocsin-worker", "RunActivity:Deliver", fmt.Sprintf("%x", links[0].GetTraceId()))
	if activity.GetParentSpanId() == nil {
		t.Error("the activity is under no workflow")
	}
}

// checkMetrics holds what a process says against the table in docs/metrics.md: all that it
// says is there, with this type, these labels and this meaning; and what the traffic must
// have made was said.
func checkMetrics(t *testing.T, of, url string) {
	t.Helper()
	resp, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := promlint.New(strings.NewReader(string(body))).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("lint of %s: %v %v", of, problems, err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	table := metricsTable(t, of)
	for name, f := range families {
		if !strings.HasPrefix(name, "tocsin_") && !strings.HasPrefix(name, "temporal_") {
			continue
		}
		if got := fmt.Sprintf("%s | %s | %s", strings.ToLower(f.GetType().String()), labelsOf(f), f.GetHelp()); got != table[name] {
			t.Errorf("%s of %s is\n%s, the table says\n%s", name, of, got, table[name])
		}
		delete(table, name)
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if !rare(of, name) {
			t.Errorf("%s does not say %s", of, name)
		}
	}
}

// rare are metrics of the SDK but for a few: they appear with what they count.
func rare(of, name string) bool {
	common := []string{"temporal_request_total", "temporal_request_latency_seconds"}
	if of == "worker" {
		common = append(common, "temporal_activity_execution_latency_seconds", "temporal_workflow_task_execution_latency_seconds",
			"temporal_worker_task_slots_available", "temporal_num_pollers", "temporal_long_request_total")
	}
	return strings.HasPrefix(name, "temporal_") && !slices.Contains(common, name)
}

func labelsOf(f *dto.MetricFamily) string {
	names := map[string]bool{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			names[l.GetName()] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(names)), ", ")
}

// metricsTable reads docs/metrics.md: name → "type | labels | meaning", of what serve or the
// worker has.
func metricsTable(t *testing.T, of string) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if len(cells) == 5 && strings.HasPrefix(cells[0], "`") && (cells[3] == of || cells[3] == "both") {
			out[strings.Trim(cells[0], "`")] = cells[1] + " | " + cells[2] + " | " + cells[4]
		}
	}
	if len(out) < 20 {
		t.Fatalf("the table has %d metrics of %s", len(out), of)
	}
	return out
}
