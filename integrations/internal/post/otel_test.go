package post_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// TestTheTraceGoesOnToTheReceiver: by a header that the record shows too, unless a user has
// configured one; and the span says neither URL nor body.
func TestTheTraceGoesOnToTheReceiver(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Traceparent"))
		w.WriteHeader(http.StatusTeapot)
	}))
	defer server.Close()
	client := post.New(post.Options{AllowCIDRs: loopback})
	defer client.Close()
	spans := tracetest.NewSpanRecorder()
	ctx, delivery := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test").Start(t.Context(), "deliver")
	header := http.Header{"X-Mine": {"1"}}
	request := post.Request{Method: "POST", URL: server.URL + "/canary-path?key=canary-query", Header: header, Body: []byte("canary-body")}
	res, err := client.Do(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Do(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{"Traceparent": {"mine"}}
	if _, err := client.Do(ctx, request); err != nil {
		t.Fatal(err)
	}
	if len(header) != 1 {
		t.Errorf("the caller's header became %v", header)
	}
	span := spans.Ended()[0]
	want := "00-" + delivery.SpanContext().TraceID().String() + "-" + span.SpanContext().SpanID().String() + "-01"
	if got[0] != want || got[1] != "" || got[2] != "mine" {
		t.Errorf("traceparent came as %q, want %q, then none without tracing, then the user's own", got, want)
	}
	if shown := res.Exchange.RequestHeaders["Traceparent"]; shown != want {
		t.Errorf("the record shows %q, want %q", shown, want)
	}
	text := fmt.Sprintf("%+v", tracetest.SpanStubsFromReadOnlySpans(spans.Ended()))
	if strings.Contains(text, "canary") || strings.Contains(text, "127.0.0.1") {
		t.Errorf("the span says %s", text)
	}
	if !strings.Contains(text, fmt.Sprint(http.StatusTeapot)) {
		t.Errorf("the span does not say the status: %s", text)
	}
}
