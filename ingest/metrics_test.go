package ingest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/ingest"
)

func TestWhatIngestCounts(t *testing.T) {
	registry := prometheus.NewRegistry()
	metrics, err := ingest.NewMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	s, c := newStore(hook("a")), &conductor{}
	in, err := ingest.New(ingest.Config{Store: s, Conductor: c, Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	one := tocsin.Event{ID: "1", Source: "s", Type: "custom.x", Raw: []byte(`{}`)}
	other := one
	other.Title = "another"
	for _, e := range []tocsin.Event{one, one, other} {
		if _, err := in.Submit(t.Context(), []tocsin.Event{e}); err != nil {
			t.Fatal(err)
		}
	}
	s.before = func([]tocsin.NewEvent) error { return tocsin.Errorf(tocsin.CodeUnavailable, "away") }
	if _, err := in.Submit(t.Context(), []tocsin.Event{one}); err == nil {
		t.Error("a store that is away took an event")
	}
	in.Close() // when all is rung
	const want = `
# HELP tocsin_events_accepted_total Events committed for the first time.
# TYPE tocsin_events_accepted_total counter
tocsin_events_accepted_total 1
# HELP tocsin_events_conflicts_total Events submitted again with other content; the first won.
# TYPE tocsin_events_conflicts_total counter
tocsin_events_conflicts_total 1
# HELP tocsin_events_duplicates_total Events submitted again with the same content.
# TYPE tocsin_events_duplicates_total counter
tocsin_events_duplicates_total 1
# HELP tocsin_group_commit_failures_total Group commits that failed; their requests were refused, or tried one by one.
# TYPE tocsin_group_commit_failures_total counter
tocsin_group_commit_failures_total 1
# HELP tocsin_doorbell_marks_total Webhooks that were told in the store that they are owed something, after a commit.
# TYPE tocsin_doorbell_marks_total counter
tocsin_doorbell_marks_total 1
# HELP tocsin_doorbell_rings_total Webhooks that were asleep then, and were sent a signal.
# TYPE tocsin_doorbell_rings_total counter
tocsin_doorbell_rings_total 1
# HELP tocsin_ingest_queued_events Events that wait for a group commit.
# TYPE tocsin_ingest_queued_events gauge
tocsin_ingest_queued_events 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "tocsin_events_accepted_total", "tocsin_events_conflicts_total", "tocsin_events_duplicates_total",
		"tocsin_group_commit_failures_total", "tocsin_doorbell_marks_total", "tocsin_doorbell_rings_total", "tocsin_ingest_queued_events"); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(registry, "tocsin_group_commit_wait_seconds", "tocsin_group_commit_duration_seconds", "tocsin_group_commit_events", "tocsin_group_commit_requests"); n != 4 {
		t.Errorf("%d histograms, want 4", n)
	}
	if _, err := ingest.NewMetrics(registry); err == nil {
		t.Error("the same names were registered twice")
	}
}

func TestRingsThatFailAreCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	metrics, err := ingest.NewMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	marking := newStore(hook("a"))
	marking.ringing = func() error { return errors.New("away") }
	for _, cfg := range []ingest.Config{
		{Store: marking, Conductor: &conductor{}, Metrics: metrics},
		{Store: newStore(hook("a")), Conductor: &conductor{fail: errors.New("away")}, Metrics: metrics},
	} {
		in, err := ingest.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.Submit(t.Context(), []tocsin.Event{{ID: "1", Source: "s", Type: "custom.x", Raw: []byte(`{}`)}}); err != nil {
			t.Fatal(err)
		}
		in.Close()
	}
	const want = `
# HELP tocsin_doorbell_failures_total Calls to the store (mark) and to Temporal (signal, incidents) after a commit that failed; the sweeper makes up for them.
# TYPE tocsin_doorbell_failures_total counter
tocsin_doorbell_failures_total{step="incidents"} 0
tocsin_doorbell_failures_total{step="mark"} 1
tocsin_doorbell_failures_total{step="signal"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "tocsin_doorbell_failures_total"); err != nil {
		t.Error(err)
	}
}
