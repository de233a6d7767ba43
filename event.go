package tocsin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxEventBytes is the largest event accepted, as it arrived: 256 KiB.
const MaxEventBytes = 256 << 10

// MaxFuture is how far ahead of the receipt an event's time may be.
const MaxFuture = 5 * time.Minute

// Severity orders events: info < low < medium < high < critical.
// The zero value is no severity; ingest replaces it by the alert type's default.
type Severity int8

// The severities, lowest first. SeverityNone stands for "not given".
const (
	SeverityNone Severity = iota
	SeverityInfo
	SeverityLow
	SeverityMedium
	SeverityHigh
	SeverityCritical
)

var severityNames = [...]string{"", "info", "low", "medium", "high", "critical"}

// Severities lists the names a user may write, lowest first.
func Severities() []string { return append([]string(nil), severityNames[1:]...) }

// String returns the name, or "" for SeverityNone.
func (s Severity) String() string {
	if s < 0 || int(s) >= len(severityNames) {
		return fmt.Sprintf("severity(%d)", int(s))
	}
	return severityNames[s]
}

// ParseSeverity reads a name; "" is SeverityNone. Any other word is an error that
// lists what is allowed.
func ParseSeverity(name string) (Severity, error) {
	for i, n := range severityNames {
		if n == name {
			return Severity(i), nil
		}
	}
	return 0, fmt.Errorf("%q is not a severity; allowed: %s", name, strings.Join(severityNames[1:], ", "))
}

// MarshalText implements encoding.TextMarshaler.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Severity) UnmarshalText(text []byte) error {
	v, err := ParseSeverity(string(text))
	*s = v
	return err
}

// Status says whether an alert is on or over. The zero value counts as firing.
type Status string

// The two statuses.
const (
	Firing   Status = "firing"
	Resolved Status = "resolved"
)

// Event is something that happened, as reported by a producer: the CloudEvents 1.0
// attributes plus what alerting needs. Its JSON form is the API's own event form.
// (Source, ID) names an event for ever; senders must not change an Event.
type Event struct {
	// Seq is the store's number for the event: unique, roughly in order of receipt.
	// Numbers are handed out before commit, so a range of them is never a set.
	Seq int64 `json:"-"`

	ID       string   `json:"id"`     // required, 1 to 255 bytes
	Source   string   `json:"source"` // required, 1 to 255 bytes
	Type     string   `json:"type"`   // an alert type of the catalog, or custom.*
	Subject  string   `json:"subject,omitempty"`
	Severity Severity `json:"severity,omitempty"`
	Status   Status   `json:"status,omitempty"`
	// Time is when it happened; without one, the time of receipt.
	Time time.Time `json:"time"`
	// DedupKey names the incident the event belongs to; ingest fills in
	// [DefaultDedupKey] when the producer gave none.
	DedupKey string            `json:"dedup_key,omitempty"`
	Title    string            `json:"title,omitempty"`
	Summary  string            `json:"summary,omitempty"`
	Link     string            `json:"link,omitempty"` // https
	Labels   map[string]string `json:"labels,omitempty"`
	// Data holds the alert type's own keys, byte for byte as they came.
	Data json.RawMessage `json:"data,omitempty"`

	// TraceParent is where the event's trace can be taken up again: what a CloudEvent brought
	// as traceparent, else the request it came with where that was traced, else "". It is no
	// part of what the event says: the same event may bring another one when it is sent again.
	// https://www.w3.org/TR/trace-context/#traceparent-header
	TraceParent string `json:"-"`
	// ReceivedAt is when ingest took the event.
	ReceivedAt time.Time `json:"-"`
	// Raw is the whole event as it came: one JSON object.
	Raw json.RawMessage `json:"-"`
}

// Collection is what a webhook's collections compare with: labels.collection, else
// data.apiCollectionId as a string, else "".
func (e *Event) Collection() string {
	if c := e.Labels["collection"]; c != "" {
		return c
	}
	var data struct {
		ID json.RawMessage `json:"apiCollectionId"`
	}
	// Data that is not an object has no collection; that is no error here.
	if json.Unmarshal(e.Data, &data) != nil || len(data.ID) == 0 || string(data.ID) == "null" {
		return ""
	}
	var text string
	if json.Unmarshal(data.ID, &text) == nil {
		return text
	}
	return string(data.ID)
}

// DefaultDedupKey is the incident an event belongs to when its producer names none:
// a hash of type, source and subject, and for threats also of the filter, actor,
// method and URL.
func DefaultDedupKey(e *Event) string {
	parts := []string{e.Type, e.Source, e.Subject}
	if e.Type == "threat.detected" {
		var threat struct{ FilterID, Actor, Method, URL string }
		// Unreadable data leaves the four parts empty, which is still a stable key.
		if json.Unmarshal(e.Data, &threat) == nil {
			parts = append(parts, threat.FilterID, threat.Actor, threat.Method, threat.URL)
		}
	}
	return DedupKeyOf(parts...)
}

// DedupKeyOf is the hash of what an incident is known by. [DefaultDedupKey] says what that
// is; a caller that has read the data already need not have it read again.
func DedupKeyOf(parts ...string) string {
	var room [512]byte // of most keys; it stays on the stack
	b := room[:0]
	for _, p := range parts {
		b = append(append(strconv.AppendInt(b, int64(len(p)), 10), ':'), p...)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}
