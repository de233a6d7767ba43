package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// trial renders a template for sample deliveries of every alert type. A template made
// for one type need not render for the others, so it fails only when none renders;
// what does render must be JSON where the content type says so. All of it together may
// take as long as one rendering: somebody waits for the answer.
func trial(ctx context.Context, t *bodyTemplate, isJSON bool, guide *catalog.Catalog) error {
	ctx, cancel := context.WithTimeout(ctx, maxRenderTime)
	defer cancel()
	var first error
	rendered := false
	for _, at := range guide.Types() {
		var example tocsin.Event
		if json.Unmarshal(at.Example, &example) != nil {
			continue // the catalog's own tests see to its examples
		}
		for _, events := range samples(example) {
			body, err := t.render(ctx, guide, tocsin.Notification{
				DeliveryID: "dlv_sample", WebhookName: `the "sample" webhook`, At: time.Unix(0, 0), Events: events,
			})
			var bound *boundError
			if errors.As(err, &bound) {
				return err // it would for every sample, and each takes its time
			}
			if err != nil {
				if first == nil {
					first = err
				}
				break
			}
			rendered = true
			if isJSON && !json.Valid(body) {
				return fmt.Errorf("for an event of type %s%w", at.Type, notJSON(body))
			}
		}
	}
	if !rendered {
		return first
	}
	return nil
}

// samples are deliveries of one event and of several, some with text that breaks
// quotes put around it by hand.
func samples(example tocsin.Event) [][]tocsin.Event {
	awkward := example
	awkward.Title = "\"quoted\" \\ <b> & \u2028\nsecond line"
	awkward.Summary, awkward.Subject = awkward.Title, awkward.Title
	awkward.Labels = map[string]string{"collection": awkward.Title}
	return [][]tocsin.Event{{example}, {awkward}, {example, awkward, example}}
}

// notJSON says where a body stops being JSON.
func notJSON(body []byte) error {
	var v any
	err := json.Unmarshal(body, &v)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		at := int(syntax.Offset)
		from := max(0, at-30)
		return fmt.Errorf(" the output is not JSON: %v after %q; encode values with {{toJSON …}}, without quotes around it", err, body[from:min(at, len(body))])
	}
	return fmt.Errorf(" the output is not JSON: %v", err)
}
