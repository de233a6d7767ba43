package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func sample() Report {
	single := &Result{Part: "single", Store: postgresStore}
	single.add("delivered, until all had arrived", 6200, "/s").atLeast(6000)
	single.addMS("request to answer, p50", 9_000_000)
	single.Used = []Used{{During: "load", Seconds: 10, Processes: []Process{{"serve", 4.2, 60, 50}}}}
	other := &Result{Part: "single", Store: sqliteStore}
	other.add("delivered, until all had arrived", 900, "/s").atLeast(6000)
	latency := &Result{Part: "latency", Store: postgresStore}
	for _, q := range []string{"p50", "p90", "p99"} {
		latency.sample(q, 50, 3)
		latency.sample(q, 400, 9)
	}
	dev := &Result{Part: "idledev", Store: sqliteStore}
	dev.add("resident memory", 300, "MB").atMost(250)
	return Report{Results: []*Result{single, other, latency, dev}}
}

func TestReplaceBetween(t *testing.T) {
	const text = "a\n<!-- bench:begin x -->\nold\n<!-- bench:end x -->\nb\n"
	got, err := replaceBetween([]byte(text), "x", "new\n")
	if want := "a\n<!-- bench:begin x -->\nnew\n<!-- bench:end x -->\nb\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v", got, err)
	}
	if again, err := replaceBetween(got, "x", "new\n"); err != nil || string(again) != string(got) {
		t.Errorf("a second time: %q, %v", again, err)
	}
	for _, bad := range []string{"", "<!-- bench:begin x -->", text + text, "<!-- bench:end x --><!-- bench:begin x -->"} {
		if _, err := replaceBetween([]byte(bad), "x", "new"); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestTables(t *testing.T) {
	r := sample()
	for table, wanted := range map[string][]string{
		r.figuresTable(): {
			"| single | delivered, until all had arrived | 6,200 /s | 900 /s | ≥ 6,000 /s: reached |",
			"| idledev | resident memory | – | 300 MB | ≤ 250 MB: **not reached** |",
		},
		r.detailsTable():   {"| single | request to answer, p50 | 9 ms | – |"},
		r.processesTable(): {"| single | postgres | load | 10.0 | serve 4.2; 60, 50 |"},
	} {
		for _, want := range wanted {
			if !strings.Contains(table, want+"\n") {
				t.Errorf("%q is not in\n%s", want, table)
			}
		}
	}
	if strings.Contains(r.detailsTable(), "delivered") {
		t.Error("a figure with something to reach is among the details too")
	}
}

func TestPlotsAreWellFormed(t *testing.T) {
	plots := sample().plots()
	if len(plots) != 2 {
		t.Errorf("there are %d plots, want those of single and latency", len(plots))
	}
	for name, text := range plots {
		for d := xml.NewDecoder(strings.NewReader(text)); ; {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("%s draws what is no number:\n%s", name, text)
		}
	}
	if !strings.Contains(plots["bench-single.svg"], "Outpost") {
		t.Error("the peers are missing")
	}
}

// The document has the markers that the report is written between.
func TestPublish(t *testing.T) {
	text, err := os.ReadFile("../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "performance.md"), text, 0o600), os.Mkdir(filepath.Join(dir, "img"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := sample().publish(dir); err != nil {
		t.Fatal(err)
	}
	if text, err = os.ReadFile(filepath.Join(dir, "performance.md")); err != nil || !strings.Contains(string(text), "6,200 /s") {
		t.Errorf("the figures are not in the document (%v)", err)
	}
	if !strings.Contains(string(text), "](img/bench-single.svg)") {
		t.Error("the plot is not in the document")
	}
	if _, err := os.Stat(filepath.Join(dir, "img", "bench-single.svg")); err != nil {
		t.Error(err)
	}
}

// A run of some parts keeps the others of an earlier run.
func TestResultsAreMerged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bench.json")
	first, err := readReport(path)
	if err != nil {
		t.Fatal(err)
	}
	first.merge(sample().Results)
	if err := first.write(path); err != nil {
		t.Fatal(err)
	}
	second, err := readReport(path)
	if err != nil {
		t.Fatal(err)
	}
	again := &Result{Part: "single", Store: postgresStore}
	again.add("delivered, until all had arrived", 7000, "/s")
	second.merge([]*Result{again})
	if len(second.Results) != 4 || second.Results[0].Part != "single" {
		t.Fatalf("merged %+v", second.Results)
	}
	if v, _ := second.find("single", postgresStore).find("delivered, until all had arrived"); v != 7000 {
		t.Errorf("the figure is %v, want the new one", v)
	}
	if v, _ := second.find("single", sqliteStore).find("delivered, until all had arrived"); v != 900 {
		t.Errorf("the other store's is %v, want the old one", v)
	}
}

// What stands beside a plot has room for some 20 letters; what is longer is cut off.
func TestNamesOfLinesFit(t *testing.T) {
	p := &Result{Part: "backlog", Store: postgresStore}
	for _, series := range []string{"delivered", "serve MB", "worker MB"} {
		p.sample(series+", draining 1,000,000", 1, 70)
	}
	var names []string
	for _, prefix := range []string{"delivered, ", "serve MB, ", "worker MB, "} {
		for _, l := range seriesOf(p, prefix) {
			names = append(names, l.label)
			if len(l.label) > 20 {
				t.Errorf("%q has %d letters", l.label, len(l.label))
			}
		}
	}
	if want := []string{"draining 1,000,000", "serve, 1,000,000", "worker, 1,000,000"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}
