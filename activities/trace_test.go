package activities_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
)

// traceOf is the traceparent of the n-th request.
func traceOf(n int) string {
	return fmt.Sprintf("00-0af7651916cd43dd8448eb211c8031%02x-b7ad6b71692033%02x-01", n, n)
}

// submitTraced appends events that came with these traces.
func submitTraced(t *testing.T, s tocsin.Store, w tocsin.Webhook, traces ...string) {
	t.Helper()
	revision, _, err := s.ListWebhooks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var batch []tocsin.NewEvent
	for _, parent := range traces {
		e := tocsin.Event{
			ID: tocsin.NewID("e"), Source: "/test", Type: "custom.test", Severity: tocsin.SeverityLow, Status: tocsin.Firing,
			Title: "canary-title", Raw: []byte(`{"canary":"canary-data"}`), TraceParent: parent,
		}
		e.DedupKey = e.ID
		batch = append(batch, tocsin.NewEvent{Event: e, Fingerprint: []byte(e.ID), Owed: []tocsin.Obligation{{WebhookID: w.ID}}})
	}
	if _, err := s.Append(t.Context(), revision, batch); err != nil {
		t.Fatal(err)
	}
}

func TestADeliveryIsInTheTraceOfItsEvents(t *testing.T) {
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		for name, c := range map[string]struct {
			traces []string
			parent bool
			links  int // beside the one to the activity
		}{
			"one event":                  {[]string{traceOf(1)}, true, 0},
			"several of one request":     {[]string{traceOf(1), traceOf(1), traceOf(1)}, true, 0},
			"of several requests":        {[]string{traceOf(1), traceOf(2), traceOf(2), ""}, false, 2},
			"of requests without traces": {[]string{"", ""}, false, 0},
		} {
			t.Run(name, func(t *testing.T) {
				spans := tracetest.NewSpanRecorder()
				provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
				a := newActivities(s, newReceiver())
				a.Traces = provider
				w := newWebhook(t, s, nil)
				submitTraced(t, s, w, c.traces...)
				ctx, activity := provider.Tracer("test").Start(t.Context(), "RunActivity:Deliver")
				if _, err := a.Deliver(ctx, activities.DeliverInput{WebhookID: w.ID}); err != nil {
					t.Fatal(err)
				}
				ended := spans.Ended()
				if len(ended) != 1 || ended[0].Name() != "deliver webhook" {
					t.Fatalf("spans %v, want one of a delivery", ended)
				}
				span := ended[0]
				if got := span.Parent().TraceID().String(); c.parent != (got == traceOf(1)[3:35]) {
					t.Errorf("it is in the trace %s", got)
				}
				if !c.parent && span.Parent().IsValid() {
					t.Errorf("it is under %v, want a trace of its own", span.Parent())
				}
				links := span.Links()
				if len(links) != 1+c.links || links[0].SpanContext.SpanID() != activity.SpanContext().SpanID() {
					t.Fatalf("links %v, want %d, the first to the activity", links, 1+c.links)
				}
				for n, link := range links[1:] {
					if got, want := link.SpanContext.SpanID().String(), traceOf(n + 1)[36:52]; got != want {
						t.Errorf("link %d is to %s, want %s", n, got, want)
					}
				}
			})
		}
	})
}

// failer is a sender that fails, and tells the trace it was asked in.
type failer struct{ asked chan trace.SpanContext }

func (f failer) Send(ctx context.Context, _ tocsin.Notification) (tocsin.Receipt, error) {
	f.asked <- trace.SpanContextFromContext(ctx)
	return tocsin.Receipt{}, errors.New("canary-answer of https://user:canary-password@example.com")
}

func (failer) Preview(context.Context, tocsin.Notification) ([]tocsin.Exchange, error) {
	return nil, nil
}

// TestSpansSayNothingOfEventsAndAnswers: of a failure they have the class alone.
func TestSpansSayNothingOfEventsAndAnswers(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	s := stores["sqlite"](t)
	a := newActivities(s, nil)
	f := failer{make(chan trace.SpanContext, 1)}
	a.Sender = func(tocsin.Webhook) (tocsin.Sender, error) { return f, nil }
	a.Traces = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	w := newWebhook(t, s, func(w *tocsin.Webhook) { w.Name = "canary-name" })
	submitTraced(t, s, w, traceOf(1))
	deliver(t, a, w)
	text := fmt.Sprintf("%+v", tracetest.SpanStubsFromReadOnlySpans(spans.Ended()))
	if strings.Contains(text, "canary") {
		t.Errorf("the span says %s", text)
	}
	if !strings.Contains(text, "tocsin.outcome") || !strings.Contains(text, w.ID) {
		t.Errorf("the span says neither webhook nor outcome: %s", text)
	}
	if sc := <-f.asked; sc.TraceID().String() != traceOf(1)[3:35] || sc.SpanID() != spans.Ended()[0].SpanContext().SpanID() {
		t.Errorf("the sender was asked in %v, want the delivery's span", sc)
	}
}
