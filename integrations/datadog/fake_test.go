package datadog_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// intake plays Datadog's intake and the call that validates a key. It holds requests to
// the documented limits, and does in silence what Datadog does in silence: it cuts logs
// over 1 MB and drops those whose time is out of range; both are counted. It does not
// index, so limits of attributes are not enforced.
type intake struct {
	t   *testing.T
	key string
	now time.Time
	// answers replaces the answers to the next requests with logs.
	answers []func(w http.ResponseWriter)

	mu      sync.Mutex
	logs    []entry
	bodies  int
	cut     int
	dropped int
}

// entry is a log as it was taken.
type entry struct {
	Message, Status, Service, Hostname string
	Source                             string `json:"ddsource"`
	Tags                               string `json:"ddtags"`
	Timestamp                          int64
	EventTime                          string `json:"event_time"`
	EventUID                           string `json:"event_uid"`
	DeliveryID                         string `json:"delivery_id"`
	Test                               bool   `json:"tocsin_test"`
	Tocsin, OCSF                       json.RawMessage
}

func newIntake(t *testing.T, now time.Time) *intake { return &intake{t: t, key: apiKey, now: now} }

func (d *intake) fail(w http.ResponseWriter, status int, title, detail string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"status": strconv.Itoa(status), "title": title, "detail": detail}}}); err != nil {
		d.t.Error(err)
	}
}

func (d *intake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch key := r.Header.Get("DD-API-KEY"); {
	case key == "":
		d.fail(w, 401, "Unauthorized", "")
		return
	case key != d.key:
		d.fail(w, 403, "Forbidden", "")
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /api/v1/validate":
		_, _ = io.WriteString(w, `{"valid":true}`)
	case "POST /api/v2/logs":
		d.bodies++
		if len(d.answers) > 0 {
			next := d.answers[0]
			if d.answers = d.answers[1:]; next != nil {
				next(w)
				return
			}
		}
		d.take(w, r)
	default:
		d.fail(w, 404, "Not Found", "")
	}
}

func (d *intake) take(w http.ResponseWriter, r *http.Request) {
	from := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			d.fail(w, 400, "Bad Request", "gzip")
			return
		}
		from = z
	}
	body, err := io.ReadAll(from)
	var raw []json.RawMessage
	switch {
	case err == nil && len(body) > 5_000_000:
		d.fail(w, 413, "Payload Too Large", "batch is above 5MB uncompressed")
		return
	case err != nil, r.Header.Get("Content-Type") != "application/json", json.Unmarshal(body, &raw) != nil:
		d.fail(w, 400, "Bad Request", "not a JSON array")
		return
	case len(raw) > 1000:
		d.fail(w, 413, "Payload Too Large", "more than 1000 entries")
		return
	}
	for _, text := range raw {
		d.keep(text)
	}
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, "{}")
}

var tag = regexp.MustCompile(`^[A-Za-z][\p{L}\p{N}_:./-]{0,199}$`)

func (d *intake) keep(text json.RawMessage) {
	var e entry
	if len(text) > 1_000_000 {
		d.cut++
		return
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&e); err != nil {
		d.t.Error(err)
	}
	if age := d.now.Sub(time.UnixMilli(e.Timestamp)); age > 18*time.Hour || age < -2*time.Hour {
		d.dropped++
		return
	}
	// A message that is JSON becomes attributes, which then are the attacker's.
	if json.Valid([]byte(e.Message)) {
		d.t.Errorf("the message is JSON: %.100s", e.Message)
	}
	for _, one := range strings.Split(e.Tags, ",") {
		if !tag.MatchString(one) {
			d.t.Errorf("%q is not a tag", one)
		}
	}
	d.logs = append(d.logs, e)
}
