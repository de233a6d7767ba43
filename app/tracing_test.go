package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/app"
)

func TestWhatAsksForTraces(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want bool
		bad  string // what the error names
	}{
		"nothing":             {nil, false, ""},
		"an endpoint":         {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, true, ""},
		"one for traces":      {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, true, ""},
		"the exporter":        {map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true, ""},
		"none all the same":   {map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, false, ""},
		"disabled":            {map[string]string{"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"}, false, ""},
		"another exporter":    {map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, false, "OTEL_TRACES_EXPORTER"},
		"another protocol":    {map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false, "OTEL_EXPORTER_OTLP_PROTOCOL"},
		"for other signals":   {map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}, true, ""},
		"a protocol for none": {map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false, ""},
	} {
		got, err := app.TracingAsked(func(name string) string { return c.env[name] })
		if got != c.want || (err != nil) != (c.bad != "") {
			t.Errorf("%s: %v, %v; want %v", name, got, err, c.want)
		}
		if c.bad != "" && (tocsin.CodeOf(err) != tocsin.CodeInvalid || !strings.Contains(err.Error(), c.bad)) {
			t.Errorf("%s: %v, want an error that names %s", name, err, c.bad)
		}
	}
}

// TestACollectorThatIsAwayCostsSpansAlone: events are taken, and the process stops in good
// order, which start sees to.
func TestACollectorThatIsAwayCostsSpansAlone(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "100")
	a := start(t, app.Config{Roles: app.Serve, Open: true, Tracing: true})
	if status, answer := call(t, "POST", "http://"+a.Addr()+"/v1/events", `{"id": "1", "source": "s", "type": "custom.x"}`); status != http.StatusAccepted {
		t.Errorf("submitting: %d %s", status, answer)
	}
}
