package main

import "strings"

// Peers' figures, measured on a machine with 2 cores; docs/performance.md says how.
var peers = []bar{
	{"Outpost 1.2", 818, true},
	{"Convoy 26.7, free edition", 118, true},
	{"Alertmanager 0.34, not durable", 1490, true},
}

// bestPeer is the rate of the best peer that is durable: Outpost's.
const bestPeer = 834

// plots draws what there is to draw, by file name.
func (r Report) plots() map[string]string {
	all := map[string]string{}
	if bars := r.singleBars(); bars != nil {
		all["bench-single.svg"] = barChart("Delivered events per second, one in each request", "/s", append(bars, peers...))
	}
	if bars := r.batchBars(); bars != nil {
		all["bench-batch.svg"] = barChart("Events per second, 100 in each request (PostgreSQL)", "/s", bars)
	}
	if p := r.find("latency", postgresStore); p != nil {
		var lines []line
		for _, q := range []string{"p50", "p90", "p99"} {
			lines = append(lines, line{q, p.Series[q]})
		}
		all["bench-latency.svg"] = lineChart("From due to arrival (PostgreSQL)", "events per second", "ms", lines)
	}
	if p := r.find("backlog", postgresStore); p != nil {
		all["bench-backlog.svg"] = lineChart("Delivered events per second while a backlog drains", "seconds", "events/s", seriesOf(p, "delivered, "))
		all["bench-memory.svg"] = lineChart("Resident memory while a backlog drains", "seconds", "MB", append(seriesOf(p, "serve MB, "), seriesOf(p, "worker MB, ")...))
	}
	if p := r.find("workers", postgresStore); p != nil {
		all["bench-workers.svg"] = lineChart("Deliveries per second to receivers that take 200 ms", "worker processes", "deliveries/s", seriesOf(p, "deliveries per second"))
	}
	return all
}

func (r Report) singleBars() (bars []bar) {
	for _, store := range []struct{ name, label string }{{postgresStore, "Tocsin, PostgreSQL"}, {sqliteStore, "Tocsin, SQLite"}} {
		if p := r.find("single", store.name); p != nil {
			if v, ok := p.find("delivered, until all had arrived"); ok {
				bars = append(bars, bar{label: store.label, value: v})
			}
		}
	}
	return bars
}

func (r Report) batchBars() (bars []bar) {
	p := r.find("batch", postgresStore)
	if p == nil {
		return nil
	}
	for _, f := range p.Figures {
		if f.Unit == "/s" && !strings.Contains(f.Name, "POSTs") {
			bars = append(bars, bar{f.Name, f.Value, strings.HasPrefix(f.Name, "raw limit")})
		}
	}
	return bars
}

// shorter are the names of series, which say what they are of, as they stand beside a plot
// whose title says it.
var shorter = strings.NewReplacer("delivered, ", "", " MB, draining ", ", ")

// seriesOf are a part's series whose names begin so, the longest last.
func seriesOf(p *Result, prefix string) (lines []line) {
	for _, name := range sortedKeys(p.Series) {
		if strings.HasPrefix(name, prefix) {
			lines = append(lines, line{shorter.Replace(name), p.Series[name]})
		}
	}
	return lines
}
