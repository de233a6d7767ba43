package webhook

import (
	"bytes"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/format"
)

// The formats of a body.
const (
	formatTocsin      = "tocsin"
	formatOCSF        = "ocsf"
	formatCloudEvents = "cloudevents"
)

// contentTypes are what a body of a format says it is, unless headers say otherwise. A
// batch of CloudEvents has a type of its own
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md#4-json-batch-format),
// and OCSF names none.
var contentTypes = map[string]string{
	formatTocsin:      "application/json",
	formatOCSF:        "application/json",
	formatCloudEvents: "application/cloudevents-batch+json",
}

// renderList renders a JSON array with one element for each event, in order; for one
// event, too, so that receivers read one shape only.
func renderList(name string, n tocsin.Notification) ([]byte, error) {
	render := format.OCSF
	if name == formatCloudEvents {
		render = format.CloudEvent
	}
	var b bytes.Buffer
	b.WriteByte('[')
	for i := range n.Events {
		if i > 0 {
			b.WriteByte(',')
		}
		text, err := render(format.Marked(&n.Events[i], n.Test))
		if err != nil {
			return nil, err
		}
		b.Write(text)
	}
	b.WriteByte(']')
	return b.Bytes(), nil
}
