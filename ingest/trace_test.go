package ingest_test

import (
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/ingest"
)

const producers = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// TestEventsKeepTheTraceTheyBring, in every form of a CloudEvent, and others get that of
// their request; one that is no trace is as good as none.
func TestEventsKeepTheTraceTheyBring(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	s := newStore(hook("a"))
	in, err := ingest.New(ingest.Config{Store: s, Conductor: &conductor{}, Traces: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))})
	if err != nil {
		t.Fatal(err)
	}
	body := `[{"specversion":"1.0","id":"own","source":"s","type":"custom.x","traceparent":"` + producers + `","tracestate":"a=b"},
		{"specversion":"1.0","id":"broken","source":"s","type":"custom.x","traceparent":"secret"},
		{"id":"none","source":"s","type":"custom.x"}]`
	if _, err := in.Receive(t.Context(), map[string][]string{"Content-Type": {"application/json"}}, []byte(body)); err != nil {
		t.Fatal(err)
	}
	binary := map[string][]string{"Ce-Specversion": {"1.0"}, "Ce-Id": {"binary"}, "Ce-Source": {"s"}, "Ce-Type": {"custom.x"}, "Ce-Traceparent": {producers}}
	if _, err := in.Receive(t.Context(), binary, nil); err != nil {
		t.Fatal(err)
	}
	in.Close()
	for _, id := range []string{"own", "binary"} {
		if got := s.stored(t, id).Event.TraceParent; got != producers {
			t.Errorf("event %q has the trace %q, want its own", id, got)
		}
	}
	ended := spans.Ended()
	if len(ended) != 4 {
		t.Fatalf("%d spans, want two of requests and two of commits", len(ended))
	}
	commit, request := ended[0], ended[1]
	if request.Name() != "ingest" || commit.Name() != "group commit" || commit.Parent().SpanID() != request.SpanContext().SpanID() {
		t.Errorf("spans %q and, under it, %q; want ingest and group commit", request.Name(), commit.Name())
	}
	if links := request.Links(); len(links) != 1 || links[0].SpanContext.SpanID().String() != "b7ad6b7169203331" {
		t.Errorf("the request has the links %v, want one to the producer's span", links)
	}
	want := "00-" + request.SpanContext().TraceID().String() + "-" + request.SpanContext().SpanID().String() + "-01"
	for _, id := range []string{"broken", "none"} {
		if got := s.stored(t, id).Event.TraceParent; got != want {
			t.Errorf("event %q has the trace %q, want its request's %q", id, got, want)
		}
	}
}

// TestARequestThatIsSharedIsLinked: a group commit is under its first request and linked
// with the others, in both directions.
func TestARequestThatIsSharedIsLinked(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	s := newStore(hook("a"))
	busy, release := make(chan struct{}), make(chan struct{})
	first := true
	s.before = func([]tocsin.NewEvent) error {
		if first {
			first = false
			close(busy)
			<-release
		}
		return nil
	}
	in, err := ingest.New(ingest.Config{Store: s, Conductor: &conductor{}, Traces: provider})
	if err != nil {
		t.Fatal(err)
	}
	submitted := make(chan error, 3)
	submit := func(id string) {
		_, err := in.Submit(t.Context(), []tocsin.Event{{ID: id, Source: "s", Type: "custom.x", Raw: []byte(`{}`)}})
		submitted <- err
	}
	go submit("one")
	<-busy
	go submit("two")
	go submit("three")
	ingest.WaitQueued(in, 2)
	close(release)
	for range 3 {
		if err := <-submitted; err != nil {
			t.Fatal(err)
		}
	}
	in.Close()
	byID := map[trace.SpanID]sdktrace.ReadOnlySpan{}
	var shared sdktrace.ReadOnlySpan
	for _, span := range spans.Ended() {
		byID[span.SpanContext().SpanID()] = span
		if span.Name() == "group commit" && len(span.Links()) > 0 {
			shared = span
		}
	}
	if shared == nil || len(shared.Links()) != 1 {
		t.Fatalf("no group commit with one link among %d spans", len(byID))
	}
	other := byID[shared.Links()[0].SpanContext.SpanID()]
	if byID[shared.Parent().SpanID()] == nil || other == nil || other == byID[shared.Parent().SpanID()] {
		t.Fatalf("the shared commit is under %v and linked with %v, want two requests", shared.Parent(), shared.Links())
	}
	if links := other.Links(); len(links) != 1 || links[0].SpanContext.SpanID() != shared.SpanContext().SpanID() {
		t.Errorf("the other request has the links %v, want one to the commit", links)
	}
}

func TestWithoutTracingNothingIsStored(t *testing.T) {
	s := newStore(hook("a"))
	in, err := ingest.New(ingest.Config{Store: s, Conductor: &conductor{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Submit(t.Context(), []tocsin.Event{{ID: "one", Source: "s", Type: "custom.x", Raw: []byte(`{}`)}}); err != nil {
		t.Fatal(err)
	}
	in.Close()
	if got := s.stored(t, "one").Event.TraceParent; got != "" {
		t.Errorf("the event has the trace %q, want none", got)
	}
}

// TestATraceIsNoPartOfAnEvent: the same event with another trace is a duplicate.
func TestATraceIsNoPartOfAnEvent(t *testing.T) {
	in, err := ingest.New(ingest.Config{Store: newStore(hook("a")), Conductor: &conductor{}})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for n, parent := range []string{producers, "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"} {
		body := `{"specversion":"1.0","id":"one","source":"s","type":"custom.x","traceparent":"` + parent + `"}`
		got, err := in.Receive(t.Context(), nil, []byte(body))
		if want := (ingest.Result{Accepted: 1 - n, Duplicates: n}); err != nil || got != want {
			t.Errorf("the answer is %+v (%v), want %+v", got, err, want)
		}
	}
}
