package slack_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

func open(t *testing.T, url string) tocsin.Sender {
	t.Helper()
	c := post.New(post.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	t.Cleanup(c.Close)
	s, err := newChannel(c, slog.New(slog.DiscardHandler)).Open(json.RawMessage(config(url)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestErrorWords(t *testing.T) {
	for _, row := range []struct {
		status int
		body   string
		want   tocsin.SendError // Fault, After, Unsure
	}{
		{400, "invalid_payload", tocsin.SendError{Fault: tocsin.FaultEvent}},
		{400, "no_text", tocsin.SendError{Fault: tocsin.FaultEvent}},
		{400, "too_many_attachments", tocsin.SendError{Fault: tocsin.FaultEvent}},
		{400, "user_not_found", tocsin.SendError{Fault: tocsin.FaultWebhook}},
		{403, "action_prohibited", tocsin.SendError{Fault: tocsin.FaultWebhook}},
		{403, "invalid_token", tocsin.SendError{Fault: tocsin.FaultWebhook}},
		{404, "channel_not_found", tocsin.SendError{Fault: tocsin.FaultWebhook}},
		{404, "no_service", tocsin.SendError{Fault: tocsin.FaultWebhook}},
		{410, "channel_is_archived", tocsin.SendError{Fault: tocsin.FaultGone}},
		{500, "rollup_error", tocsin.SendError{Fault: tocsin.FaultRetry, Unsure: true}},
		{429, `{"retry_after":30,"ok":false,"error":"rate_limited"}`, tocsin.SendError{Fault: tocsin.FaultRetry, After: 30 * time.Second}},
		{429, `{"retry_after":1e12,"ok":false,"error":"rate_limited"}`, tocsin.SendError{Fault: tocsin.FaultRetry}},
		{429, `{"retry_after":-1}`, tocsin.SendError{Fault: tocsin.FaultRetry}},
		{200, `{"ok":false,"error":"invalid_auth"}`, tocsin.SendError{Fault: tocsin.FaultWebhook}},
		{200, `{"ok":false,"error":"is_archived"}`, tocsin.SendError{Fault: tocsin.FaultGone}},
		{200, `{"ok":false,"error":"internal_error"}`, tocsin.SendError{Fault: tocsin.FaultRetry, Unsure: true}},
		{200, "", tocsin.SendError{Fault: tocsin.FaultWebhook, Unsure: true}},
		{200, "<html>login</html>", tocsin.SendError{Fault: tocsin.FaultWebhook, Unsure: true}},
		{200, "okay", tocsin.SendError{Fault: tocsin.FaultWebhook, Unsure: true}},
		{202, "ok", tocsin.SendError{Fault: tocsin.FaultWebhook, Unsure: true}},
		{200, "ok", tocsin.SendError{}},
		{200, "ok\n", tocsin.SendError{}},
		{200, `{"ok":true}`, tocsin.SendError{}},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(row.status)
			_, _ = io.WriteString(w, row.body)
		}))
		_, err := open(t, server.URL).Send(t.Context(), integrationtest.Notify(integrationtest.Pick(t, "it-agent")...))
		server.Close()
		got := tocsin.SendError{}
		if err != nil {
			got = *tocsin.Classify(err)
		}
		if got.Fault != row.want.Fault || got.After != row.want.After || got.Unsure != row.want.Unsure {
			t.Errorf("%d %s: got %q %s %v, want %q %s %v (%v)", row.status, row.body, got.Fault, got.After, got.Unsure,
				row.want.Fault, row.want.After, row.want.Unsure, err)
		}
	}
}

func TestPlainTextWhenBlocksAreRefused(t *testing.T) {
	for _, word := range []string{"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "invalid_blocks: too deep"} {
		var got []message
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			got = append(got, decode(t, string(body)))
			if len(got) == 1 {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, word)
				return
			}
			yes(w, r)
		}))
		n := integrationtest.Notify(integrationtest.Events(t)...)
		receipt, err := open(t, server.URL).Send(t.Context(), n)
		server.Close()
		if err != nil || len(receipt.Exchanges) != 2 || receipt.Truncated != len(n.Events) {
			t.Fatalf("%s: %v, %d exchanges, %d truncated", word, err, len(receipt.Exchanges), receipt.Truncated)
		}
		if len(got[0].Blocks) == 0 || len(got[1].Blocks) != 0 || units(got[1].Text) > 4000 || !strings.Contains(got[1].Text, "refund-helper") {
			t.Errorf("%s: first %d blocks, then %d and text %.100q", word, len(got[0].Blocks), len(got[1].Blocks), got[1].Text)
		}
	}
}

func TestOneFallbackOnly(t *testing.T) {
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, "invalid_blocks")
	}))
	defer server.Close()
	_, err := open(t, server.URL).Send(t.Context(), integrationtest.Notify(integrationtest.Pick(t, "it-agent")...))
	if requests != 2 || tocsin.Classify(err).Fault != tocsin.FaultEvent {
		t.Errorf("%d requests, %v; want two and the event's fault", requests, err)
	}
}

// TestEveryBatchFits renders batches of all sizes, of short and of long events, and
// holds each to Slack's limits.
func TestEveryBatchFits(t *testing.T) {
	s := open(t, "http://127.0.0.1:1")
	for _, id := range []string{"it-agent", "it-scripts", "it-hostile"} {
		base := integrationtest.Pick(t, id)[0]
		for _, size := range []int{1, 2, 3, 5, 8, 12, 13, 24, 47, 48, 49, 50, 51, 200, 1000} {
			events := make([]tocsin.Event, size)
			for i := range events {
				events[i] = base
			}
			x, err := s.Preview(t.Context(), integrationtest.Notify(events...))
			if err != nil {
				t.Fatal(err)
			}
			checkLimits(t, fmt.Sprintf("%d × %s", size, id), x[0].RequestBody, size)
		}
	}
}

func checkLimits(t *testing.T, what, body string, size int) {
	t.Helper()
	var raw struct{ Blocks json.RawMessage }
	if err := json.Unmarshal([]byte(body), &raw); err != nil {
		t.Fatal(err)
	}
	m := decode(t, body)
	if len(raw.Blocks) > 12_000 || len(m.Blocks) > 50 || len(m.Blocks) < 2 || m.Text == "" {
		t.Errorf("%s: %d bytes in %d blocks, text %.40q", what, len(raw.Blocks), len(m.Blocks), m.Text)
	}
	for _, b := range m.Blocks {
		limit := map[string]int{"header": 150, "section": 3000}[b.Type]
		if b.Text != nil && (units(b.Text.Text) > 2*limit || len(b.Text.Text) == 0) {
			t.Errorf("%s: a %s of %d", what, b.Type, units(b.Text.Text))
		}
		if len(b.Fields) > 10 {
			t.Errorf("%s: %d fields", what, len(b.Fields))
		}
	}
	if size == 1000 && !strings.Contains(body, " more*") {
		t.Errorf("%s: nothing says how many are not shown", what)
	}
}

func TestTruncatedIsCounted(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(yes))
	defer server.Close()
	s := open(t, server.URL)
	for id, want := range map[string]int{"it-agent": 0, "it-scripts": 1} {
		receipt, err := s.Send(t.Context(), integrationtest.Notify(integrationtest.Pick(t, id)[0]))
		if err != nil || receipt.Truncated != want {
			t.Errorf("%s: %d truncated, %v; want %d", id, receipt.Truncated, err, want)
		}
	}
}

// TestNothingMentionsAnybody looks for live markup in everything that is sent for the
// hostile event.
func TestNothingMentionsAnybody(t *testing.T) {
	s := open(t, "http://127.0.0.1:1")
	events := integrationtest.Pick(t, "it-hostile")
	for _, size := range []int{1, 10, 100} {
		n := integrationtest.Notify()
		n.PublicURL = ""
		for range size {
			n.Events = append(n.Events, events[0])
		}
		x, err := s.Preview(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		m := decode(t, x[0].RequestBody)
		texts := []string{m.Text}
		for _, b := range m.Blocks {
			if b.Text != nil {
				texts = append(texts, b.Text.Text)
			}
			for _, f := range b.Fields {
				texts = append(texts, f.Text)
			}
		}
		for _, text := range texts {
			if strings.ContainsAny(text, "<>\r\u202e\x07") || strings.Contains(text, "@here") {
				t.Errorf("%d events: live markup in %q", size, text)
			}
		}
	}
}

func TestValidateSlackURLs(t *testing.T) {
	c := post.New(post.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	defer c.Close()
	ch := newChannel(c, slog.New(slog.DiscardHandler))
	for url, want := range map[string]string{
		"https://hooks.slack.com/services/T0/B0/x":     "",
		"https://hooks.slack-gov.com/services/T0/B0/x": "",
		"https://8.8.8.8/hooks/abc":                    "",
		"http://127.0.0.1:9/services/T/B/x":            "",
		"http://hooks.slack.com/services/T0/B0/x":      "want https",
		"https://hooks.slack.com/triggers/T0/1/x":      "Workflow Builder",
		"http://8.8.8.8/services/T/B/x":                "want https",
		"https://10.0.0.1/services/T/B/x":              "private",
	} {
		text, err := json.Marshal(map[string]string{"url": url})
		if err != nil {
			t.Fatal(err)
		}
		err = ch.Validate(t.Context(), text)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", url, err, want)
		}
	}
}
