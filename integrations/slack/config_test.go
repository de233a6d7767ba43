package slack_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

func TestCheck(t *testing.T) {
	w := newWorkspace(t)
	check := func() (string, error) {
		found, exchanges, err := w.open(t, botConfig(w.URL)).Sender.(tocsin.Checker).Check(t.Context())
		if len(exchanges) == 0 || strings.Contains(fmt.Sprint(found, exchanges, err), botToken) {
			t.Errorf("%d exchanges, or a token shown: %s %v", len(exchanges), found, err)
		}
		return found, err
	}
	if found, err := check(); err != nil || found != "the token is of tocsin in workspace Acme, a member of #sec-alerts" {
		t.Errorf("got %q, %v", found, err)
	}
	for answer, want := range map[string]string{
		`{"ok":false,"error":"missing_scope"}`:                                     "channel was not looked at",
		`{"ok":true,"channel":{"name":"sec-alerts","is_member":false}}`:            "no member of #sec-alerts",
		`{"ok":true,"channel":{"name":"old","is_member":true,"is_archived":true}}`: "the channel old is archived",
		`{"ok":false,"error":"channel_not_found"}`:                                 "channel_not_found",
	} {
		w.fail = func(method string, _ map[string]any) string {
			if method == "conversations.info" {
				return answer
			}
			return ""
		}
		found, err := check()
		if !strings.Contains(found+fmt.Sprint(err), want) {
			t.Errorf("%s: got %q, %v; want %q", answer, found, err, want)
		}
	}
	w.fail = func(string, map[string]any) string { return `{"ok":false,"error":"invalid_auth"}` }
	if _, err := check(); tocsin.Classify(err).Fault != tocsin.FaultWebhook || err == nil {
		t.Errorf("a wrong token: %v", err)
	}
	if len(w.messages) > 0 {
		t.Error("a check posted something")
	}
	_, _, err := open(t, w.URL).(tocsin.Checker).Check(t.Context())
	if err != tocsin.ErrNoCheck {
		t.Errorf("a compatible receiver: %v", err)
	}
}

func TestConfigurations(t *testing.T) {
	c := post.New(post.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	t.Cleanup(c.Close)
	ch := newChannel(c, slog.New(slog.DiscardHandler))
	for config, want := range map[string]string{
		`{"token":"xoxb-1-a","channel":"C0123456789"}`:                                       "",
		`{"token":"xoxb-1-a","channel":"C0123456789","api_url":"https://slack-gov.com/api"}`: "",
		`{}`:                        "config.url: required",
		`{"token":"xoxb-1-a"}`:      "config.channel: required with token",
		`{"channel":"C0123456789"}`: "config.token: required with channel",
		`{"token":"xoxb-1-a","channel":"#general"}`:                                          `config.channel: "#general" is not a channel's id`,
		`{"token":"xapp-1-a","channel":"C0123456789"}`:                                       "app-level token",
		`{"token":"hunter2","channel":"C0123456789"}`:                                        "not a Slack token",
		`{"token":"xoxb-1 a","channel":"C0123456789"}`:                                       "not a Slack token",
		`{"token":"xoxb-1-a","channel":"C0123456789","group_by":"day"}`:                      "allowed: incident, delivery",
		`{"token":"xoxb-1-a","channel":"C0123456789","api_url":"http://93.184.215.14/api/"}`: "want https",
		`{"token":"xoxb-1-a","channel":"C0123456789","api_url":"https://h.example/?a=b"}`:    "config.api_url: has a query",
		`{"url":"https://hooks.slack.com/services/T/B/x","channel":"C0123456789"}`:           "config.channel: belongs to a bot's token",
		`{"url":"https://hooks.slack.com/triggers/x"}`:                                       "is not an incoming webhook",
	} {
		complete, _, err := ch.Complete(json.RawMessage(config))
		if err != nil {
			t.Fatal(err)
		}
		err = ch.Validate(t.Context(), complete)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", config, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows the token", config)
		}
	}
}
