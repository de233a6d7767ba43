package slack_test

import (
	sdk "github.com/slack-go/slack"

	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"
)

// said is one message in the fake workspace.
type said struct {
	TS, Text, Thread string
	Broadcast        bool
	Blocks           []json.RawMessage
	Updates          int
}

// workspace is a fake Slack with one channel. It holds messages to the documented limits
// and answers in Slack's words.
type workspace struct {
	*httptest.Server
	mu       sync.Mutex
	messages []*said
	calls    []string
	// fail gives the answer to a call in place of the ordinary one; "" for that.
	fail func(method string, m map[string]any) string
}

func newWorkspace(t *testing.T) *workspace {
	w := &workspace{fail: func(string, map[string]any) string { return "" }}
	w.Server = httptest.NewServer(w)
	t.Cleanup(w.Close)
	return w
}

func (w *workspace) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	method := strings.TrimPrefix(r.URL.Path, "/api/")
	w.calls = append(w.calls, method)
	raw, _ := io.ReadAll(r.Body) // what is missing is answered as such
	var m map[string]any
	_ = json.Unmarshal(raw, &m)
	answer := w.fail(method, m)
	if answer == "" {
		answer = w.answer(method, r, raw)
	}
	if strings.Contains(answer, "ratelimited") {
		rw.Header().Set("Retry-After", "30")
		rw.WriteHeader(http.StatusTooManyRequests)
	}
	_, _ = io.WriteString(rw, answer)
}

func (w *workspace) answer(method string, r *http.Request, raw []byte) string {
	no := func(word string) string { return `{"ok":false,"error":"` + word + `"}` }
	if r.Header.Get("Authorization") != "Bearer "+botToken {
		return no("invalid_auth")
	}
	switch method {
	case "auth.test":
		return `{"ok":true,"url":"https://acme.slack.com/","team":"Acme","user":"tocsin","team_id":"T1","user_id":"U1"}`
	case "conversations.info":
		return `{"ok":true,"channel":{"id":"C0SUITE01","name":"sec-alerts","is_member":true,"is_archived":false}}`
	}
	var m struct {
		Channel   string            `json:"channel"`
		TS        string            `json:"ts"`
		ThreadTS  string            `json:"thread_ts"`
		Broadcast bool              `json:"reply_broadcast"`
		Text      string            `json:"text"`
		Blocks    []json.RawMessage `json:"blocks"`
	}
	switch err := json.Unmarshal(raw, &m); {
	case err != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		return no("invalid_post_type")
	case m.Channel != "C0SUITE01":
		return no("channel_not_found")
	case m.Text == "" && len(m.Blocks) == 0:
		return no("no_text")
	case len(m.Blocks) > 50:
		return no("invalid_blocks")
	case len(raw) > 16_000:
		return no("msg_blocks_too_long")
	case method == "chat.update" && len(m.Text) > 4000:
		return no("msg_too_long")
	case !blocksFit(raw):
		return no("invalid_blocks")
	}
	echo := `"message":` + inASCII(map[string]any{"text": m.Text, "blocks": m.Blocks})
	switch method {
	case "chat.update":
		for _, s := range w.messages {
			if s.TS == m.TS {
				s.Text, s.Blocks, s.Updates = m.Text, m.Blocks, s.Updates+1
				return `{"ok":true,"channel":"C0SUITE01","ts":"` + s.TS + `",` + echo + `}`
			}
		}
		return no("message_not_found")
	case "chat.postMessage":
		s := &said{TS: fmt.Sprintf("17000000%02d.000100", len(w.messages)), Text: m.Text, Blocks: m.Blocks, Thread: m.ThreadTS, Broadcast: m.Broadcast}
		w.messages = append(w.messages, s)
		return `{"ok":true,"channel":"C0SUITE01","ts":"` + s.TS + `",` + echo + `}`
	}
	return no("unknown_method")
}

// blocksFit reads a message's blocks with Slack's own types for Go, and holds them to the
// limits of https://docs.slack.dev/reference/block-kit/blocks.
func blocksFit(raw []byte) bool {
	var m struct {
		Blocks sdk.Blocks `json:"blocks"`
	}
	if json.Unmarshal(raw, &m) != nil {
		return false
	}
	for _, b := range m.Blocks.BlockSet {
		switch b := b.(type) {
		case *sdk.HeaderBlock:
			if b.Text.Type != sdk.PlainTextType || units(b.Text.Text) > 150 {
				return false
			}
		case *sdk.SectionBlock:
			if len(b.Fields) > 10 || b.Text == nil && len(b.Fields) == 0 || b.Text != nil && units(b.Text.Text) > 3000 {
				return false
			}
			for _, f := range b.Fields {
				if f.Text == "" || units(f.Text) > 2000 {
					return false
				}
			}
		case *sdk.ContextBlock, *sdk.DividerBlock, *sdk.ActionBlock:
		default:
			return false
		}
	}
	return true
}

// inASCII writes JSON with escapes for everything else, so that it is as long as it can be.
func inASCII(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // texts and blocks that were read from JSON
	}
	var b strings.Builder
	for _, r := range string(text) {
		if r < 0x80 {
			b.WriteRune(r)
			continue
		}
		for _, u := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, u)
		}
	}
	return b.String()
}
