package activities

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/internal/tracecontext"
)

// maxLinks is how many links a span gets at most; the SDK keeps 128.
const maxLinks = 100

// traced begins the span of an attempt. Events of one trace, as a single one always is, have
// their delivery in that: from the request they came with to the receiver. A batch of
// several is a trace of its own, linked with each of them. Both are linked with the Deliver
// that does it, which is in the trace of the webhook's workflow.
//
// nil without tracing.
func (r *run) traced(ctx context.Context, c tocsin.Claimed) (context.Context, trace.Span) {
	if r.a.Traces == nil {
		return ctx, nil
	}
	tracer := r.a.Traces.Tracer("github.com/tocsin-alerts/tocsin/activities")
	origins := originsOf(c.Events)
	var links []trace.Link
	if activity := trace.SpanContextFromContext(ctx); activity.IsValid() {
		links = append(links, trace.Link{SpanContext: activity})
	}
	options := []trace.SpanStartOption{trace.WithAttributes(
		attribute.String("tocsin.webhook.id", r.lease.Webhook.ID), attribute.String("tocsin.channel", r.lease.Webhook.Channel),
		attribute.String("tocsin.delivery.id", c.Delivery.ID), attribute.Int("tocsin.attempt", c.Attempt), attribute.Int("tocsin.events", len(c.Events)),
	)}
	if len(origins) == 1 {
		ctx = trace.ContextWithRemoteSpanContext(ctx, origins[0])
	} else {
		options = append(options, trace.WithNewRoot())
		for _, sc := range origins {
			links = append(links, trace.Link{SpanContext: sc})
		}
	}
	return tracer.Start(ctx, "deliver "+r.lease.Webhook.Channel, append(options, trace.WithLinks(links...))...)
}

// originsOf are where the events' traces can be taken up, each once; the first hundred.
func originsOf(events []tocsin.Event) []trace.SpanContext {
	var out []trace.SpanContext
	seen := map[string]bool{"": true}
	for i := range events {
		if parent := events[i].TraceParent; !seen[parent] && len(out) < maxLinks {
			seen[parent] = true
			if sc := tracecontext.Parse(parent); sc.IsValid() {
				out = append(out, sc)
			}
		}
	}
	return out
}

// ended says what became of the attempt. What the receiver answered may repeat the events,
// and is not said.
func ended(span trace.Span, o tocsin.Outcome) {
	if span == nil {
		return
	}
	span.SetAttributes(attribute.String("tocsin.outcome", o.Attempt.Outcome))
	if o.State != tocsin.DeliveryDelivered {
		span.SetAttributes(attribute.String("tocsin.reason", reasonOf(o.Attempt)))
		span.SetStatus(codes.Error, reasonOf(o.Attempt))
	}
}

// closed ends a span; nil is none.
func closed(span trace.Span) {
	if span != nil {
		span.End()
	}
}
