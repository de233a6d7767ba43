package splunk_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
)

const withAck = `,"ack":true`

// story is a webhook with ack, over several attempts.
type story struct {
	*hec
	t      *testing.T
	sender tocsin.Sender
	n      tocsin.Notification
}

func newStory(t *testing.T, count int) *story {
	s := &story{hec: newHEC(t), t: t, n: integrationtest.Notify(events(t, count)...)}
	s.useACK = true
	server := httptest.NewServer(s.hec)
	t.Cleanup(server.Close)
	s.sender = open(t, server.URL, withAck)
	return s
}

// attempt sends, and keeps the refs as the store does.
func (s *story) attempt(want string) tocsin.Receipt {
	s.t.Helper()
	receipt, err := s.sender.Send(s.t.Context(), s.n)
	if got := fates(receipt, err, len(s.n.Events)); got != want {
		s.t.Fatalf("got %s (%v), want %s", got, err, want)
	}
	refs := map[string]json.RawMessage{}
	maps.Copy(refs, s.n.Refs)
	maps.Copy(refs, receipt.Refs)
	s.n.Refs = refs
	return receipt
}

// asked are the paths asked for since the last call.
func (s *story) asked() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, p := range s.paths {
		out = append(out, p[strings.LastIndex(p, "/")+1:])
	}
	s.paths = nil
	return strings.Join(out, " ")
}

const onItsWay = "all retry unsure=true"

// TestAcknowledgedLater: the second attempt asks, and sends nothing again.
func TestAcknowledgedLater(t *testing.T) {
	s := newStory(t, 3)
	first := s.attempt(onItsWay)
	if got := s.asked(); got != "event ack" {
		t.Errorf("the first attempt asked for %s", got)
	}
	if len(first.Refs) != 3 {
		t.Errorf("refs %s", first.Refs)
	}
	s.n.At = s.n.At.Add(time.Minute)
	s.attempt(onItsWay)
	if got := s.asked(); got != "ack" {
		t.Errorf("the second attempt asked for %s", got)
	}
	s.hec.index()
	s.n.At = s.n.At.Add(time.Minute)
	s.attempt("ok ok ok ")
	if got := s.asked(); got != "ack" || len(s.taken) != 3 {
		t.Errorf("the third attempt asked for %s, %d taken", got, len(s.taken))
	}
	for key, ref := range s.n.Refs {
		if strings.Contains(string(ref), `"id"`) {
			t.Errorf("%s still waits: %s", key, ref)
		}
	}
}

// TestAcknowledgedAtOnce asks within the same attempt.
func TestAcknowledgedAtOnce(t *testing.T) {
	s := newStory(t, 2)
	channels := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/ack") {
			s.hec.index()
		}
		s.hec.ServeHTTP(w, r)
	})
	receipt, err := send(t, channels, withAck, s.n)
	if got := fates(receipt, err, 2); got != "ok ok " {
		t.Errorf("got %s (%v)", got, err)
	}
}

// TestLostAcknowledgment: what nobody acknowledges for five minutes is sent again.
func TestLostAcknowledgment(t *testing.T) {
	s := newStory(t, 2)
	s.attempt(onItsWay)
	s.n.At = s.n.At.Add(5*time.Minute - time.Second)
	s.attempt(onItsWay)
	s.n.At = s.n.At.Add(time.Second)
	s.asked()
	s.attempt(onItsWay)
	if got := s.asked(); got != "ack event ack" {
		t.Errorf("after five minutes it asked for %s", got)
	}
	s.hec.index()
	s.attempt("ok ok ")
	if diff := cmp.Diff([]string{"e0", "e1", "e0", "e1"}, s.ids()); diff != "" {
		t.Errorf("taken (-want +got):\n%s", diff)
	}
}

// TestOtherCollector: ackIds of another token or address mean nothing here.
func TestOtherCollector(t *testing.T) {
	s := newStory(t, 1)
	s.attempt(onItsWay)
	other := newHEC(t)
	other.useACK = true
	server := httptest.NewServer(other)
	defer server.Close()
	s.sender = open(t, server.URL, withAck)
	s.attempt(onItsWay)
	if len(other.taken) != 1 {
		t.Errorf("%d records at the new collector", len(other.taken))
	}
}

// TestPartOfADeliveryIsOnItsWay: the rest is sent, in an attempt of its own kind.
func TestPartOfADeliveryIsOnItsWay(t *testing.T) {
	s := newStory(t, 10)
	s.n.Events = large(t, 10, 250_000)
	busy := func(w http.ResponseWriter) { s.say(w, 503, 9, "Server is busy", nil) }
	s.answers = []func(http.ResponseWriter){nil, busy}
	s.attempt(onItsWay) // three are, seven are not
	if len(s.taken) != 3 {
		t.Fatalf("%d taken", len(s.taken))
	}
	s.hec.index()
	s.attempt(strings.Repeat("ok ", 3) + strings.Repeat("retry ", 7))
	s.hec.index()
	s.n.Events = s.n.Events[3:]
	s.attempt(strings.Repeat("ok ", 7))
	if ids := s.ids(); len(ids) != 10 || !slices.IsSorted(ids) {
		t.Errorf("taken: %v", ids)
	}
}

// TestAPoisonWithAck: what stood before it is not known to be indexed, and is sent again.
func TestAPoisonWithAck(t *testing.T) {
	s := newStory(t, 4)
	s.bad = func(event string) int {
		if strings.Contains(event, `"e2"`) {
			return 6
		}
		return 0
	}
	s.attempt("retry retry event retry ")
}

// TestTokenWithoutAcknowledgment: the records are taken, and that is all there is to know.
func TestTokenWithoutAcknowledgment(t *testing.T) {
	h := newHEC(t)
	receipt, err := send(t, h, withAck, integrationtest.Notify(events(t, 2)...))
	if got := fates(receipt, err, 2); got != "ok ok " || len(h.taken) != 2 {
		t.Errorf("got %s (%v)", got, err)
	}
}

// TestQuestionRefused: as long as nobody answers what became of them, nothing is sent.
func TestQuestionRefused(t *testing.T) {
	s := newStory(t, 1)
	s.attempt(onItsWay)
	s.useACK = false
	s.attempt("all webhook unsure=false")
	if len(s.taken) != 1 {
		t.Errorf("%d taken", len(s.taken))
	}
}

// TestWaitingIsNoFailure: as long as Splunk may still acknowledge what it took, asking again
// counts as no failure; that the acknowledgment is lost does.
func TestWaitingIsNoFailure(t *testing.T) {
	s := newStory(t, 2)
	began := s.n.At
	for failed := false; s.n.At.Sub(began) < 12*time.Minute; s.n.At = s.n.At.Add(30 * time.Second) {
		lost := s.n.At.Sub(began) == 5*time.Minute || s.n.At.Sub(began) == 10*time.Minute
		receipt, err := s.sender.Send(t.Context(), s.n)
		got := tocsin.Classify(err)
		if err == nil || got.Taken == lost || got.Fault != tocsin.FaultRetry || !got.Unsure || got.After != 5*time.Second {
			t.Errorf("after %s: %+v", s.n.At.Sub(began), got)
		}
		if failed = failed || lost; failed && len(s.taken) < 4 {
			t.Errorf("after %s: %d taken", s.n.At.Sub(began), len(s.taken))
		}
		s.n.Refs = receipt.Refs
	}
}

// TestQuestionsThatFailAreFailures: what was taken is asked for again, and a collector that
// does not answer is one that fails.
func TestQuestionsThatFailAreFailures(t *testing.T) {
	for status, want := range map[int]string{503: "retry", 400: "webhook", 403: "webhook"} {
		s := newStory(t, 2)
		broken := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/ack") {
				w.WriteHeader(status)
				return
			}
			s.ServeHTTP(w, r)
		})
		server := httptest.NewServer(broken)
		t.Cleanup(server.Close)
		s.sender = open(t, server.URL, withAck)
		first := s.attempt(onItsWay)
		if _, err := s.sender.Send(t.Context(), s.n); err == nil || tocsin.Classify(err).Taken || string(tocsin.Classify(err).Fault) != want {
			t.Errorf("%d: the next attempt: %v", status, err)
		}
		if len(first.Refs) != 2 || len(s.taken) != 2 {
			t.Errorf("%d: %d refs, %d taken", status, len(first.Refs), len(s.taken))
		}
	}
}

// TestPartIsWaiting: what failed is a failure, whatever else is on its way.
func TestPartIsWaiting(t *testing.T) {
	s := newStory(t, 10)
	s.n.Events = large(t, 10, 250_000)
	s.answers = []func(http.ResponseWriter){nil, func(w http.ResponseWriter) { s.say(w, 503, 9, "Server is busy", nil) }}
	if _, err := s.sender.Send(t.Context(), s.n); err == nil || tocsin.Classify(err).Taken {
		t.Errorf("%v, %+v", err, tocsin.Classify(err))
	}
}
