package datadog

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
	"github.com/tocsin-alerts/tocsin/integrations/internal/batch"
	"github.com/tocsin-alerts/tocsin/integrations/internal/format"
)

// The limits of https://docs.datadoghq.com/api/latest/logs/#send-logs, where MB may be
// either; the smaller is safe.
const (
	maxBody = 5_000_000 // before compression
	maxLog  = 1_000_000
	maxLogs = 1000
)

// Logs may be up to 18 hours old, and 2 hours ahead; others are accepted and dropped:
// https://docs.datadoghq.com/logs/log_configuration/processors/log_date_remapper/
// The margins are for clocks and for the time until Datadog looks.
const (
	oldest = 18*time.Hour - 30*time.Minute
	latest = 2*time.Hour - 30*time.Minute
)

// maxMessage is how much of a summary stands in the message; the whole one is in the event.
const maxMessage = 8 << 10

// log is one event as a log. What the event's author wrote stands in message, as text,
// and below tocsin or ocsf: at the top, names like status, host or date have a meaning for
// Datadog (https://docs.datadoghq.com/logs/log_configuration/pipelines/#preprocessing).
type log struct {
	Message  string `json:"message"`
	Status   string `json:"status"`
	Service  string `json:"service"`
	Source   string `json:"ddsource"`
	Tags     string `json:"ddtags"`
	Hostname string `json:"hostname,omitempty"`
	// Timestamp is the event's own time in milliseconds, or the attempt's when Datadog would
	// drop the log for it.
	Timestamp int64 `json:"timestamp"`
	// EventTime is the event's own time in any case.
	EventTime  string          `json:"event_time,omitempty"`
	EventUID   string          `json:"event_uid"`
	DeliveryID string          `json:"delivery_id"`
	Test       bool            `json:"tocsin_test,omitempty"`
	Tocsin     json.RawMessage `json:"tocsin,omitempty"`
	OCSF       json.RawMessage `json:"ocsf,omitempty"`
}

// render renders all events.
func (s *sender) render(n tocsin.Notification) (batch.Rendered, error) {
	out, err := batch.Render("datadog", n, maxLog, func(e *tocsin.Event) ([]byte, bool, error) {
		text, err := s.log(n, e)
		return text, false, err
	})
	out.Spans = batch.Pack(batch.Sizes(out.Records), maxBody, maxLogs, len("[]"), len(","))
	return out, err
}

// log renders one event.
func (s *sender) log(n tocsin.Notification, e *tocsin.Event) ([]byte, error) {
	l := log{
		Message: message(n, e), Status: status(e), Service: s.conf.service, Source: s.conf.source, Hostname: s.conf.hostname, Tags: s.tags(n, e),
		Timestamp: timestamp(n, e).UnixMilli(), EventUID: format.UID(e), DeliveryID: n.DeliveryID, Test: n.Test,
	}
	if !e.Time.IsZero() {
		l.EventTime = e.Time.UTC().Format(time.RFC3339Nano)
	}
	var err error
	marked := format.Marked(e, n.Test)
	if s.conf.format == formatOCSF {
		l.OCSF, err = format.OCSF(marked)
	} else {
		l.Tocsin, err = format.JSON(marked)
	}
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err = enc.Encode(l)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// message is what people read in a list of logs. It begins with words of ours, since a
// message that is JSON would be read as attributes.
func message(n tocsin.Notification, e *tocsin.Event) string {
	text := alert.Prefix(n, e) + alert.Clean(alert.Name(e), true)
	if summary := alert.Clean(e.Summary, false); summary != "" && e.Title != "" {
		text += "\n" + summary
	}
	text, _ = alert.Cut(text, maxMessage, alert.Bytes)
	return text
}

// statuses are Datadog's words for a log's status:
// https://docs.datadoghq.com/logs/log_configuration/processors/#log-status-remapper
var statuses = map[tocsin.Severity]string{
	tocsin.SeverityCritical: "critical", tocsin.SeverityHigh: "error", tocsin.SeverityMedium: "warning", tocsin.SeverityLow: "notice", tocsin.SeverityInfo: "info",
}

// status is how bad it is, or ok when it is over.
func status(e *tocsin.Event) string {
	if e.Status == tocsin.Resolved {
		return "ok"
	}
	if word := statuses[e.Severity]; word != "" {
		return word
	}
	return "info"
}

// timestamp is the event's time where Datadog takes it, else that of the attempt.
func timestamp(n tocsin.Notification, e *tocsin.Event) time.Time {
	if age := n.At.Sub(e.Time); age > oldest || age < -latest {
		return n.At
	}
	return e.Time
}

// tags are the configured ones and what to filter by. The event's own words in them are
// those that ingest holds to a list or a form.
func (s *sender) tags(n tocsin.Notification, e *tocsin.Event) string {
	firing := string(e.Status)
	if firing == "" {
		firing = string(tocsin.Firing)
	}
	out := append([]string{}, s.conf.tags...)
	out = append(out, "type:"+tagValue(e.Type), "event_status:"+firing)
	if e.Severity != tocsin.SeverityNone {
		out = append(out, "severity:"+e.Severity.String())
	}
	if n.Test {
		out = append(out, "tocsin_test:true")
	}
	return strings.Join(out, ",")
}

// tagValue keeps a text from ending its tag: Datadog takes letters, digits and _-:./
// (https://docs.datadoghq.com/getting_started/tagging/#define-tags).
func tagValue(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./", r) {
			return r
		}
		return '_'
	}, text)
}
