package tocsin_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
)

func TestDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"0s": 0, "15m": 15 * time.Minute, "1h30m": 90 * time.Minute, "5d": 120 * time.Hour, "1d12h": 36 * time.Hour, "90s": 90 * time.Second,
	} {
		d, err := tocsin.ParseDuration(text)
		if err != nil || d.Std() != want {
			t.Errorf("%q is %s (%v), want %s", text, d.Std(), err, want)
		}
		back, err := tocsin.ParseDuration(d.String())
		if err != nil || back != d {
			t.Errorf("%q is written %q, which reads as %s (%v)", text, d, back.Std(), err)
		}
	}
	for _, text := range []string{"", "15", "5 minutes", "d", "-1d", "1.5d", "99999999d"} {
		if _, err := tocsin.ParseDuration(text); err == nil || !strings.Contains(err.Error(), "15m") {
			t.Errorf("%q: got %v, want an error with an example", text, err)
		}
	}
	for d, want := range map[time.Duration]string{15 * time.Minute: "15m", 6 * time.Hour: "6h", 90 * time.Minute: "1h30m", 10 * time.Second: "10s", 0: "0s", 100 * time.Minute: "1h40m"} {
		if got := tocsin.Duration(d).String(); got != want {
			t.Errorf("%s is written %q, want %q", d, got, want)
		}
	}
}

func TestSeverity(t *testing.T) {
	t.Parallel()
	if !(tocsin.SeverityInfo < tocsin.SeverityLow && tocsin.SeverityLow < tocsin.SeverityMedium && tocsin.SeverityMedium < tocsin.SeverityHigh && tocsin.SeverityHigh < tocsin.SeverityCritical) {
		t.Error("severities are out of order")
	}
	for _, name := range append(tocsin.Severities(), "") {
		s, err := tocsin.ParseSeverity(name)
		if err != nil || s.String() != name {
			t.Errorf("%q reads as %v (%v)", name, s, err)
		}
	}
	if _, err := tocsin.ParseSeverity("urgent"); err == nil || !strings.Contains(err.Error(), `"urgent"`) || !strings.Contains(err.Error(), "critical") {
		t.Errorf("got %v, want the value and what is allowed", err)
	}
}

func TestDefaultDedupKey(t *testing.T) {
	t.Parallel()
	base := tocsin.Event{ID: "1", Type: "traffic.stopped", Source: "/a", Subject: "s", Status: tocsin.Firing}
	same := base
	same.ID, same.Status, same.Title = "2", tocsin.Resolved, "other"
	if tocsin.DefaultDedupKey(&base) != tocsin.DefaultDedupKey(&same) {
		t.Error("firing and resolved of one incident have different keys")
	}
	// Parts must not run into each other.
	shifted := base
	shifted.Source, shifted.Subject = "/as", ""
	if tocsin.DefaultDedupKey(&base) == tocsin.DefaultDedupKey(&shifted) {
		t.Error("two incidents share a key")
	}
	threat := func(actor string) string {
		return tocsin.DefaultDedupKey(&tocsin.Event{Type: "threat.detected", Source: "/a", Data: json.RawMessage(`{"filterId":"XSS","actor":"` + actor + `","method":"GET","url":"/v1"}`)})
	}
	if threat("10.0.0.1") == threat("10.0.0.2") {
		t.Error("threats of two actors share a key")
	}
	// Keys are stored: what made them must not change.
	for want, got := range map[string]string{"9fb3a7d9edd1758517dc48e56a79b477": tocsin.DefaultDedupKey(&base), "74774c377136fb9921cbddfc667955cf": threat("10.0.0.1")} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestCollection(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ label, data, want string }{
		{"agents", `{"apiCollectionId":7}`, "agents"},
		{"", `{"apiCollectionId":1690000000}`, "1690000000"},
		{"", `{"apiCollectionId":0}`, "0"},
		{"", `{"apiCollectionId":"seven"}`, "seven"},
		{"", `{"apiCollectionId":null}`, ""},
		{"", `[1]`, ""},
		{"", ``, ""},
	} {
		e := tocsin.Event{Data: json.RawMessage(tt.data)}
		if tt.label != "" {
			e.Labels = map[string]string{"collection": tt.label}
		}
		if got := e.Collection(); got != tt.want {
			t.Errorf("label %q, data %s: got %q, want %q", tt.label, tt.data, got, tt.want)
		}
	}
}

func TestSelectorHasTwoForms(t *testing.T) {
	t.Parallel()
	const text = `["discovery",{"type":"data.sensitive","collections":["a"]}]`
	var got []tocsin.Selector
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	want := []tocsin.Selector{{Type: "discovery"}, {Type: "data.sensitive", Collections: []string{"a"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
	if back, err := json.Marshal(got); err != nil || string(back) != text {
		t.Errorf("encoded as %s (%v), want %s", back, err, text)
	}
}

func TestIDsSortByTimeAndHaveNoDot(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		id := tocsin.NewID(tocsin.PrefixDelivery)
		if seen[id] || strings.Contains(id, ".") || len(id) != len("dlv_")+26 {
			t.Fatalf("bad id %q", id)
		}
		seen[id] = true
	}
}

func TestErrorsKeepCodeAndCause(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("opening store: %w", tocsin.Errorf(tocsin.CodeUnavailable, "dialling: %w", io.ErrUnexpectedEOF))
	if tocsin.CodeOf(err) != tocsin.CodeUnavailable || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("code %s, is EOF %v", tocsin.CodeOf(err), errors.Is(err, io.ErrUnexpectedEOF))
	}
	if got, want := err.Error(), "opening store: dialling: unexpected EOF"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if tocsin.CodeOf(nil) != "" || tocsin.CodeOf(io.EOF) != tocsin.CodeInternal {
		t.Error("CodeOf nil or of a plain error is wrong")
	}
	three := 3
	e := &tocsin.Error{Code: tocsin.CodeInvalid, Message: "invalid", Fields: []tocsin.FieldError{{Index: &three, Field: "type", Message: "bad"}, {Field: "url", Message: "worse"}}}
	if got, want := e.Error(), "invalid: event 3: type: bad; url: worse"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	if s := tocsin.Classify(boom); s.Fault != tocsin.FaultRetry || !s.Unsure {
		t.Errorf("a plain error is %+v, want an unsure retry", s)
	}
	wrapped := fmt.Errorf("posting: %w", tocsin.RetryAfter(boom, time.Minute))
	if s := tocsin.Classify(wrapped); s.Fault != tocsin.FaultRetry || s.After != time.Minute || s.Unsure {
		t.Errorf("got %+v", s)
	}
	if s := tocsin.Classify(tocsin.Unsure(tocsin.RetryAfter(boom, time.Minute))); s.After != time.Minute || !s.Unsure {
		t.Errorf("marking unsure lost something: %+v", s)
	}
	for want, err := range map[tocsin.Fault]error{tocsin.FaultEvent: tocsin.Permanent(boom), tocsin.FaultWebhook: tocsin.Refused(boom), tocsin.FaultGone: tocsin.Gone(boom)} {
		if s := tocsin.Classify(err); s.Fault != want || !errors.Is(err, boom) {
			t.Errorf("got %+v, want %s", s, want)
		}
	}
}

func TestBalance(t *testing.T) {
	t.Parallel()
	b := tocsin.Balance{WebhookID: "a", Accepted: 10, Delivered: 4, Pending: 3, InFlight: 1, Dead: 1, Suppressed: 1}
	if b.Difference() != 0 {
		t.Errorf("difference %d, want 0", b.Difference())
	}
	sum := b.Add(b)
	if sum.Accepted != 20 || sum.Difference() != 0 || sum.WebhookID != "" {
		t.Errorf("sum %+v", sum)
	}
}
