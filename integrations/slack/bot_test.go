package slack_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

const botToken = "xoxb-T0SUITE-s3cretBotToken"

func botConfig(url string) string {
	return `{"token":"` + botToken + `","channel":"C0SUITE01","group_by":"incident","api_url":"` + url + `/api/"}`
}

func TestBotConformance(t *testing.T) {
	integrationtest.Run(t, integrationtest.Spec{
		New: newChannel, Config: botConfig, Secrets: []string{botToken}, BodyDecides: true, Golden: "golden-bot",
		Accept: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"ok":true,"channel":"C0SUITE01","ts":"1503435956.000247"}`)
		},
	})
}

// remembering is a sender whose references are stored between sends, as the pipeline does.
type remembering struct {
	tocsin.Sender
	refs map[string]json.RawMessage
}

func (w *workspace) open(t *testing.T, config string) *remembering {
	t.Helper()
	c := post.New(post.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	t.Cleanup(c.Close)
	s, err := newChannel(c, slog.New(slog.DiscardHandler)).Open(json.RawMessage(config))
	if err != nil {
		t.Fatal(err)
	}
	return &remembering{s, map[string]json.RawMessage{}}
}

func (r *remembering) send(t *testing.T, events ...tocsin.Event) (tocsin.Receipt, error) {
	t.Helper()
	n := integrationtest.Notify(events...)
	n.Refs = map[string]json.RawMessage{}
	for key, ref := range r.refs {
		n.Refs[key] = ref
	}
	receipt, err := r.Send(t.Context(), n)
	for key, ref := range receipt.Refs {
		r.refs[key] = ref
	}
	return receipt, err
}

func (r *remembering) mustSend(t *testing.T, events ...tocsin.Event) {
	t.Helper()
	receipt, err := r.send(t, events...)
	if err != nil {
		t.Fatalf("Send: %v", err)
	}
	for i, res := range receipt.Results {
		if res.Err != nil {
			t.Fatalf("event %d: %v", i, res.Err)
		}
	}
}

func event(key, title string, status tocsin.Status) tocsin.Event {
	return tocsin.Event{ID: title, Source: "/s", Type: "custom.x", Severity: tocsin.SeverityHigh, Status: status, DedupKey: key, Title: title}
}

// TestOneMessagePerIncident tells the story of an incident: one message, brought up to
// date, and a thread.
func TestOneMessagePerIncident(t *testing.T) {
	w := newWorkspace(t)
	s := w.open(t, botConfig(w.URL))
	s.mustSend(t, event("a", "first", tocsin.Firing), event("b", "other", tocsin.Firing))
	s.mustSend(t, event("a", "second", tocsin.Firing))
	ack := event("a", "Acknowledged by ada", tocsin.Firing)
	ack.Type = tocsin.TypeIncidentAcknowledged
	s.mustSend(t, ack)
	s.mustSend(t, event("a", "over", tocsin.Resolved))
	s.mustSend(t, event("a", "again", tocsin.Firing), event("a", "and again", tocsin.Firing))

	var got []string
	for _, m := range w.messages {
		line := m.Text
		if m.Thread != "" {
			line = "  ↳ " + m.Thread[8:10] + " " + line
		}
		if m.Broadcast {
			line += " (broadcast)"
		}
		if m.Updates > 0 {
			line += fmt.Sprintf(" (%d updates)", m.Updates)
		}
		got = append(got, line)
	}
	want := []string{
		"🟠 High: and again (3 updates)", "🟠 High: other", "  ↳ 00 🟠 High: second", "  ↳ 00 👀 Acknowledged by ada",
		"  ↳ 00 ✅ Resolved: over", "  ↳ 00 🟠 2 alerts, highest severity high: again and 1 more (broadcast)",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the channel shows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAFailureStopsAndKeepsWhatWasPosted(t *testing.T) {
	w := newWorkspace(t)
	s := w.open(t, botConfig(w.URL))
	w.fail = func(string, map[string]any) string {
		if len(w.messages) == 2 {
			return `{"ok":false,"error":"ratelimited"}`
		}
		return ""
	}
	receipt, err := s.send(t, event("a", "one", tocsin.Firing), event("b", "two", tocsin.Firing), event("c", "three", tocsin.Firing), event("a", "four", tocsin.Firing))
	// a's thread comes before b, since its events go together.
	if err != nil || len(receipt.Results) != 4 || receipt.Results[0].Err != nil || receipt.Results[3].Err != nil {
		t.Fatalf("got %v and %+v", err, receipt.Results)
	}
	for _, i := range []int{1, 2} {
		if f := tocsin.Classify(receipt.Results[i].Err); f.Fault != tocsin.FaultRetry || f.After.Seconds() != 30 || f.Unsure {
			t.Errorf("event %d: %+v", i, f)
		}
	}
	if len(receipt.Refs) != 1 || len(w.calls) != 3 {
		t.Errorf("%d references, %d calls: want one, and no call after the refusal", len(receipt.Refs), len(w.calls))
	}
}

// TestAFailedReplyIsRepeatedAlone: the message is there, so the next attempt updates it.
func TestAFailedReplyIsRepeatedAlone(t *testing.T) {
	w := newWorkspace(t)
	s := w.open(t, botConfig(w.URL))
	s.mustSend(t, event("a", "one", tocsin.Firing))
	s.mustSend(t, event("a", "over", tocsin.Resolved))
	w.fail = func(method string, m map[string]any) string {
		if m["thread_ts"] != nil {
			return `{"ok":false,"error":"internal_error"}`
		}
		return ""
	}
	if _, err := s.send(t, event("a", "again", tocsin.Firing)); tocsin.Classify(err).Fault != tocsin.FaultRetry || err == nil {
		t.Fatalf("got %v, want something to retry", err)
	}
	w.fail = func(string, map[string]any) string { return "" }
	s.mustSend(t, event("a", "again", tocsin.Firing))
	last := w.messages[len(w.messages)-1]
	if len(w.messages) != 3 || !last.Broadcast || !strings.Contains(last.Text, "again") {
		t.Errorf("%d messages, the last %+v; want a root and two replies, the last broadcast", len(w.messages), last)
	}
}

func TestAMessageThatIsGoneIsPostedAnew(t *testing.T) {
	for word, want := range map[string]int{"message_not_found": 3, "cant_update_message": 3, "edit_window_closed": 2} {
		w := newWorkspace(t)
		s := w.open(t, botConfig(w.URL))
		s.mustSend(t, event("a", "one", tocsin.Firing))
		w.fail = func(method string, _ map[string]any) string {
			if method == "chat.update" {
				return `{"ok":false,"error":"` + word + `"}`
			}
			return ""
		}
		s.mustSend(t, event("a", "two", tocsin.Firing))
		if len(w.messages) != want {
			t.Errorf("%s: %d messages, want %d", word, len(w.messages), want)
		}
		if thread := w.messages[len(w.messages)-1].Thread; thread != w.messages[want-2].TS {
			t.Errorf("%s: the reply is in thread %q", word, thread)
		}
	}
}

func TestAReferenceOfAnotherChannelIsNone(t *testing.T) {
	w := newWorkspace(t)
	s := w.open(t, botConfig(w.URL))
	for _, ref := range []string{`{"channel":"C9OTHER","ts":"1.1","status":"firing"}`, `"x"`, `[]`, `{}`} {
		s.refs["a"] = json.RawMessage(ref)
		before := len(w.messages)
		s.mustSend(t, event("a", "one", tocsin.Firing))
		if len(w.messages) != before+1 || w.messages[before].Thread != "" {
			t.Errorf("with the reference %s: %d new messages", ref, len(w.messages)-before)
		}
	}
}

func TestOneMessagePerDelivery(t *testing.T) {
	w := newWorkspace(t)
	s := w.open(t, strings.Replace(botConfig(w.URL), `"incident"`, `"delivery"`, 1))
	s.mustSend(t, event("a", "one", tocsin.Firing), event("b", "two", tocsin.Firing))
	s.mustSend(t, event("a", "three", tocsin.Firing))
	if len(w.messages) != 2 || len(s.refs) != 0 || !strings.Contains(w.messages[0].Text, "2 alerts") {
		t.Errorf("%d messages, %d references", len(w.messages), len(s.refs))
	}
}

func TestABotsPlainText(t *testing.T) {
	w := newWorkspace(t)
	s := w.open(t, botConfig(w.URL))
	w.fail = func(_ string, m map[string]any) string {
		if blocks, _ := m["blocks"].([]any); len(blocks) > 0 {
			return `{"ok":false,"error":"invalid_blocks"}`
		}
		return ""
	}
	s.mustSend(t, event("a", "one", tocsin.Firing))
	if len(w.messages) != 1 || len(w.messages[0].Blocks) != 0 || !strings.Contains(w.messages[0].Text, "one") {
		t.Errorf("messages: %+v", w.messages)
	}
}

func TestBotErrorWords(t *testing.T) {
	for word, want := range map[string]tocsin.Fault{
		"not_authed": tocsin.FaultWebhook, "invalid_auth": tocsin.FaultWebhook, "account_inactive": tocsin.FaultWebhook, "token_revoked": tocsin.FaultWebhook,
		"token_expired": tocsin.FaultWebhook, "missing_scope": tocsin.FaultWebhook, "channel_not_found": tocsin.FaultWebhook, "not_in_channel": tocsin.FaultWebhook,
		"restricted_action": tocsin.FaultWebhook, "restricted_action_read_only_channel": tocsin.FaultWebhook, "is_archived": tocsin.FaultGone,
		"no_permission": tocsin.FaultWebhook, "ekm_access_denied": tocsin.FaultWebhook, "msg_too_long": tocsin.FaultEvent, "no_text": tocsin.FaultEvent,
		"invalid_arguments": tocsin.FaultEvent, "ratelimited": tocsin.FaultRetry, "internal_error": tocsin.FaultRetry, "fatal_error": tocsin.FaultRetry,
		"service_unavailable": tocsin.FaultRetry, "org_login_required": tocsin.FaultRetry, "team_added_to_org": tocsin.FaultRetry,
		"a_word_of_tomorrow": tocsin.FaultWebhook,
	} {
		w := newWorkspace(t)
		w.fail = func(string, map[string]any) string { return `{"ok":false,"error":"` + word + `"}` }
		receipt, err := w.open(t, botConfig(w.URL)).send(t, event("a", "one", tocsin.Firing))
		if got := tocsin.Classify(err); err == nil || got.Fault != want || receipt.Results != nil || len(w.calls) != 1 {
			t.Errorf("%s: got %v with %d calls, want %s", word, err, len(w.calls), want)
		}
	}
}

// TestOnePoisonKeepsNobodyBack: a message refused for its content is that event's affair.
func TestOnePoisonKeepsNobodyBack(t *testing.T) {
	w := newWorkspace(t)
	s := w.open(t, botConfig(w.URL))
	w.fail = func(_ string, m map[string]any) string {
		if strings.Contains(fmt.Sprint(m), "poison") {
			return `{"ok":false,"error":"invalid_arguments"}`
		}
		return ""
	}
	for _, titles := range [][]string{{"one", "poison", "three"}, {"poison", "two", "three"}} {
		w.messages = nil
		receipt, err := s.send(t, event("a", titles[0], tocsin.Firing), event("b", titles[1], tocsin.Firing), event("c", titles[2], tocsin.Firing))
		if err != nil || len(w.messages) != 2 {
			t.Errorf("%v: got %v and %d messages", titles, err, len(w.messages))
		}
		for i, title := range titles {
			res := receipt.Results[i].Err
			if (res != nil) != (title == "poison") || res != nil && tocsin.Classify(res).Fault != tocsin.FaultEvent {
				t.Errorf("%v: %s: %v", titles, title, res)
			}
		}
		clear(s.refs)
	}
}

// TestSlackRepeatsWhatWasPosted: its answer is far longer than the message.
func TestSlackRepeatsWhatWasPosted(t *testing.T) {
	w := newWorkspace(t)
	s := w.open(t, botConfig(w.URL))
	e := event("a", "one", tocsin.Firing)
	e.Summary = strings.Repeat("日", 2900)
	s.mustSend(t, e)
	s.mustSend(t, e)
	if len(w.messages) != 2 || w.messages[1].Thread != w.messages[0].TS {
		t.Errorf("%d messages; want one and a reply", len(w.messages))
	}
}

// TestTroubleOfOneThread is no trouble of the webhook: the alert begins another.
func TestTroubleOfOneThread(t *testing.T) {
	for _, word := range []string{"restricted_action_thread_locked", "restricted_action_non_threadable_channel", "cannot_reply_to_message", "invalid_thread_ts", "a_word_of_tomorrow"} {
		w := newWorkspace(t)
		s := w.open(t, botConfig(w.URL))
		s.mustSend(t, event("a", "one", tocsin.Firing))
		w.fail = func(_ string, m map[string]any) string {
			if m["thread_ts"] != nil {
				return `{"ok":false,"error":"` + word + `"}`
			}
			return ""
		}
		s.mustSend(t, event("a", "two", tocsin.Firing))
		if len(w.messages) != 2 || w.messages[1].Thread != "" || !strings.Contains(string(s.refs["a"]), w.messages[1].TS) {
			t.Errorf("%s: %d messages, reference %s", word, len(w.messages), s.refs["a"])
		}
	}
}

// TestAnOldEventSentAgain is told in the thread, and turns nothing back.
func TestAnOldEventSentAgain(t *testing.T) {
	w := newWorkspace(t)
	s := w.open(t, botConfig(w.URL))
	first, over := event("a", "fires", tocsin.Firing), event("a", "over", tocsin.Resolved)
	first.Seq, over.Seq = 1, 2
	s.mustSend(t, first)
	s.mustSend(t, over)
	s.mustSend(t, first)
	last := w.messages[len(w.messages)-1]
	if root := w.messages[0]; !strings.Contains(root.Text, "over") || last.Broadcast || !strings.Contains(last.Text, "fires") || !strings.Contains(string(s.refs["a"]), `"resolved"`) {
		t.Errorf("the message shows %q, the last reply %q (broadcast %t), reference %s", root.Text, last.Text, last.Broadcast, s.refs["a"])
	}
	again := event("a", "again", tocsin.Firing)
	again.Seq = 3
	s.mustSend(t, again)
	if last := w.messages[len(w.messages)-1]; !last.Broadcast || !strings.Contains(w.messages[0].Text, "again") {
		t.Errorf("a newer one: the message shows %q, broadcast %t", w.messages[0].Text, last.Broadcast)
	}
}

// TestTheRestTakesAnotherAttempt: nothing is begun that the deadline may cut off.
func TestTheRestTakesAnotherAttempt(t *testing.T) {
	w := newWorkspace(t)
	s := w.open(t, botConfig(w.URL))
	ctx, cancel := context.WithTimeout(t.Context(), post.DefaultTimeout-time.Second)
	defer cancel()
	receipt, err := s.Send(ctx, integrationtest.Notify(event("a", "one", tocsin.Firing), event("b", "two", tocsin.Firing)))
	if err != nil || len(w.messages) != 1 || receipt.Results[0].Err != nil {
		t.Fatalf("%d messages, %v, %v", len(w.messages), err, receipt.Results)
	}
	if f := tocsin.Classify(receipt.Results[1].Err); f.Fault != tocsin.FaultRetry || f.Unsure {
		t.Errorf("the second: %+v", f)
	}
}
