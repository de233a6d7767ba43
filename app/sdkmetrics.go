package app

import (
	"fmt"
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"
)

// sdkMetric is a metric of Temporal's SDK. The SDK gives names and tags alone; what they
// mean is from https://docs.temporal.io/references/sdk-metrics. In Prometheus, counters end
// in _total and timers in _seconds, as with Temporal's own tally reporter.
type sdkMetric struct {
	name, help string
	labels     []string // those of its tags that say something; the others are left out
}

// Labels as the SDK calls its tags.
var (
	ofRequest  = []string{"namespace", "operation"}
	ofQueue    = []string{"namespace", "task_queue"}
	ofWorker   = []string{"namespace", "task_queue", "worker_type"}
	ofPoller   = []string{"namespace", "task_queue", "poller_type"}
	ofWorkflow = []string{"namespace", "task_queue", "workflow_type"}
	ofActivity = []string{"namespace", "task_queue", "activity_type"}
)

// with returns labels and more.
func with(labels []string, more ...string) []string {
	return append(labels[:len(labels):len(labels)], more...)
}

// sdkCounters, sdkTimers and sdkGauges are what an SDK that runs Tocsin's workflows says;
// what belongs to local activities and Nexus, which there are none of, is left out.
func sdkCounters() []sdkMetric {
	return []sdkMetric{
		{"temporal_request", "Calls of the Temporal server.", ofRequest},
		{"temporal_request_failure", "Calls of the Temporal server that failed.", with(ofRequest, "status_code")},
		{"temporal_request_resource_exhausted", "Calls that the Temporal server refused for their number.", with(ofRequest, "cause")},
		{"temporal_long_request", "Long polls of the Temporal server.", ofRequest},
		{"temporal_long_request_failure", "Long polls of the Temporal server that failed.", with(ofRequest, "status_code")},
		{"temporal_long_request_resource_exhausted", "Long polls that the Temporal server refused for their number.", with(ofRequest, "cause")},
		{"temporal_workflow_completed", "Workflows that completed.", ofWorkflow},
		{"temporal_workflow_canceled", "Workflows that were cancelled.", ofWorkflow},
		{"temporal_workflow_failed", "Workflows that failed.", ofWorkflow},
		{"temporal_workflow_continue_as_new", "Workflows that went on as new ones.", ofWorkflow},
		{"temporal_workflow_task_queue_poll_empty", "Polls that brought no workflow task.", ofQueue},
		{"temporal_workflow_task_queue_poll_succeed", "Polls that brought a workflow task.", ofQueue},
		{"temporal_workflow_task_execution_failed", "Workflow tasks that failed, by why.", with(ofWorkflow, "failure_reason")},
		{"temporal_workflow_task_no_completion", "Workflow tasks that ended without an answer.", ofWorkflow},
		{"temporal_activity_poll_no_task", "Polls that brought no activity task.", ofQueue},
		{"temporal_activity_execution_failed", "Activities that failed, those that Deliver retries too.", ofActivity},
		{"temporal_activity_task_error", "Activity tasks that could not be run at all.", ofActivity},
		{"temporal_unregistered_activity_invocation", "Calls of activities that this worker does not have.", ofActivity},
		{"temporal_corrupted_signals", "Signals that could not be read.", ofWorkflow},
		{"temporal_worker_start", "Starts of workers.", ofWorker},
		{"temporal_poller_start", "Starts of pollers.", ofWorker},
		{"temporal_sticky_cache_hit", "Workflow tasks whose workflow was in memory.", ofQueue},
		{"temporal_sticky_cache_miss", "Workflow tasks whose workflow was replayed.", ofQueue},
		{"temporal_sticky_cache_total_forced_eviction", "Workflows put out of memory to make room.", ofQueue},
	}
}

func sdkTimers() []sdkMetric {
	return []sdkMetric{
		{"temporal_request_latency", "How long calls of the Temporal server took.", ofRequest},
		{"temporal_long_request_latency", "How long polls of the Temporal server took.", ofRequest},
		{"temporal_workflow_endtoend_latency", "How long workflows lasted, from start to end.", ofWorkflow},
		{"temporal_workflow_task_schedule_to_start_latency", "How long workflow tasks waited for a worker.", ofQueue},
		{"temporal_workflow_task_execution_latency", "How long workflow tasks took.", ofWorkflow},
		{"temporal_workflow_task_replay_latency", "How long replays of workflows took.", ofWorkflow},
		{"temporal_activity_schedule_to_start_latency", "How long activities waited for a worker.", ofActivity},
		{"temporal_activity_execution_latency", "How long activities took; a Deliver lingers.", ofActivity},
		{"temporal_activity_succeed_endtoend_latency", "How long activities that succeeded took, from being scheduled.", ofActivity},
	}
}

func sdkGauges() []sdkMetric {
	return []sdkMetric{
		{"temporal_worker_task_slots_available", "Slots for tasks that are free.", ofWorker},
		{"temporal_worker_task_slots_used", "Slots for tasks that are taken.", ofWorker},
		{"temporal_num_pollers", "Pollers under way.", ofPoller},
		{"temporal_sticky_cache_size", "Workflows in memory.", []string{"namespace"}},
	}
}

// sdkSeconds reach from a call to the local server to a workflow that lasts for days.
var sdkSeconds = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 3600, 86400}

// sdkVec is a metric with its labels.
type sdkVec[T any] struct {
	labels []string
	vec    interface{ WithLabelValues(...string) T }
}

// of returns the metric for tags.
func (v sdkVec[T]) of(tags map[string]string) T {
	var room [4]string
	values := room[:0]
	for _, label := range v.labels {
		values = append(values, tags[label])
	}
	return v.vec.WithLabelValues(values...)
}

// sdkMetrics take what the SDK counts. Metrics and tags that are not listed are left out,
// so that no number of series comes from elsewhere.
type sdkMetrics struct {
	counters map[string]sdkVec[prometheus.Counter]
	timers   map[string]sdkVec[prometheus.Observer]
	gauges   map[string]sdkVec[prometheus.Gauge]
}

func newSDKMetrics(registry prometheus.Registerer) (*sdkMetrics, error) {
	m := &sdkMetrics{map[string]sdkVec[prometheus.Counter]{}, map[string]sdkVec[prometheus.Observer]{}, map[string]sdkVec[prometheus.Gauge]{}}
	var all []prometheus.Collector
	for _, d := range sdkCounters() {
		vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: d.name + "_total", Help: d.help}, d.labels)
		m.counters[d.name], all = sdkVec[prometheus.Counter]{d.labels, vec}, append(all, vec)
	}
	for _, d := range sdkTimers() {
		vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: d.name + "_seconds", Help: d.help, Buckets: sdkSeconds}, d.labels)
		m.timers[d.name], all = sdkVec[prometheus.Observer]{d.labels, vec}, append(all, vec)
	}
	for _, d := range sdkGauges() {
		vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: d.name, Help: d.help}, d.labels)
		m.gauges[d.name], all = sdkVec[prometheus.Gauge]{d.labels, vec}, append(all, vec)
	}
	for _, c := range all {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("registering the metrics of Temporal's SDK: %w", err)
		}
	}
	return m, nil
}

// sdkHandler implements client.MetricsHandler. It is written here, in place of the SDK's
// adapters for tally and OpenTelemetry, because those are each a second way to count, with
// registries of their own.
type sdkHandler struct {
	m    *sdkMetrics
	tags map[string]string
}

// WithTags implements client.MetricsHandler.
func (h sdkHandler) WithTags(tags map[string]string) client.MetricsHandler {
	all := make(map[string]string, len(h.tags)+len(tags))
	maps.Copy(all, h.tags)
	maps.Copy(all, tags)
	return sdkHandler{h.m, all}
}

// Counter implements client.MetricsHandler.
func (h sdkHandler) Counter(name string) client.MetricsCounter {
	if v, ok := h.m.counters[name]; ok {
		return sdkCounter{v.of(h.tags)}
	}
	return client.MetricsNopHandler.Counter(name)
}

// Gauge implements client.MetricsHandler.
func (h sdkHandler) Gauge(name string) client.MetricsGauge {
	if v, ok := h.m.gauges[name]; ok {
		return sdkGauge{v.of(h.tags)}
	}
	return client.MetricsNopHandler.Gauge(name)
}

// Timer implements client.MetricsHandler.
func (h sdkHandler) Timer(name string) client.MetricsTimer {
	if v, ok := h.m.timers[name]; ok {
		return sdkTimer{v.of(h.tags)}
	}
	return client.MetricsNopHandler.Timer(name)
}

type (
	sdkCounter struct{ prometheus.Counter }
	sdkGauge   struct{ prometheus.Gauge }
	sdkTimer   struct{ prometheus.Observer }
)

// Inc implements client.MetricsCounter. A counter that went back would panic.
func (c sdkCounter) Inc(n int64) { c.Add(float64(max(0, n))) }

// Update implements client.MetricsGauge.
func (g sdkGauge) Update(v float64) { g.Set(v) }

// Record implements client.MetricsTimer.
func (t sdkTimer) Record(d time.Duration) { t.Observe(d.Seconds()) }
