package splunk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/batch"
	"github.com/tocsin-alerts/tocsin/integrations/internal/format"
)

// maxBody is what a request holds at most, before compression: Splunk Cloud wants no more
// than 1 MB (https://docs.splunk.com/Documentation/SplunkCloud/latest/Service/SplunkCloudservice),
// and Enterprise takes far more.
const maxBody = 1_000_000

// cefVersion stands in CEF's header for the version of the product.
const cefVersion = "1"

// The indexed fields of every record.
const (
	fieldUID      = "event_uid"   // the same whenever the event is sent
	fieldDelivery = "delivery_id" // leads back to the delivery
	fieldTest     = "tocsin_test" // "true" in a trial
)

// record is one event as HEC wants it. It has no other keys: an unknown one ends the
// processing of the request, which is answered with success all the same.
// https://help.splunk.com/en/splunk-enterprise/get-data-in/collect-http-event-data/format-events-for-http-event-collector
type record struct {
	// Time is in seconds with decimals, never in scientific notation.
	Time       json.Number       `json:"time"`
	Host       string            `json:"host,omitempty"`
	Source     string            `json:"source,omitempty"`
	Sourcetype string            `json:"sourcetype,omitempty"`
	Index      string            `json:"index,omitempty"`
	Event      json.RawMessage   `json:"event"`
	Fields     map[string]string `json:"fields"`
}

// render renders all events.
func (s *sender) render(n tocsin.Notification) (batch.Rendered, error) {
	out, err := batch.Render("splunk", n, maxBody, func(e *tocsin.Event) ([]byte, bool, error) {
		text, err := s.record(n, e)
		return text, false, err
	})
	out.Spans = pack(out.Records)
	return out, err
}

// pack puts records into requests.
func pack(records [][]byte) []batch.Span {
	return batch.Pack(batch.Sizes(records), maxBody, 0, 0, len("\n"))
}

// record renders one event.
func (s *sender) record(n tocsin.Notification, e *tocsin.Event) ([]byte, error) {
	event, err := s.event(format.Marked(e, n.Test))
	if err != nil {
		return nil, err
	}
	fields := map[string]string{fieldUID: format.UID(e), fieldDelivery: n.DeliveryID}
	if n.Test {
		fields[fieldTest] = "true"
	}
	for name, value := range s.conf.fields {
		fields[name] = value
	}
	return encode(record{
		Time: seconds(e), Host: s.conf.host, Source: s.conf.source, Sourcetype: s.conf.sourcetype, Index: s.conf.index,
		Event: event, Fields: fields,
	})
}

// event is the event in the configured format.
func (s *sender) event(e *tocsin.Event) (json.RawMessage, error) {
	switch s.conf.format {
	case formatOCSF:
		return format.OCSF(e)
	case formatCloudEvents:
		return format.CloudEvent(e)
	case formatCEF:
		return encode(format.CEF(e, cefVersion))
	}
	return format.JSON(e)
}

// encode is json.Marshal on one line without HTML escapes: < in a title stays readable.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// seconds is when it happened; without that, when it was received.
func seconds(e *tocsin.Event) json.Number {
	at := e.Time
	if at.IsZero() {
		at = e.ReceivedAt
	}
	if at.Before(time.Unix(0, 0)) {
		at = time.Unix(0, 0) // Splunk takes no time before it
	}
	return json.Number(strings.TrimSuffix(fmt.Sprintf("%d.%03d", at.Unix(), at.Nanosecond()/1e6), ".000"))
}
