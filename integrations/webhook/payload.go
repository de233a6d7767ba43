package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

const threatType = "threat.detected"

// allThreats reports whether the delivery has the threat payload. BatchKey sees to it
// that threats share no delivery with other events.
func allThreats(events []tocsin.Event) bool {
	for i := range events {
		if events[i].Type != threatType {
			return false
		}
	}
	return true
}

// threat is one element of maliciousEvents, with exactly the published keys in their
// published order. Values are passed on as they came; a missing one is null.
type threat struct {
	Actor           json.RawMessage `json:"actor"`
	APICollectionID json.RawMessage `json:"apiCollectionId"`
	Country         json.RawMessage `json:"country"`
	EventType       json.RawMessage `json:"eventType"`
	FilterID        json.RawMessage `json:"filterId"`
	IP              json.RawMessage `json:"ip"`
	Method          json.RawMessage `json:"method"`
	SubCategory     json.RawMessage `json:"subCategory"`
	Timestamp       json.RawMessage `json:"timestamp"`
	Type            json.RawMessage `json:"type"`
	URL             json.RawMessage `json:"url"`
	Payloads        []threatSample  `json:"maliciousPayloadsResponses"`
}

type threatSample struct {
	Orig json.RawMessage `json:"orig"`
	TS   json.RawMessage `json:"ts"`
}

// threatOf returns the element for an event. Data of another shape leaves nulls: the
// event is still reported.
func threatOf(e *tocsin.Event) threat {
	t := threat{}
	_ = json.Unmarshal(e.Data, &t) // what can be read is kept
	if t.Payloads == nil {
		t.Payloads = []threatSample{}
	}
	return t
}

// threatPayload is the published body for threats.
type threatPayload struct {
	Events []threat `json:"maliciousEvents"`
	catalog.Guidance
}

// renderThreats renders the threat payload. All events have the guidance of the first.
func renderThreats(guide *catalog.Catalog, events []tocsin.Event) ([]byte, error) {
	p := threatPayload{Events: make([]threat, len(events)), Guidance: guide.Guidance(&events[0])}
	for i := range events {
		p.Events[i] = threatOf(&events[i])
	}
	if p.Remediation.Steps == nil {
		p.Remediation.Steps = []catalog.Step{}
	}
	return encode(p)
}

// renderAlerts renders the alerts envelope. Its timestamp is that of the latest event:
// the moment of the attempt is in the header webhook-timestamp, and the body stays the
// same on every attempt.
func renderAlerts(n tocsin.Notification) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(sizeOf(n.Events))
	head, err := encode(struct {
		Webhook  string `json:"webhook"`
		Delivery string `json:"delivery"`
		Count    int    `json:"count"`
	}{n.WebhookName, n.DeliveryID, len(n.Events)})
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&b, `{"type":"alerts","timestamp":%q,"data":%s,"alerts":[`,
		latest(n.Events).Format(time.RFC3339Nano), head[:len(head)-1])
	for i := range n.Events {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := appendEvent(&b, &n.Events[i]); err != nil {
			return nil, err
		}
	}
	b.WriteString("]}}")
	return b.Bytes(), nil
}

// appendEvent writes the event's JSON form, as json.Marshal of a tocsin.Event does but for two
// things: < stays readable, and data is not compacted, since producers are promised its
// bytes as they came; so those are put in as they are, once they are known to be JSON.
func appendEvent(b *bytes.Buffer, e *tocsin.Event) error {
	if len(e.Data) > 0 && !json.Valid(e.Data) {
		return fmt.Errorf("the data of event %q is not JSON", e.ID)
	}
	b.WriteByte('{')
	text(b, `"id":`, e.ID)
	text(b, `,"source":`, e.Source)
	text(b, `,"type":`, e.Type)
	if e.Subject != "" {
		text(b, `,"subject":`, e.Subject)
	}
	if e.Severity != tocsin.SeverityNone {
		text(b, `,"severity":`, e.Severity.String())
	}
	if e.Status != "" {
		text(b, `,"status":`, string(e.Status))
	}
	at, err := e.Time.MarshalJSON()
	if err != nil {
		return err
	}
	b.WriteString(`,"time":`)
	b.Write(at)
	for _, f := range [...]struct{ name, value string }{{`,"dedup_key":`, e.DedupKey}, {`,"title":`, e.Title}, {`,"summary":`, e.Summary}, {`,"link":`, e.Link}} {
		if f.value != "" {
			text(b, f.name, f.value)
		}
	}
	if len(e.Labels) > 0 {
		b.WriteString(`,"labels":`)
		separator := "{"
		for _, name := range slices.Sorted(maps.Keys(e.Labels)) {
			text(b, separator, name)
			text(b, ":", e.Labels[name])
			separator = ","
		}
		b.WriteByte('}')
	}
	if len(e.Data) > 0 {
		b.WriteString(`,"data":`)
		b.Write(e.Data)
	}
	b.WriteByte('}')
	return nil
}

// text writes what comes before a string, and the string in quotes. An encoder is asked only
// where there is something to escape.
func text(b *bytes.Buffer, before, s string) {
	b.WriteString(before)
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := encode(s) // a string always encodes
			b.Write(quoted)
			return
		}
	}
	b.WriteByte('"')
	b.WriteString(s)
	b.WriteByte('"')
}

// sizeOf is about how long the events' JSON is: that of each as it came, and what ingest adds.
func sizeOf(events []tocsin.Event) int {
	const added = 300
	size := 0
	for i := range events {
		size += len(events[i].Raw) + added
	}
	return size
}

// latest is the time of the latest event.
func latest(events []tocsin.Event) time.Time {
	var t time.Time
	for i := range events {
		if events[i].Time.After(t) {
			t = events[i].Time
		}
	}
	return t.UTC()
}

// encode is json.Marshal without HTML escapes: < in a title stays readable.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
