package splunk_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// hec plays a collector as the documentation and what others measured describe it: it
// checks the token, the channel, the envelope and the index, takes the records before a
// bad one and none from it on, and acknowledges when told to. It does not enforce
// TRUNCATE, which applies when an event is indexed, and does not forget idle channels.
type hec struct {
	t       *testing.T
	token   string
	useACK  bool
	maxBody int
	indexes []string
	// bad refuses a record for its own sake.
	bad func(event string) int
	// answers replaces the answers to the next requests with records.
	answers []func(w http.ResponseWriter)

	mu      sync.Mutex
	taken   []taken
	paths   []string
	bodies  int
	next    map[string]int64
	indexed map[string]bool // channel/ackId
}

// taken is a record that was taken.
type taken struct {
	Time       json.Number
	Host       string
	Source     string
	Sourcetype string
	Index      string
	Event      json.RawMessage
	Fields     map[string]any
}

func newHEC(t *testing.T) *hec {
	return &hec{t: t, token: token, maxBody: 1_000_000, indexes: []string{"security"}, next: map[string]int64{}, indexed: map[string]bool{}}
}

func (h *hec) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.paths = append(h.paths, r.URL.Path)
	body, err := read(r)
	if err != nil {
		h.say(w, 400, 6, "Invalid data format", nil)
		return
	}
	switch r.URL.Path {
	case "/services/collector/health":
		h.say(w, 200, 17, "HEC is healthy", nil)
	case "/services/collector/event":
		h.event(w, r, body)
	case "/services/collector/ack":
		h.ack(w, r, body)
	default:
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"text":"The requested URL was not found on this server.","code":404}`)
	}
}

func read(r *http.Request) ([]byte, error) {
	from := io.Reader(r.Body)
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "":
	case "gzip":
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, err
		}
		from = z
	default:
		return nil, errors.New("encoding " + encoding)
	}
	return io.ReadAll(from)
}

func (h *hec) say(w http.ResponseWriter, status, code int, text string, more map[string]any) {
	if more == nil {
		more = map[string]any{}
	}
	more["text"], more["code"] = text, code
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(more); err != nil {
		h.t.Error(err)
	}
}

var guid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// admit checks what comes before the body.
func (h *hec) admit(w http.ResponseWriter, r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	channel := r.Header.Get("X-Splunk-Request-Channel")
	switch {
	case r.Header.Get("Authorization") == "":
		h.say(w, 401, 2, "Token is required", nil)
	case scheme != "Splunk":
		h.say(w, 401, 3, "Invalid authorization", nil)
	case token != h.token:
		h.say(w, 403, 4, "Invalid token", nil)
	case h.useACK && channel == "":
		h.say(w, 400, 10, "Data channel is missing", nil)
	case channel != "" && !guid.MatchString(channel):
		h.say(w, 400, 11, "Invalid data channel", nil)
	default:
		return true
	}
	return false
}

func (h *hec) event(w http.ResponseWriter, r *http.Request, body []byte) {
	if !h.admit(w, r) {
		return
	}
	if len(body) == 0 {
		h.say(w, 400, 5, "No data", nil)
		return
	}
	h.bodies++
	if len(h.answers) > 0 {
		next := h.answers[0]
		if h.answers = h.answers[1:]; next != nil {
			next(w)
			return
		}
	}
	if len(body) > h.maxBody {
		h.say(w, 400, 6, "Invalid data format", map[string]any{"invalid-event-number": 0})
		return
	}
	if !h.take(w, body) {
		return
	}
	more := map[string]any{}
	if h.useACK {
		channel := r.Header.Get("X-Splunk-Request-Channel")
		more["ackId"] = h.next[channel]
		h.next[channel]++
	}
	h.say(w, 200, 0, "Success", more)
}

// take takes records up to the first bad one.
func (h *hec) take(w http.ResponseWriter, body []byte) bool {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	d.UseNumber()
	for n := 0; ; n++ {
		var rec taken
		switch err := d.Decode(&rec); {
		case errors.Is(err, io.EOF):
			return true
		case err != nil:
			h.refuse(w, 6, "Invalid data format", n)
			return false
		}
		if code, text := h.judge(rec); code == 7 {
			h.refuse(w, 7, text, n+1) // counted from 1, unlike all others
			return false
		} else if code != 0 {
			h.refuse(w, code, text, n)
			return false
		}
		h.taken = append(h.taken, rec)
	}
}

func (h *hec) refuse(w http.ResponseWriter, code int, text string, number int) {
	h.say(w, 400, code, text, map[string]any{"invalid-event-number": number})
}

var epoch = regexp.MustCompile(`^[0-9]{1,12}(\.[0-9]{1,9})?$`)

func (h *hec) judge(rec taken) (int, string) {
	switch event := string(rec.Event); {
	case event == "":
		return 12, "Event field is required"
	case event == "null" || event == `""`:
		return 13, "Event field cannot be blank"
	case !epoch.MatchString(rec.Time.String()):
		return 6, "Invalid data format"
	case rec.Index != "" && !slices.Contains(h.indexes, rec.Index):
		return 7, "Incorrect index"
	case h.bad != nil && h.bad(event) != 0:
		return h.bad(event), "Refused by the test"
	}
	for _, v := range rec.Fields {
		if _, ok := v.(string); !ok {
			return 15, "Error in handling indexed fields"
		}
	}
	return 0, ""
}

func (h *hec) ack(w http.ResponseWriter, r *http.Request, body []byte) {
	if !h.admit(w, r) {
		return
	}
	if !h.useACK {
		h.say(w, 400, 14, "ACK is disabled", nil)
		return
	}
	var asked struct{ Acks []int64 }
	if err := json.Unmarshal(body, &asked); err != nil {
		h.say(w, 400, 6, "Invalid data format", nil)
		return
	}
	out := map[string]bool{}
	for _, id := range asked.Acks {
		key := fmt.Sprintf("%s/%d", r.Header.Get("X-Splunk-Request-Channel"), id)
		out[strconv.FormatInt(id, 10)] = h.indexed[key]
		delete(h.indexed, key) // it is said once
	}
	if err := json.NewEncoder(w).Encode(map[string]any{"acks": out}); err != nil {
		h.t.Error(err)
	}
}

// index lets everything taken so far be indexed.
func (h *hec) index() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for channel, next := range h.next {
		for id := range next {
			h.indexed[fmt.Sprintf("%s/%d", channel, id)] = true
		}
	}
}

// ids lists the ids of the events taken, in order.
func (h *hec) ids() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for _, rec := range h.taken {
		var e struct{ ID string }
		if err := json.Unmarshal(rec.Event, &e); err != nil {
			h.t.Error(err)
		}
		out = append(out, e.ID)
	}
	return out
}
