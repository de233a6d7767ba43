package slack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// maxWait bounds retry_after in a body as post bounds the header.
const maxWait = 7 * 24 * time.Hour

// faults says whose fault an error word is, where the status alone does not, or says
// it wrong: a missing channel is a 404 and the configuration's, a missing user a 400.
// The words are those of https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors
// and https://docs.slack.dev/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks,
// for bots those of https://docs.slack.dev/reference/methods/chat.postMessage#errors and
// https://docs.slack.dev/reference/methods/chat.update#errors
var faults = map[string]tocsin.Fault{
	"invalid_payload": tocsin.FaultEvent, "no_text": tocsin.FaultEvent, "too_many_attachments": tocsin.FaultEvent,
	"msg_too_long": tocsin.FaultEvent, "invalid_blocks": tocsin.FaultEvent, "invalid_blocks_format": tocsin.FaultEvent,
	"msg_blocks_too_long": tocsin.FaultEvent,

	"invalid_arguments": tocsin.FaultEvent, "invalid_attachments": tocsin.FaultEvent,

	"user_not_found": tocsin.FaultWebhook, "channel_not_found": tocsin.FaultWebhook, "no_service": tocsin.FaultWebhook,
	"no_service_id": tocsin.FaultWebhook, "no_team": tocsin.FaultWebhook, "team_disabled": tocsin.FaultWebhook,
	"no_active_hooks": tocsin.FaultWebhook, "invalid_token": tocsin.FaultWebhook, "no_token": tocsin.FaultWebhook,
	"action_prohibited": tocsin.FaultWebhook, "posting_to_general_channel_denied": tocsin.FaultWebhook,
	"invalid_auth": tocsin.FaultWebhook, "account_inactive": tocsin.FaultWebhook, "restricted_action": tocsin.FaultWebhook,

	"not_authed": tocsin.FaultWebhook, "token_revoked": tocsin.FaultWebhook, "token_expired": tocsin.FaultWebhook,
	"missing_scope": tocsin.FaultWebhook, "no_permission": tocsin.FaultWebhook, "not_allowed_token_type": tocsin.FaultWebhook,
	"not_in_channel": tocsin.FaultWebhook, "restricted_action_read_only_channel": tocsin.FaultWebhook,
	"restricted_action_thread_only_channel": tocsin.FaultWebhook,
	"access_denied":                         tocsin.FaultWebhook, "accesslimited": tocsin.FaultWebhook, "ekm_access_denied": tocsin.FaultWebhook,
	"enterprise_is_restricted": tocsin.FaultWebhook, "two_factor_setup_required": tocsin.FaultWebhook,
	"team_access_not_granted": tocsin.FaultWebhook, "team_not_found": tocsin.FaultWebhook, "is_inactive": tocsin.FaultWebhook,
	"deprecated_endpoint": tocsin.FaultWebhook, "method_deprecated": tocsin.FaultWebhook,

	"channel_is_archived": tocsin.FaultGone, "is_archived": tocsin.FaultGone,

	"rate_limited": tocsin.FaultRetry, "ratelimited": tocsin.FaultRetry, "rollup_error": tocsin.FaultRetry,
	"internal_error": tocsin.FaultRetry, "fatal_error": tocsin.FaultRetry, "service_unavailable": tocsin.FaultRetry,
	"update_failed": tocsin.FaultRetry, "request_timeout": tocsin.FaultRetry, "external_channel_migrating": tocsin.FaultRetry,
	"team_added_to_org": tocsin.FaultRetry, "org_login_required": tocsin.FaultRetry,
}

// threadLost are the words after which what a reply says is posted in the channel: its
// parent was deleted, its thread locked, or the channel has no threads. So are words that
// nobody has heard of, since everything else would have been said to the message, too.
var threadLost = map[string]bool{
	"restricted_action_thread_locked": true, "restricted_action_non_threadable_channel": true, "cannot_reply_to_message": true,
	"invalid_thread_ts": true, "thread_not_found": true, "message_not_found": true,
}

// messageLost are the words after which an incident's message is posted anew.
var messageLost = map[string]bool{"message_not_found": true, "cant_update_message": true, "block_mismatch": true}

// blocksRefused are the words after which the same in plain text goes through.
var blocksRefused = map[string]bool{"invalid_blocks": true, "invalid_blocks_format": true, "msg_blocks_too_long": true}

// answer is what Slack said: a word as text, or JSON with ok and error.
type answer struct {
	word  string
	ok    bool
	after time.Duration
	ts    string // of the message, for a bot
	found
}

// found is what Slack says to a check.
type found struct {
	User         string `json:"user"`
	Team         string `json:"team"`
	Conversation struct {
		Name     string `json:"name"`
		Member   bool   `json:"is_member"`
		Archived bool   `json:"is_archived"`
	} `json:"channel"`
}

func read(body []byte) answer {
	text := strings.TrimSpace(string(body))
	var j struct {
		OK         bool    `json:"ok"`
		Error      string  `json:"error"`
		RetryAfter float64 `json:"retry_after"`
		TS         string  `json:"ts"`
	}
	if strings.HasPrefix(text, "{") && json.Unmarshal(body, &j) == nil {
		a := answer{word: j.Error, ok: j.OK && j.Error == "", ts: j.TS}
		// In the answer to a message channel is a text; that is no check's then.
		_ = json.Unmarshal(body, &a.found)
		if j.RetryAfter > 0 && j.RetryAfter <= maxWait.Seconds() {
			a.after = time.Duration(j.RetryAfter * float64(time.Second))
		}
		return a
	}
	word, _, _ := strings.Cut(text, ":") // "invalid_blocks: must be …"
	return answer{word: strings.TrimSpace(word), ok: text == "ok"}
}

// classify turns an answer into an error; nil only for 200 with ok in the body. shown
// is the body without secrets.
func classify(status int, header http.Header, a answer, shown string) error {
	if status == http.StatusOK && a.ok {
		return nil
	}
	err := post.Classify(status, header, shown)
	if err == nil {
		err = tocsin.Unsure(tocsin.Refused(post.Errorf(post.ClassBody,
			"answered %d, but not ok, so this may not be a Slack webhook: %.200q", status, shown)))
	}
	s := *tocsin.Classify(err)
	if fault, known := faults[a.word]; known && status != http.StatusTooManyRequests && status < 500 {
		s.Fault = fault
		// Slack named what it refused, so nothing was accepted.
		s.Unsure = s.Unsure && fault == tocsin.FaultRetry
	}
	s.After = max(s.After, a.after)
	return fmt.Errorf("posting to slack: %w", &s)
}
