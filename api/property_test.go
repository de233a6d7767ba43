package api_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/internal/openapi"
)

// rounds is how often every operation is tried, each time with one request that is as
// documented and some that are not.
const rounds = 15

// TestAnyRequestGetsADocumentedAnswer makes requests of every operation's schema, valid ones
// and others, against the API over a real store. None may be answered with 500, and each
// answer is held against the document by the kit, as is each request that was accepted.
// TOCSIN_TEST_SEED=N tries others; "random" any.
func TestAnyRequestGetsADocumentedAnswer(t *testing.T) {
	seed := uint64(1)
	switch text := os.Getenv("TOCSIN_TEST_SEED"); text {
	case "":
	case "random":
		seed = uint64(time.Now().UnixNano())
	default:
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		must(t, err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to see this again: TOCSIN_TEST_SEED=%d", seed)
		}
	})
	w := newWorld(t, seed)
	operations := document().Operations()
	succeeded := map[string]bool{}
	for range rounds {
		w.stock()
		for _, i := range w.Rand.Perm(len(operations)) {
			op := operations[i]
			if status := w.send(op, w.Valid(op), true); status < 300 {
				succeeded[op.ID()] = true
			}
			// Most that can be wrong is wrong with bodies.
			for range 1 + 3*min(1, op.Bodies()) {
				w.send(op, w.Mutated(op), false)
			}
		}
	}
	t.Logf("seed %d: %d requests, answered %v", seed, w.sent, w.answers)
	// Where nothing ever succeeds, nothing is tried.
	for _, op := range operations {
		if !succeeded[op.ID()] {
			t.Errorf("no valid request to %s %s succeeded", op.Method, op.Path)
		}
	}
}

// world is an API with something in it for requests to be about.
type world struct {
	*kit
	*openapi.Sampler
	stocked int
	sent    int
	answers map[int]int
	things  map[string][]string // ids by the first segment of the paths that take them
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{kit: newKit(t), answers: map[int]int{}}
	w.Sampler = &openapi.Sampler{Rand: openapi.Rand(seed), Known: w.known}
	return w
}

// stock makes more of everything, since requests delete things and end them.
func (w *world) stock() {
	w.stocked++
	n := strconv.Itoa(w.stocked)
	if w.stocked == 1 {
		w.create("pager", `, "events": ["none"]`)
		w.create("lasting", "")
		w.want(http.StatusCreated, nil, "POST", "/v1/webhooks",
			`{"name": "chat", "channel": "slack", "config": {"token": "xoxb-1", "channel": "C0123456789", "api_url": "`+w.receiver.URL+`/slack/"}}`)
	}
	// A mute that a request has made may suppress what is to be delivered.
	var page struct{ Items []struct{ ID string } }
	w.want(http.StatusOK, &page, "GET", "/v1/mutes?limit=1000", "")
	for _, m := range page.Items {
		w.want(http.StatusOK, nil, "DELETE", "/v1/mutes/"+m.ID, "")
	}
	soc := w.create("soc"+n, `, "escalate": [{"to": "pager"}]`)
	w.want(http.StatusAccepted, nil, "POST", "/v1/events", event("e"+n, ""))
	dead := w.deliver(soc.ID, func(tocsin.Claimed) tocsin.Outcome {
		return tocsin.Outcome{State: tocsin.DeliveryDead, Reason: "422", Attempt: tocsin.Attempt{Outcome: "permanent"}}
	})
	w.newKey("key"+n, "read")
	var made struct{ ID string }
	w.want(http.StatusCreated, &made, "POST", "/v1/mutes", `{"webhooks": ["`+soc.ID+`"], "for": "1h", "reason": "trial"}`)
	w.things = map[string][]string{"webhooks": {soc.ID, soc.Name}, "deliveries": {dead}, "keys": {"key" + n}, "events": {"e" + n}, "mutes": {made.ID}}
	for range 2 {
		w.want(http.StatusCreated, &made, "POST", "/v1/replays", `{"webhook": "lasting", "what": "all", "until": "2020-01-01T00:00:00Z"}`)
		w.things["replays"] = append(w.things["replays"], made.ID)
	}
	w.want(http.StatusOK, nil, "POST", "/v1/replays/"+made.ID+"/pause", "")
	page.Items = nil
	w.want(http.StatusOK, &page, "GET", "/v1/incidents?limit=1&state=open", "")
	for _, i := range page.Items {
		w.things["incidents"] = append(w.things["incidents"], i.ID)
	}
}

func (w *world) one(of string) any {
	all := w.things[of]
	if len(all) == 0 {
		return "none_there"
	}
	return all[w.Rand.IntN(len(all))]
}

// places are what the ids in operations' paths are of; the first that fits counts.
var places = []struct{ part, of string }{
	{"listWebhookDeliveries", "webhooks"}, {"Rejections", "webhooks"}, {"Delivery", "deliveries"}, {"redeliver", "deliveries"}, {"Webhook", "webhooks"}, {"rotateSecret", "webhooks"},
	{"Key", "keys"}, {"Mute", "mutes"}, {"Replay", "replays"}, {"Incident", "incidents"}, {"getEvent", "events"}, {"whyEvent", "events"},
}

// known are values that the store or a channel knows.
func (w *world) known(operation, name string) (any, bool) {
	// Of the channels here, slack alone has a check.
	switch {
	case operation == "checkWebhook" && name == "id", operation == "tryCheck" && name == "webhook":
		return "chat", true
	case operation == "tryCheck" && name == "settings":
		return openapi.LeftOut, w.Rand.IntN(2) == 0
	}
	switch name {
	case "If-Match":
		return []any{openapi.LeftOut, "*", `"another", "wh_1-1"`}[w.Rand.IntN(3)], true
	case "id":
		for _, p := range places {
			if strings.Contains(operation, p.part) {
				return w.one(p.of), true
			}
		}
		return fmt.Sprintf("e%d", w.Rand.Uint32()), true
	case "source":
		return "/collections/support", true
	case "type":
		return "custom.trial", operation == "submitEvents"
	case "name":
		return fmt.Sprintf("new%d", w.Rand.Uint32()), true
	case "channel":
		return "webhook", true
	case "config":
		return map[string]any{"url": w.receiver.URL + "/hook"}, true
	case "webhook":
		if strings.HasPrefix(operation, "try") && w.Rand.IntN(2) == 0 {
			return openapi.LeftOut, true
		}
		return "lasting", true
	case "webhooks":
		return []any{"lasting"}, true
	case "settings":
		return map[string]any{"name": fmt.Sprintf("tried%d", w.Rand.Uint32()), "channel": "webhook", "config": map[string]any{"url": w.receiver.URL}}, w.Rand.IntN(2) == 0
	case "events":
		return []any{"threat", map[string]any{"type": "custom", "collections": []any{"a"}}}, operation != "submitEvents"
	case "types":
		return []any{"threat.detected"}, true
	case "filter":
		return `level > 2`, true
	case "fallback", "to":
		return "pager", true
	case "chosen":
		return []any{map[string]any{"source": "/collections/support", "id": w.one("events")}}, true
	case "what":
		return "dead", w.Rand.IntN(2) == 0
	case "for":
		return "2h", true
	case "until", "cursor", "from", "since", "anchor":
		return openapi.LeftOut, true
	case "expires":
		return "90d", true
	case "overlap":
		return "0s", true
	case "time":
		return time.Now().UTC().Format(time.RFC3339), true
	case "schema", "data":
		return map[string]any{"a": 1}, true
	}
	return nil, false
}

// send sends a request to the running server and returns the status.
func (w *world) send(op openapi.Operation, q openapi.Request, valid bool) int {
	w.t.Helper()
	path, query, _ := strings.Cut(q.Target, "?")
	base, err := url.Parse(w.url)
	must(w.t, err)
	plain, err := url.PathUnescape(path)
	must(w.t, err)
	base.Path, base.RawPath, base.RawQuery = plain, path, query
	r, err := http.NewRequestWithContext(w.t.Context(), q.Method, w.url, bytes.NewReader(q.Body))
	must(w.t, err)
	r.URL = base
	r.Header = q.Header.Clone()
	if r.Header.Get("Authorization") == "" {
		r.Header.Set("Authorization", "Bearer "+w.key)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		w.t.Errorf("%s: %s %.300s was not answered: %v", op.ID(), q.Method, q.Target, err)
		return 0
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(w.t, err)
	w.sent++
	w.answers[resp.StatusCode]++
	switch {
	case resp.StatusCode >= 500:
		w.t.Errorf("%s: %s %.300s with %.500s: got %d %s\n%.3000s", op.ID(), q.Method, q.Target, q.Body, resp.StatusCode, body, w.logs)
	case valid && (resp.StatusCode == 400 || resp.StatusCode == 413 || resp.StatusCode == 415 || resp.StatusCode == 405):
		w.t.Errorf("%s: the valid %s %.300s with %.500s: got %d %s", op.ID(), q.Method, q.Target, q.Body, resp.StatusCode, body)
	}
	return resp.StatusCode
}
