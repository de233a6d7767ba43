package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// TestTimeIsBoundedWithoutALoop renders a template that would take long: hundreds of
// calls in a row, each over a large delivery.
func TestTimeIsBoundedWithoutALoop(t *testing.T) {
	data, err := json.Marshal(strings.Repeat("<&>", 8_000))
	if err != nil {
		t.Fatal(err)
	}
	events := make([]tocsin.Event, 40)
	for i := range events {
		events[i] = tocsin.Event{ID: "1", Source: "/s", Type: "custom.x", Data: data}
	}
	for name, call := range map[string]string{
		"toJSON": `{{$x := toJSON .Events}}`, "upper": `{{$x := upper (toJSON .Events)}}`,
		"in a loop": `{{range 1000}}{{$x := toJSON $.Events}}{{end}}`,
	} {
		compiled, err := compile(strings.Repeat(call, 500))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err = compiled.render(ctx, catalog.Default(), tocsin.Notification{DeliveryID: "dlv_1", Events: events})
		cancel()
		var bound *boundError
		if !errors.As(err, &bound) || !strings.Contains(err.Error(), "takes longer than") {
			t.Errorf("%s: got %v, want the bound of time", name, err)
		}
	}
}
