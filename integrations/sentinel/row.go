package sentinel

import (
	"bytes"
	"encoding/json"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
	"github.com/tocsin-alerts/tocsin/integrations/internal/batch"
	"github.com/tocsin-alerts/tocsin/integrations/internal/format"
)

// The limits of https://learn.microsoft.com/en-us/azure/azure-monitor/fundamentals/service-limits#logs-ingestion-api:
// 1 MB to a call, compressed or not, and 64 KB to a field, which is cut beyond. Where KB
// and MB may be either, the smaller is safe.
const (
	maxBody  = 1_000_000
	maxField = 64_000
)

// headOfData is how much of data that does not fit is kept, in bytes of its JSON text.
const headOfData = 8 << 10

// row is one event as a row. The names are a wire format: columns are added, never
// renamed. They keep clear of the reserved ones, among them Title, Type and TenantId:
// https://learn.microsoft.com/en-us/azure/azure-monitor/logs/create-custom-table
type row struct {
	// TimeGenerated is when it happened. Azure puts the time of receipt in place of one that
	// is days away: https://learn.microsoft.com/en-us/azure/azure-monitor/logs/log-standard-columns#timegenerated
	TimeGenerated string `json:"TimeGenerated"`
	// EventTime is when it happened in any case.
	EventTime    string          `json:"EventTime"`
	EventUID     string          `json:"EventUid"`
	EventID      string          `json:"EventId"`
	EventSource  string          `json:"EventSource"`
	AlertType    string          `json:"AlertType"`
	Severity     string          `json:"Severity"`
	AlertStatus  string          `json:"AlertStatus"`
	Subject      string          `json:"Subject"`
	Collection   string          `json:"Collection"`
	AlertTitle   string          `json:"AlertTitle"`
	AlertSummary string          `json:"AlertSummary"`
	AlertLink    string          `json:"AlertLink"`
	DedupKey     string          `json:"DedupKey"`
	Labels       json.RawMessage `json:"Labels,omitempty"`
	Data         json.RawMessage `json:"Data,omitempty"`
	OCSF         json.RawMessage `json:"Ocsf,omitempty"`
	DeliveryID   string          `json:"DeliveryId"`
	DeliveryLink string          `json:"DeliveryLink"`
	WebhookName  string          `json:"WebhookName"`
	IsTest       bool            `json:"IsTest"`
}

// render renders all events. A body that is no array is answered with 204 and lost
// (https://github.com/Azure/azure-sdk-for-python/issues/32562).
func (s *sender) render(n tocsin.Notification) (batch.Rendered, error) {
	out, err := batch.Render("sentinel", n, maxBody-len("[]"), func(e *tocsin.Event) ([]byte, bool, error) { return s.row(n, e) })
	out.Spans = batch.Pack(batch.Sizes(out.Records), maxBody, 0, len("[]"), len(","))
	return out, err
}

// fields cuts what a column does not hold, and remembers that.
type fields struct{ cut bool }

func (f *fields) text(text string) string {
	text, cut := alert.Cut(text, maxField, alert.Bytes)
	f.cut = f.cut || cut
	return text
}

// row renders one event, and reports whether a field was cut.
func (s *sender) row(n tocsin.Notification, e *tocsin.Event) ([]byte, bool, error) {
	marked, f := format.Marked(e, n.Test), &fields{}
	r := row{
		TimeGenerated: happened(n, e), EventTime: happened(n, e), EventUID: format.UID(e), EventID: f.text(e.ID), EventSource: f.text(e.Source),
		AlertType: f.text(e.Type), Severity: e.Severity.String(), AlertStatus: status(e), Subject: f.text(e.Subject), Collection: f.text(e.Collection()),
		AlertTitle: f.text(alert.TestMark(n) + alert.Name(e)), AlertSummary: f.text(e.Summary), AlertLink: f.text(alert.Link(e)), DedupKey: f.text(alert.DedupKey(e)),
		DeliveryID: n.DeliveryID, DeliveryLink: f.text(alert.DeliveryLink(n)), WebhookName: f.text(n.WebhookName), IsTest: n.Test,
	}
	if err := s.objects(&r, f, marked); err != nil {
		return nil, false, err
	}
	text, err := encode(r)
	return text, f.cut, err
}

// objects fills in the columns that hold JSON, which a cut would break.
func (s *sender) objects(r *row, f *fields, e *tocsin.Event) error {
	if len(e.Labels) > 0 {
		labels, err := encode(e.Labels)
		if err != nil {
			return err
		}
		r.Labels = f.object(labels)
	}
	if s.conf.format == formatOCSF {
		finding, cut, err := batch.Fit(e, maxField, func(e *tocsin.Event) ([]byte, error) { return format.OCSF(e) })
		r.OCSF, f.cut = finding, f.cut || cut
		if err != nil || !cut {
			return err
		}
		// What the finding had no room for has a column of its own.
	}
	if len(e.Data) == 0 {
		return nil
	}
	data, err := encode(e.Data)
	if err != nil {
		return err
	}
	r.Data = f.object(data)
	return nil
}

// object is the text of an object where a column holds it, else a note with its
// beginning.
func (f *fields) object(text []byte) json.RawMessage {
	if len(text) <= maxField {
		return text
	}
	f.cut = true
	head, _ := alert.Cut(string(text), headOfData, alert.Bytes)
	note, _ := encode(map[string]any{"tocsin_truncated": true, "bytes": len(text), "head": head}) // always encodes
	return note
}

// encode is json.Marshal without HTML escapes: < in a title stays readable.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// happened is the event's time; without one, that of its receipt or of the attempt.
func happened(n tocsin.Notification, e *tocsin.Event) string {
	at := e.Time
	if at.IsZero() {
		at = e.ReceivedAt
	}
	if at.IsZero() {
		at = n.At
	}
	return at.UTC().Format(time.RFC3339Nano)
}

func status(e *tocsin.Event) string {
	if e.Status == "" {
		return string(tocsin.Firing)
	}
	return string(e.Status)
}
