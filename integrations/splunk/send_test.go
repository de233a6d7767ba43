package splunk_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

func open(t *testing.T, url, more string) tocsin.Sender {
	t.Helper()
	c := post.New(post.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	t.Cleanup(c.Close)
	s, err := newChannel(c, slog.New(slog.DiscardHandler)).Open(json.RawMessage(config(url, more)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func send(t *testing.T, h http.Handler, more string, n tocsin.Notification) (tocsin.Receipt, error) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return open(t, server.URL, more).Send(t.Context(), n)
}

// events returns n events of short, different ids.
func events(t *testing.T, n int) []tocsin.Event {
	base := integrationtest.Pick(t, "it-agent")[0]
	out := make([]tocsin.Event, n)
	for i := range out {
		out[i] = base
		out[i].ID, out[i].DedupKey = fmt.Sprint("e", i), fmt.Sprint("k", i)
	}
	return out
}

// fates says what became of each event.
func fates(receipt tocsin.Receipt, err error, n int) string {
	if receipt.Results == nil {
		if err == nil {
			return strings.Repeat("ok ", n)
		}
		s := tocsin.Classify(err)
		return fmt.Sprintf("all %s unsure=%v", s.Fault, s.Unsure)
	}
	out := ""
	for _, r := range receipt.Results {
		if r.Err == nil {
			out += "ok "
		} else {
			out += string(tocsin.Classify(r.Err).Fault) + " "
		}
	}
	return out
}

// TestCodes has every code of the documentation, with the status it comes with.
func TestCodes(t *testing.T) {
	retry, webhook, event := tocsin.FaultRetry, tocsin.FaultWebhook, tocsin.FaultEvent
	for _, row := range []struct {
		status, code int
		text         string
		want         tocsin.Fault
		unsure       bool
	}{
		{200, 0, "Success", "", false},
		{403, 1, "Token disabled", webhook, false},
		{401, 2, "Token is required", webhook, false},
		{401, 3, "Invalid authorization", webhook, false},
		{403, 4, "Invalid token", webhook, false},
		{400, 5, "No data", webhook, false},
		{400, 6, "Invalid data format", event, false},
		{400, 7, "Incorrect index", webhook, false},
		{500, 8, "Internal server error", retry, true},
		{503, 9, "Server is busy", retry, true},
		{400, 10, "Data channel is missing", webhook, false},
		{400, 11, "Invalid data channel", webhook, false},
		{400, 12, "Event field is required", event, false},
		{400, 13, "Event field cannot be blank", event, false},
		{400, 14, "ACK is disabled", webhook, false},
		{400, 15, "Error in handling indexed fields", webhook, false},
		{400, 16, "Query string authorization is not enabled", webhook, false},
		{200, 17, "HEC is healthy", webhook, true}, // no answer to records
		{503, 18, "HEC is unhealthy, queues are full", retry, true},
		{503, 19, "HEC is unhealthy, ack service unavailable", retry, true},
		{503, 20, "HEC is unhealthy, queues are full, ack service unavailable", retry, true},
		{400, 21, "Invalid token", webhook, false},
		{400, 22, "Token disabled", webhook, false},
		{503, 23, "Server is shutting down", retry, true},
		{200, 24, "HEC queue is approaching its capacity limit", "", false},
		{200, 25, "HEC ACK is approaching its capacity limit", "", false},
		{429, 26, "HEC queue is at capacity and cannot process any more requests", retry, false},
		{429, 27, "HEC ACK channel is at capacity and cannot process any more requests", retry, false},
		{400, 28, "Data channel is missing. If you have multiple indexers, …", webhook, false},
		{200, 7, "Incorrect index", webhook, false},
		{429, 7, "Incorrect index", retry, false},
		{400, 99, "Something new", event, false},
		{404, 404, "The requested URL was not found on this server.", webhook, false},
	} {
		h := newHEC(t)
		h.answers = []func(http.ResponseWriter){func(w http.ResponseWriter) { h.say(w, row.status, row.code, row.text, nil) }}
		_, err := send(t, h, "", integrationtest.Notify(events(t, 1)...))
		var got tocsin.SendError
		if err != nil {
			got = *tocsin.Classify(err)
			if !strings.Contains(err.Error(), row.text) {
				t.Errorf("code %d: the error does not say what Splunk said: %v", row.code, err)
			}
		}
		if got.Fault != row.want || got.Unsure != row.unsure {
			t.Errorf("%d with code %d: got %q unsure %v, want %q %v (%v)", row.status, row.code, got.Fault, got.Unsure, row.want, row.unsure, err)
		}
	}
}

// TestPoison: the event that Splunk names is dead, those before it were taken, those
// behind it are sent again and arrive.
func TestPoison(t *testing.T) {
	for _, code := range []int{6, 12, 13} {
		h := newHEC(t)
		h.bad = func(event string) int {
			if strings.Contains(event, `"e3"`) {
				return code
			}
			return 0
		}
		n := integrationtest.Notify(events(t, 6)...)
		receipt, err := send(t, h, "", n)
		if got, want := fates(receipt, err, 6), "ok ok ok event retry retry "; got != want || err != nil {
			t.Errorf("code %d: got %s (%v), want %s", code, got, err, want)
		}
		again := integrationtest.Notify(n.Events[4:]...)
		if _, err := send(t, h, "", again); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{"e0", "e1", "e2", "e4", "e5"}, h.ids()); diff != "" {
			t.Errorf("code %d: taken (-want +got):\n%s", code, diff)
		}
	}
}

// TestNumbersThatBlameNobody: the first place, places that are not there, and statuses that
// do not say what was taken leave the delivery whole.
func TestNumbersThatBlameNobody(t *testing.T) {
	for _, row := range []struct {
		status, code, number int
		want                 string
	}{
		{400, 6, 0, "all event unsure=false"}, {400, 6, 4, "all event unsure=false"}, {400, 6, -1, "all event unsure=false"},
		{400, 6, 1 << 40, "all event unsure=false"},
		{503, 9, 2, "all retry unsure=true"}, {429, 26, 2, "all retry unsure=false"}, {400, 7, 1, "all webhook unsure=false"},
		{500, 8, 2, "all retry unsure=true"}, {413, 6, 2, "all event unsure=false"},
	} {
		h := newHEC(t)
		h.answers = []func(http.ResponseWriter){func(w http.ResponseWriter) {
			h.say(w, row.status, row.code, "no", map[string]any{"invalid-event-number": row.number})
		}}
		receipt, err := send(t, h, "", integrationtest.Notify(events(t, 4)...))
		if got := fates(receipt, err, 4); got != row.want {
			t.Errorf("%+v: got %s (%v)", row, got, err)
		}
	}
}

// TestIndexedFields are the configuration's: no event dies of them, whatever place is named.
func TestIndexedFields(t *testing.T) {
	for _, number := range []int{0, 1, 2} {
		h := newHEC(t)
		h.answers = []func(http.ResponseWriter){func(w http.ResponseWriter) {
			h.say(w, 400, 15, "Error in handling indexed fields", map[string]any{"invalid-event-number": number})
		}}
		receipt, err := send(t, h, "", integrationtest.Notify(events(t, 3)...))
		if got := fates(receipt, err, 3); got != "all webhook unsure=false" || !strings.Contains(err.Error(), "check fields") {
			t.Errorf("%d: got %s (%v)", number, got, err)
		}
	}
}

// TestIncorrectIndex names no event: all go to the same.
func TestIncorrectIndex(t *testing.T) {
	h := newHEC(t)
	h.indexes = nil
	receipt, err := send(t, h, "", integrationtest.Notify(events(t, 3)...))
	if got := fates(receipt, err, 3); got != "all webhook unsure=false" || !strings.Contains(err.Error(), "may not write to this index") {
		t.Errorf("got %s (%v)", got, err)
	}
}

// large returns n events of about size bytes each.
func large(t *testing.T, n, size int) []tocsin.Event {
	out := events(t, n)
	for i := range out {
		out[i].Data = json.RawMessage(`{"pad":"` + strings.Repeat("x", size) + `"}`)
	}
	return out
}

func TestSeveralRequests(t *testing.T) {
	h := newHEC(t)
	n := integrationtest.Notify(large(t, 10, 250_000)...)
	receipt, err := send(t, h, "", n)
	if err != nil || h.bodies != 4 || len(h.taken) != 10 || len(receipt.Exchanges) != 4 || receipt.Truncated != 0 {
		t.Errorf("%v, %d requests, %d taken, %d exchanges, %d truncated", err, h.bodies, len(h.taken), len(receipt.Exchanges), receipt.Truncated)
	}
}

// TestStopsAtTheFirstFailure: what was taken stays taken, the rest has the failure.
func TestStopsAtTheFirstFailure(t *testing.T) {
	h := newHEC(t)
	busy := func(w http.ResponseWriter) {
		w.Header().Set("Retry-After", "77")
		h.say(w, 503, 9, "Server is busy", nil)
	}
	h.answers = []func(http.ResponseWriter){nil, busy}
	receipt, err := send(t, h, "", integrationtest.Notify(large(t, 10, 250_000)...))
	if got, want := fates(receipt, err, 10), strings.Repeat("ok ", 3)+strings.Repeat("retry ", 7); got != want || h.bodies != 2 {
		t.Errorf("got %s (%v) after %d requests, want %s", got, err, h.bodies, want)
	}
	if after := tocsin.Classify(receipt.Results[9].Err).After; after != 77*time.Second {
		t.Errorf("Retry-After is %s", after)
	}
}

// TestTooLargeForSplunk: a receiver that takes less than 1 MB is met by halving.
func TestTooLargeForSplunk(t *testing.T) {
	h := newHEC(t)
	h.maxBody = 400_000
	receipt, err := send(t, h, "", integrationtest.Notify(large(t, 3, 250_000)...))
	if got := fates(receipt, err, 3); got != "all event unsure=false" {
		t.Errorf("got %s (%v)", got, err)
	}
}

func TestGzipIsWhatIsSaid(t *testing.T) {
	for _, on := range []bool{true, false} {
		h := newHEC(t)
		n := integrationtest.Notify(events(t, 3)...)
		receipt, err := send(t, h, fmt.Sprintf(`,"gzip":%v`, on), n)
		if err != nil || len(h.taken) != 3 {
			t.Fatalf("gzip %v: %v, %d taken", on, err, len(h.taken))
		}
		if x := receipt.Exchanges[0]; !strings.Contains(x.RequestBody, `"e2"`) || on == (x.RequestBytes >= len(x.RequestBody)) {
			t.Errorf("gzip %v: %d bytes, shown %.80q", on, x.RequestBytes, x.RequestBody)
		}
	}
}

func TestNothingIsSentTwiceToALoginPage(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>Splunk</html>")) })
	receipt, err := send(t, page, "", integrationtest.Notify(events(t, 2)...))
	if got := fates(receipt, err, 2); got != "all webhook unsure=true" || !strings.Contains(err.Error(), "may be wrong") {
		t.Errorf("got %s (%v)", got, err)
	}
}
