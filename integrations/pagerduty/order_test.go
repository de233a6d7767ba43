package pagerduty_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
)

// teller sends to a vendor and remembers the refs, as the pipeline does.
type teller struct {
	t      *testing.T
	vendor *vendor
	sender tocsin.Sender
	refs   map[string]json.RawMessage
}

func newTeller(t *testing.T, settings string) *teller {
	v := newVendor(t)
	return &teller{t, v, open(t, strings.Replace(config(v.URL), "{", "{"+settings, 1)), map[string]json.RawMessage{}}
}

// told is what the n-th event of an incident says: "+1" fires, "?1" is acknowledged, "-1"
// is resolved; "+0" has no number.
func told(key, what string) tocsin.Event {
	e := tocsin.Event{ID: what, Source: "/s", Type: "custom.x", DedupKey: key, Title: "t", Status: tocsin.Firing}
	_, _ = fmt.Sscan(what[1:], &e.Seq) // the tests write numbers
	switch what[0] {
	case '?':
		e.Type = tocsin.TypeIncidentAcknowledged
	case '-':
		e.Status = tocsin.Resolved
	}
	return e
}

// tell sends one delivery, and returns what is the matter with each event.
func (w *teller) tell(events ...tocsin.Event) []tocsin.Fault {
	w.t.Helper()
	n := integrationtest.Notify(events...)
	n.Refs = maps.Clone(w.refs)
	before := len(w.vendor.bodies)
	x, err := w.sender.Preview(w.t.Context(), n)
	if err != nil {
		w.t.Fatal(err)
	}
	receipt, err := w.sender.Send(w.t.Context(), n)
	if asked := len(w.vendor.bodies) - before; asked != len(receipt.Exchanges) || err == nil && receipt.Results == nil && asked != len(x) {
		w.t.Errorf("%d requests, %d recorded, %d in the preview", asked, len(receipt.Exchanges), len(x))
	}
	maps.Copy(w.refs, receipt.Refs)
	faults := make([]tocsin.Fault, len(events))
	for i := range faults {
		if receipt.Results != nil {
			err = receipt.Results[i].Err
		}
		if err != nil {
			faults[i] = tocsin.Classify(err).Fault
		}
	}
	return faults
}

// TestOldNews: a delivery that is sent again, or comes late, undoes nothing that PagerDuty
// was told since. Words are events of one incident, in the order of the deliveries.
func TestOldNews(t *testing.T) {
	for story, want := range map[string]string{
		"+1 -2 +1":          "+ -",     // redelivered: opens nothing
		"+1 -2 +3 -2":       "+ - +",   // redelivered: resolves nothing
		"+2 -1":             "+",       // late
		"-2 +1":             "-",       // late, and the end was the first that was told
		"+1 +3 +2":          "+ + +",   // changes nothing
		"+1 +1":             "+ +",     // paging again on purpose
		"+1 -2 -2":          "+ - -",   // the same
		"+1 ?2 +1":          "+ ? +",   // paging again: nobody did anything
		"?2 +1":             "? +",     // late, and still true
		"+1 ?2 -3 +4 ?2":    "+ ? - +", // who looked after the last one does not look after this one
		"+1 ?2 -3 ?2":       "+ ? -",
		"+1 +3 ?2":          "+ + ?", // of the incident that is open
		"+1 -2 -1":          "+ - -",
		"+0 -0 +0":          "+ - +", // without numbers there is no order
		"+5 -0 +6":          "+ - +",
		"+5 -0 +4 +5":       "+ - +", // what was known of the order stays
		"+1 -3 +2 +4 -3 -5": "+ - + -",
		"+1 -2 +3 -4 +1 +3": "+ - + -",
	} {
		words := strings.Fields(story)
		one, all := newTeller(t, ""), newTeller(t, "")
		var batch []tocsin.Event
		for _, word := range words {
			one.tell(told("a", word))
			batch = append(batch, told("a", word))
		}
		all.tell(batch...)
		for name, w := range map[string]*teller{"each by itself": one, "all in one delivery": all} {
			got := strings.NewReplacer("trigger a", "+", "acknowledge a", "?", "resolve a", "-").Replace(strings.Join(w.vendor.log, " "))
			if got != want {
				t.Errorf("%s, %s: told %q, want %q", story, name, got, want)
			}
		}
		if a, b := string(one.refs["a"]), string(all.refs["a"]); a != b {
			t.Errorf("%s: refs %s and, in one delivery, %s", story, a, b)
		}
	}
}

// TestRefsOfWhatWasAccepted: what was taken before a failure is remembered, and the rest is
// told later as if it had never been tried.
func TestRefsOfWhatWasAccepted(t *testing.T) {
	retry := tocsin.FaultRetry
	w := newTeller(t, "")
	w.vendor.fail = func(e event, rw http.ResponseWriter) bool {
		if e.Action == "resolve" {
			rw.WriteHeader(http.StatusTooManyRequests)
		}
		return e.Action == "resolve"
	}
	faults := w.tell(told("a", "+3"), told("b", "+4"), told("a", "-2"), told("a", "-5"), told("a", "+6"))
	if diff := cmp.Diff([]tocsin.Fault{"", "", "", retry, retry}, faults); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	want := map[string]json.RawMessage{"a": json.RawMessage(`{"seq":3,"status":"firing"}`), "b": json.RawMessage(`{"seq":4,"status":"firing"}`)}
	if diff := cmp.Diff(want, w.refs); diff != "" {
		t.Errorf("refs (-want +got):\n%s", diff)
	}
	if faults := w.tell(told("b", "-7")); faults[0] != retry || string(w.refs["b"]) != string(want["b"]) {
		t.Errorf("alone: %q, ref %s; want it as it was", faults[0], w.refs["b"])
	}
	w.vendor.fail = nil
	w.tell(told("a", "-5"), told("a", "+6"))
	w.tell(told("a", "-5"))
	if got := string(w.refs["a"]); got != `{"seq":6,"status":"firing","over":5}` || w.vendor.alerts["a"] != "triggered" || w.vendor.opened != 3 {
		t.Errorf("ref %s, alert %s, %d opened", got, w.vendor.alerts["a"], w.vendor.opened)
	}
}

// TestRefsThatAreNotOurs mean nothing; change events and events without numbers have none.
func TestRefsThatAreNotOurs(t *testing.T) {
	for _, ref := range []string{`null`, `"x"`, `[]`, `{}`, `{"seq":"9","status":"resolved"}`, `{"seq":9}`, `{"status":"resolved"}`, `{"seq":9,"status":"odd"}`, `{`} {
		w := newTeller(t, "")
		w.refs["a"] = json.RawMessage(ref)
		w.tell(told("a", "+1"))
		if w.vendor.opened != 1 {
			t.Errorf("%s: the page was left out", ref)
		}
	}
	w := newTeller(t, "")
	w.tell(told("a", "+0"), told("a", "-0"))
	if len(w.refs) > 0 {
		t.Errorf("refs %s of events without numbers", w.refs)
	}
	w = newTeller(t, `"change_events":true,`)
	found := integrationtest.Pick(t, "it-agent")[0]
	w.refs[found.DedupKey] = json.RawMessage(`{"seq":9,"status":"resolved"}`)
	found.Seq = 1
	w.tell(found)
	found.Seq = 10
	w.tell(found)
	if got := string(w.refs[found.DedupKey]); w.vendor.changes != 2 || got != `{"seq":9,"status":"resolved"}` {
		t.Errorf("%d change events, ref %s", w.vendor.changes, got)
	}
}

// TestURLWithItsPath: with the path of the API it is the same as without, also with slashes
// behind it, and however http is spelled.
func TestURLWithItsPath(t *testing.T) {
	for _, end := range []string{"", "/", "/v2/enqueue", "/v2/enqueue/", "/v2/enqueue//"} {
		v := newVendor(t)
		text := strings.Replace(config(v.URL), "/v2/enqueue", end, 1)
		for _, text := range []string{text, strings.Replace(text, "http:", "HTTP:", 1)} {
			if _, err := open(t, text).Send(t.Context(), integrationtest.Notify(told("a", "+1"))); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
}

// TestPlainHTTPIsCheckedAtSend: however it is spelled; the key stays here.
func TestPlainHTTPIsCheckedAtSend(t *testing.T) {
	for _, scheme := range []string{"http", "HTTP"} {
		text := config(scheme + "://93.184.215.14")
		s, err := newChannel(nobody(t), nil).Open(json.RawMessage(text))
		if err != nil {
			t.Fatal(err)
		}
		receipt, err := s.Send(t.Context(), integrationtest.Notify(told("a", "+1"), told("b", "+2")))
		if tocsin.Classify(err).Fault != tocsin.FaultWebhook || !strings.Contains(fmt.Sprint(err), "want https") || len(receipt.Exchanges) > 0 {
			t.Errorf("%s: got %v and %d requests, want a refusal and none", scheme, err, len(receipt.Exchanges))
		}
	}
}
