package ingest_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/ingest"
	"github.com/tocsin-alerts/tocsin/store/postgres"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// benchData is data that brings an event of each type to about 1 KB, the size that the
// figures of docs/performance.md are for.
var benchData = map[string]string{
	"agent.discovered": `{"framework":"CrewAI","llm_provider":"anthropic","model":"claude-sonnet","capabilities":["tool_use","retrieval","code_execution"],"shadow":true,` +
		`"first_seen":"2026-03-02T08:29:12Z","tools":[{"name":"calendar.read","calls":12},{"name":"mail.send","calls":3}],"note":"` + strings.Repeat("Seen in the traffic of the gateway. ", 11) + `"}`,
	"threat.detected": `{"actor":"198.51.100.24","apiCollectionId":1702,"country":"BR","eventType":"SINGLE","filterId":"OSCommandInjection","ip":"198.51.100.24","method":"POST",` +
		`"subCategory":"OS_COMMAND_INJECTION","timestamp":1740990600,"type":"Rule-Based","url":"v2/refunds","maliciousPayloadsResponses":[{"orig":"{\"reason\":\"ok; id\"}` + strings.Repeat("x", 250) +
		`","ts":1740990599}],"host":"pay.example.org","successfulExploit":false}`,
	"custom.deploy": `{"commit":"4f1c0d","branch":"main","duration":812.5,"steps":["build","test","push"],"note":"` + strings.Repeat("Seen in the log of the pipeline. ", 16) + `"}`,
}

// benchEvent is an event of about 1 KB, as a producer writes it.
func benchEvent(kind string, i int) string {
	return fmt.Sprintf(`{"id":"evt-%08d","source":"/collections/hr-assistants","type":"%s","severity":"medium","status":"firing","time":"2026-03-02T08:30:00Z",`+
		`"subject":"agent/leave-planner-%d","title":"New: leave-planner","summary":"Something that nobody registered answers questions about leave.",`+
		`"labels":{"collection":"hr-assistants","environment":"production"},"data":%s}`, i, kind, i%1000, benchData[kind])
}

// benchBody is a request with n events.
func benchBody(tb testing.TB, kind, form string, n int) (contentType string, body []byte) {
	all := make([]string, n)
	for i := range all {
		all[i] = benchEvent(kind, i)
		if size := len(all[i]); size < 900 || size > 1100 {
			tb.Fatalf("%s has %d bytes", kind, size)
		}
		if form == "cloud" {
			all[i] = `{"specversion":"1.0","datacontenttype":"application/json",` + all[i][1:]
		}
	}
	switch {
	case form == "lines":
		return "application/x-ndjson", []byte(strings.Join(all, "\n"))
	case form == "cloud" && n == 1:
		return "application/cloudevents+json", []byte(all[0])
	case form == "cloud":
		return "application/cloudevents-batch+json", []byte("[" + strings.Join(all, ",") + "]")
	case n == 1:
		return "application/json", []byte(all[0])
	}
	return "application/json", []byte("[" + strings.Join(all, ",") + "]")
}

// perEvent reports events for each second beside the time for each body.
func perEvent(b *testing.B, n int) {
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkDecode(b *testing.B) {
	for _, form := range []string{"native", "lines", "cloud"} {
		for _, n := range []int{1, 100} {
			b.Run(fmt.Sprintf("%s/%d", form, n), func(b *testing.B) {
				contentType, body := benchBody(b, "agent.discovered", form, n)
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := ingest.Decode(contentType, body); err != nil {
						b.Fatal(err)
					}
				}
				perEvent(b, n)
			})
		}
	}
}

// benchIngest is an ingest over a store that keeps nothing.
func benchIngest(b *testing.B, webhooks ...tocsin.Webhook) *ingest.Ingest {
	return benchIngestOver(b, discard{newStore(webhooks...)})
}

func benchIngestOver(b *testing.B, s tocsin.Store) *ingest.Ingest {
	metrics, err := ingest.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	in, err := ingest.New(ingest.Config{Store: s, Conductor: &conductor{}, Metrics: metrics})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(in.Close)
	return in
}

// BenchmarkValidate checks 100 decoded events: limits and the catalog.
func BenchmarkValidate(b *testing.B) {
	for kind := range benchData {
		b.Run(kind, func(b *testing.B) {
			in := benchIngest(b)
			contentType, body := benchBody(b, kind, "native", 100)
			events, err := ingest.Decode(contentType, body)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := ingest.Validate(in, events); err != nil {
					b.Fatal(err)
				}
			}
			perEvent(b, 100)
		})
	}
}

// BenchmarkFingerprint hashes what an event says, and what its dedup key is made of.
func BenchmarkFingerprint(b *testing.B) {
	for kind := range benchData {
		events, err := ingest.Decode("", []byte(benchEvent(kind, 1)))
		if err != nil {
			b.Fatal(err)
		}
		b.Run("content/"+kind, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ingest.Fingerprint(&events[0])
			}
		})
		b.Run("dedupkey/"+kind, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ingest.DedupKey(&events[0])
			}
		})
	}
}

// BenchmarkReceive is the whole way but for a real store.
func BenchmarkReceive(b *testing.B) {
	for kind := range benchData {
		for _, n := range []int{1, 100} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				in := benchIngest(b, hook("all"))
				contentType, body := benchBody(b, kind, "native", n)
				header := http.Header{"Content-Type": {contentType}}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := in.Receive(b.Context(), header, body); err != nil {
						b.Fatal(err)
					}
				}
				perEvent(b, n)
			})
		}
	}
}

// counting counts the transactions.
type counting struct {
	tocsin.Store
	commits atomic.Int64
}

func (c *counting) Append(ctx context.Context, revision int64, batch []tocsin.NewEvent) (tocsin.AppendResult, error) {
	c.commits.Add(1)
	return c.Store.Append(ctx, revision, batch)
}

// BenchmarkGroupCommit has callers of one event each, and PostgreSQL. Events per commit
// say how well it adapts.
func BenchmarkGroupCommit(b *testing.B) {
	cluster := pgtest.Start(b, pgtest.Options{}) // of its own: it ends before the check for goroutines
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			db, err := postgres.Open(b.Context(), cluster.Database(b), postgres.Options{})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = db.Close() })
			if err := db.Migrate(b.Context()); err != nil {
				b.Fatal(err)
			}
			storetest.MustCreate(b, db, "a")
			s := &counting{Store: db}
			in := benchIngestOver(b, s)
			receiveAll(b, in, callers)
			b.ReportMetric(float64(b.N)/float64(s.commits.Load()), "events/commit")
		})
	}
}

// receiveAll shares b.N requests of one event between callers.
func receiveAll(b *testing.B, in *ingest.Ingest, callers int) {
	var next atomic.Int64
	var done sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range callers {
		done.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if _, err := in.Receive(b.Context(), http.Header{}, []byte(benchEvent("agent.discovered", int(i)))); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	done.Wait()
	perEvent(b, 1)
}

// benchHooks are n webhooks: one in a hundred wants the event in "few", half of them by a
// filter, all of them in "every", all by one of ten filters in "filters", none in "none".
func benchHooks(kind string, n int) []tocsin.Webhook {
	all := make([]tocsin.Webhook, n)
	for i := range all {
		all[i] = hook(fmt.Sprint(i))
		switch kind {
		case "few":
			events("custom.test")(&all[i])
			collections(fmt.Sprint(i % 100))(&all[i])
			if i%200 == 0 {
				all[i].Filter = `level >= 1 && data.n == 1`
			}
		case "filters":
			all[i].Filter = fmt.Sprintf(`level >= 1 && data.n != %d`, 2+i%10)
		case "none":
			events("custom.other")(&all[i])
		}
	}
	return all
}

// BenchmarkMatch finds the webhooks of one event.
func BenchmarkMatch(b *testing.B) {
	for _, kind := range []string{"none", "few", "every", "filters"} {
		for _, n := range []int{1, 100, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				match := ingest.Matcher(tocsin.Configuration{Revision: 1, Webhooks: benchHooks(kind, n)})
				one := custom("e", 1)
				one[0].Severity, one[0].Labels = tocsin.SeverityInfo, map[string]string{"collection": "0"}
				b.ReportAllocs()
				for b.Loop() {
					match(&one[0])
				}
			})
		}
	}
}

// BenchmarkCompile makes a matcher of a configuration of which one webhook is new, as
// after each change: "plain" on everything, "few" and "filters" as for BenchmarkMatch.
func BenchmarkCompile(b *testing.B) {
	for _, kind := range []string{"plain", "few", "filters"} {
		b.Run(kind+"/10000", func(b *testing.B) {
			conf := tocsin.Configuration{Webhooks: benchHooks(kind, 10_000)}
			again := ingest.Compiler()
			again(conf)
			b.ReportAllocs()
			for b.Loop() {
				conf.Revision++
				conf.Webhooks = slices.Clone(conf.Webhooks)
				conf.Webhooks[0].ID = fmt.Sprint("wh_new", conf.Revision)
				again(conf)
			}
		})
	}
}
