package ingest

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/internal/tracecontext"
)

// maxLinks is how many links a span gets at most; the SDK keeps 128.
const maxLinks = 100

// tracer makes ingest's spans; a nil one makes none, and costs nothing.
type tracer struct{ trace.Tracer }

func newTracer(provider trace.TracerProvider) *tracer {
	if provider == nil {
		return nil
	}
	return &tracer{provider.Tracer("github.com/tocsin-alerts/tocsin/ingest")}
}

// submitting begins the span of a request. Events that brought a trace of their own keep
// it, and are linked; the others are given this one.
func (t *tracer) submitting(ctx context.Context, events []tocsin.Event) (context.Context, trace.Span) {
	if t == nil {
		return ctx, nil
	}
	var links []trace.Link
	for i := range events {
		if sc := tracecontext.Parse(events[i].TraceParent); sc.IsValid() && len(links) < maxLinks {
			links = append(links, trace.Link{SpanContext: sc})
		}
	}
	return t.Start(ctx, "ingest", trace.WithLinks(links...), trace.WithAttributes(attribute.Int("tocsin.events", len(events))))
}

// adopt gives the events of a request without a trace of their own that of its span.
func adopt(span trace.Span, batch []tocsin.NewEvent) {
	if span == nil {
		return
	}
	parent := tracecontext.Format(span.SpanContext())
	for i := range batch {
		if batch[i].Event.TraceParent == "" {
			batch[i].Event.TraceParent = parent
		}
	}
}

// submitted ends the span of a request.
func submitted(span trace.Span, r Result, err error) {
	if span == nil {
		return
	}
	span.SetAttributes(attribute.Int("tocsin.accepted", r.Accepted), attribute.Int("tocsin.duplicates", r.Duplicates), attribute.Int("tocsin.conflicts", r.Conflicts))
	failed(span, err)
	span.End()
}

// committing begins the span of a group commit: under the first of its requests, and
// linked with the others in both directions.
func (t *tracer) committing(group []*request) trace.Span {
	if t == nil {
		return nil
	}
	var links []trace.Link
	events := 0
	for i, r := range group {
		events += len(r.batch)
		if i > 0 && i <= maxLinks {
			links = append(links, trace.LinkFromContext(r.ctx))
		}
	}
	// No deadline of a caller's bounds what it shares with others.
	_, span := t.Start(context.WithoutCancel(group[0].ctx), "group commit", trace.WithLinks(links...),
		trace.WithAttributes(attribute.Int("tocsin.events", events), attribute.Int("tocsin.requests", len(group))))
	for i := 1; i < len(group) && i <= maxLinks; i++ {
		trace.SpanFromContext(group[i].ctx).AddLink(trace.Link{SpanContext: span.SpanContext()})
	}
	return span
}

// committed ends the span of a group commit.
func committed(span trace.Span, err error) {
	if span == nil {
		return
	}
	failed(span, err)
	span.End()
}

// failed notes the error's code. Its text may repeat what a producer sent.
func failed(span trace.Span, err error) {
	if err == nil {
		return
	}
	span.SetStatus(codes.Error, strings.TrimSpace(string(tocsin.CodeOf(err))))
}
