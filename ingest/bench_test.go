package ingest_test

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/ingest"
)

// hundred is a body of 100 events of about 500 bytes.
func hundred(b *testing.B) []byte {
	var body bytes.Buffer
	body.WriteByte('[')
	for i := range 100 {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"id":"evt-%06d","source":"/collections/hr-assistants","type":"agent.discovered","severity":"medium","status":"firing","time":"2026-03-02T08:30:00Z",`+
			`"subject":"agent/leave-planner","title":"New agent: leave-planner","summary":"A CrewAI agent that nobody registered answers questions about leave.",`+
			`"labels":{"collection":"hr-assistants","environment":"production"},"data":{"framework":"CrewAI","llm_provider":"anthropic","capabilities":["tool_use","retrieval"],"shadow":true}}`, i)
	}
	body.WriteByte(']')
	if n := body.Len() / 100; n < 450 || n > 550 {
		b.Fatalf("%d bytes for each event", n)
	}
	return body.Bytes()
}

// perEvent reports events for each second beside the time for each body.
func perEvent(b *testing.B, n int) {
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkDecode(b *testing.B) {
	body := hundred(b)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ingest.Decode("application/json", body); err != nil {
			b.Fatal(err)
		}
	}
	perEvent(b, 100)
}

// BenchmarkReceive is the whole way but for a real store.
func BenchmarkReceive(b *testing.B) {
	body := hundred(b)
	s := newStore(hook("all"))
	in, err := ingest.New(ingest.Config{Store: discard{s}, Conductor: &conductor{}})
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := in.Receive(b.Context(), http.Header{}, body); err != nil {
			b.Fatal(err)
		}
	}
	perEvent(b, 100)
}

// BenchmarkMatch submits one event to many webhooks; one in a hundred wants it in
// "few", half of them by a filter, all of them in "every".
func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		few, every := make([]tocsin.Webhook, n), make([]tocsin.Webhook, n)
		for i := range n {
			every[i] = hook(fmt.Sprint(i))
			few[i] = hook(fmt.Sprint(i), events("custom.test"), collections(fmt.Sprint(i%100)))
			if i%200 == 0 {
				few[i].Filter = `level >= 1 && data.n == 1`
			}
		}
		for name, webhooks := range map[string][]tocsin.Webhook{"few": few, "every": every} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				in, err := ingest.New(ingest.Config{Store: discard{newStore(webhooks...)}, Conductor: &conductor{}})
				if err != nil {
					b.Fatal(err)
				}
				defer in.Close()
				one := custom("e", 1)
				one[0].Labels = map[string]string{"collection": "0"}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := in.Submit(b.Context(), one); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
