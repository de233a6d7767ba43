package app

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/opentelemetry"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// TracingAsked reports whether the standard variables of OpenTelemetry ask for traces: with
// OTEL_TRACES_EXPORTER=otlp, or with an OTEL_EXPORTER_OTLP_(TRACES_)ENDPOINT. An error names
// a value that this program cannot do.
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
func TracingAsked(getenv func(string) string) (bool, error) {
	get := func(name string) string { return strings.TrimSpace(getenv(name)) }
	if strings.EqualFold(get("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	asked := get("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
	switch exporter := get("OTEL_TRACES_EXPORTER"); exporter {
	case "":
	case "otlp":
		asked = true
	case "none":
		return false, nil
	default:
		return false, tocsin.Errorf(tocsin.CodeInvalid, "OTEL_TRACES_EXPORTER: %q is not supported; allowed: otlp, none", exporter)
	}
	if !asked {
		return false, nil
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if protocol := get(name); protocol == "http/protobuf" {
			break // the first is for traces, and counts
		} else if protocol != "" {
			return false, tocsin.Errorf(tocsin.CodeInvalid, "%s: %q is not supported; allowed: http/protobuf", name, protocol)
		}
	}
	return true, nil
}

// serviceName is what traces call this process unless OTEL_SERVICE_NAME says it.
func (a *App) serviceName() string {
	if a.cfg.Roles == Work {
		return "tocsin-worker"
	}
	return "tocsin"
}

// openTracing begins to export spans as the OTEL_* variables say, which the exporter, the
// sampler and the batches read by themselves. A collector that is away costs spans, and
// nothing else.
func (a *App) openTracing(ctx context.Context) error {
	if !a.cfg.Tracing {
		return nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return tocsin.Errorf(tocsin.CodeInvalid, "reading the OTEL_* settings: %w", err)
	}
	// What comes later wins.
	about, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", a.serviceName()), attribute.String("service.version", a.cfg.Version)),
		resource.WithFromEnv())
	if err != nil {
		return tocsin.Errorf(tocsin.CodeInvalid, "reading OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	otel.SetErrorHandler(&exportErrors{log: a.log})
	a.traces = sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	a.cleanup("traces", a.closeTracing)
	a.log.Info("exporting traces")
	return nil
}

// lastExport bounds how long a process that stops waits for the collector.
const lastExport = 5 * time.Second

// closeTracing exports what is left. That the collector does not take it keeps nothing from
// stopping in good order.
func (a *App) closeTracing(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lastExport)
	defer cancel()
	if err := a.traces.Shutdown(ctx); err != nil {
		a.log.Warn("exporting the last traces", "error", err)
	}
	return nil
}

// exportErrors logs what goes wrong with exports, the same thing once.
type exportErrors struct {
	log *slog.Logger

	mu   sync.Mutex
	said string
}

// Handle implements otel.ErrorHandler.
func (e *exportErrors) Handle(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if text := err.Error(); text != e.said {
		e.said = text
		e.log.Warn("exporting traces", "error", err)
	}
}

// traceWorkflows adds the SDK's interceptor to the client, which workers share.
func (a *App) traceWorkflows(options *client.Options) error {
	if a.traces == nil {
		return nil
	}
	tracing, err := opentelemetry.NewTracingInterceptor(opentelemetry.TracerOptions{
		Tracer:            a.traces.Tracer("go.temporal.io/sdk/contrib/opentelemetry"),
		TextMapPropagator: propagation.TraceContext{}, DisableBaggage: true,
		// A query changes nothing, and whoever keeps a list of webhooks open sends many.
		DisableQueryTracing: true,
		// Any Temporal client may send a signal, with whatever header.
		AllowInvalidParentSpans: true,
	})
	if err != nil {
		return fmt.Errorf("tracing workflows: %w", err)
	}
	options.Interceptors = append(options.Interceptors, tracing)
	return nil
}

// tracerProvider is nil without tracing; a nil pointer in an interface would not be.
func (a *App) tracerProvider() trace.TracerProvider {
	if a.traces == nil {
		return nil
	}
	return a.traces
}
