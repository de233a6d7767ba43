package api

import (
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/tocsin-alerts/tocsin/internal/tracecontext"
)

// traced begins the span of a request to a route, in the trace that its header traceparent
// names. Probes and scrapes have none. nil without tracing.
func (s *server) traced(r *http.Request, rt route) (*http.Request, trace.Span) {
	if s.Traces == nil || rt.scope == scopePublic && !strings.HasPrefix(rt.path, "/v1/") {
		return r, nil
	}
	ctx := r.Context()
	if parent := tracecontext.Parse(r.Header.Get("Traceparent")); parent.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	}
	ctx, span := s.Traces.Tracer("github.com/tocsin-alerts/tocsin/api").Start(ctx, rt.method+" "+rt.path, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("http.request.method", rt.method), attribute.String("http.route", rt.path)))
	return r.WithContext(ctx), span
}

// answered ends the span of a request.
func answered(span trace.Span, status int) {
	if span == nil {
		return
	}
	if status == 0 {
		status = http.StatusOK
	}
	span.SetAttributes(attribute.Int("http.response.status_code", status))
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}
