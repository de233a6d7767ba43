package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseCounts(t *testing.T) {
	const text = `# HELP action_total
action_total{action_type="grpc_SignalWithStart",namespace="default",service_name="frontend"} 3
action_total{action_type="command_ScheduleActivityTask",namespace="default",service_name="frontend"} 4
action_total{action_type="grpc_StartWorkflowExecution",namespace="temporal-system",service_name="frontend"} 9
history_count_ratio_bucket{namespace="default",operation="SessionStats",le="1"} 2
history_count_ratio_sum{namespace="default",operation="SessionStats",service_name="history"} 11
history_count_ratio_sum{namespace="default",operation="CompletionStats",service_name="history"} 50
persistence_requests_total{namespace="all",operation="UpdateWorkflowExecution"} 5
go_goroutines 7
`
	want := temporalCounts{Actions: 7, History: 11, Writes: 5, Kinds: map[string]float64{"SignalWithStart": 3, "ScheduleActivityTask": 4}}
	got := parseCounts(strings.NewReader(text))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	before := temporalCounts{Actions: 4, History: 1, Writes: 5, Kinds: map[string]float64{"SignalWithStart": 3, "ScheduleActivityTask": 1}}
	if diff := cmp.Diff(temporalCounts{Actions: 3, History: 10, Kinds: map[string]float64{"ScheduleActivityTask": 3}}, got.minus(before)); diff != "" {
		t.Error(diff)
	}
}

func TestParseStat(t *testing.T) {
	const stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 200 0 0 150 50 1000 500 20 0 9 0 100"
	for ended, want := range map[bool]time.Duration{false: 2 * time.Second, true: 17 * time.Second} {
		if got, err := parseStat([]byte(stat), ended); err != nil || got != want {
			t.Errorf("with children that ended %v: %v, %v; want %v", ended, got, err, want)
		}
	}
	if _, err := parseStat([]byte("nonsense"), false); err == nil {
		t.Error("nonsense is read without an error")
	}
}

func TestReadUsageOfThisProcess(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("there is no /proc here")
	}
	u, err := readUsage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if u.memory < 1<<20 || u.memory > 1<<40 {
		t.Errorf("this process has %d bytes resident", u.memory)
	}
}

func TestParseFlags(t *testing.T) {
	o, err := parseFlags([]string{"-part", "single,idle10k", "-store", "sqlite", "-short", "-load", "3s", "-webhooks", "7", "-env", "A=1", "-env", "B=2"})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(o.parts, " ") != "single idle10k" || strings.Join(o.stores, " ") != "sqlite" || strings.Join(o.env, " ") != "A=1 B=2" {
		t.Errorf("got %+v", o)
	}
	if o.sizes.load != 3*time.Second || o.sizes.webhooks != 7 || o.sizes.backlog != shortSizes.backlog {
		t.Errorf("sizes are %+v", o.sizes)
	}
	for _, bad := range [][]string{{"-part", "singel"}, {"-store", "mysql"}, {"single"}} {
		if _, err := parseFlags(bad); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}

func TestParseKept(t *testing.T) {
	kept, all, err := parseKept("cpu  100 10 50 800 20 5 5 10 3 1")
	if err != nil || kept != 100*time.Millisecond || all != 10*time.Second {
		t.Errorf("kept %v of %v (%v), want 100ms of 10s", kept, all, err)
	}
	for _, bad := range []string{"", "cpu0 1 2 3 4 5 6 7 8", "cpu 1 2 3", "cpu 1 2 3 4 5 6 7 x"} {
		if _, _, err := parseKept(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
