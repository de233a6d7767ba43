package post

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/tocsin-alerts/tocsin/internal/tracecontext"
)

// traceParent is the header that carries a trace on.
const traceParent = "Traceparent"

// traced begins the span of a request where ctx has one, and adds the header that carries
// the trace on to the receiver, unless a user has configured one. Neither the URL nor the
// host is said: both may be secrets. No signature covers the header. nil without tracing.
func traced(ctx context.Context, r *Request) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.SpanContext().IsValid() {
		return ctx, nil
	}
	ctx, span := parent.TracerProvider().Tracer("github.com/tocsin-alerts/tocsin/integrations").Start(ctx, r.Method,
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attribute.String("http.request.method", r.Method)))
	if r.Header.Get(traceParent) == "" {
		// The caller's header stays as it is: it may send it again.
		header := r.Header.Clone()
		if header == nil {
			header = http.Header{}
		}
		header.Set(traceParent, tracecontext.Format(span.SpanContext()))
		r.Header = header
	}
	return ctx, span
}

// answered ends the span of a request.
func answered(span trace.Span, status int, err error) {
	if span == nil {
		return
	}
	if status > 0 {
		span.SetAttributes(attribute.Int("http.response.status_code", status))
	}
	if err != nil || status >= 400 {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}
