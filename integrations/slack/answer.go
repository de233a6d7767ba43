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
// and https://docs.slack.dev/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks
var faults = map[string]tocsin.Fault{
	"invalid_payload": tocsin.FaultEvent, "no_text": tocsin.FaultEvent, "too_many_attachments": tocsin.FaultEvent,
	"msg_too_long": tocsin.FaultEvent, "invalid_blocks": tocsin.FaultEvent, "invalid_blocks_format": tocsin.FaultEvent,
	"msg_blocks_too_long": tocsin.FaultEvent,

	"user_not_found": tocsin.FaultWebhook, "channel_not_found": tocsin.FaultWebhook, "no_service": tocsin.FaultWebhook,
	"no_service_id": tocsin.FaultWebhook, "no_team": tocsin.FaultWebhook, "team_disabled": tocsin.FaultWebhook,
	"no_active_hooks": tocsin.FaultWebhook, "invalid_token": tocsin.FaultWebhook, "no_token": tocsin.FaultWebhook,
	"action_prohibited": tocsin.FaultWebhook, "posting_to_general_channel_denied": tocsin.FaultWebhook,
	"invalid_auth": tocsin.FaultWebhook, "account_inactive": tocsin.FaultWebhook, "restricted_action": tocsin.FaultWebhook,

	"channel_is_archived": tocsin.FaultGone, "is_archived": tocsin.FaultGone,

	"rate_limited": tocsin.FaultRetry, "ratelimited": tocsin.FaultRetry, "rollup_error": tocsin.FaultRetry,
	"internal_error": tocsin.FaultRetry, "fatal_error": tocsin.FaultRetry, "service_unavailable": tocsin.FaultRetry,
}

// blocksRefused are the words after which the same in plain text goes through.
var blocksRefused = map[string]bool{"invalid_blocks": true, "invalid_blocks_format": true, "msg_blocks_too_long": true}

// answer is what Slack said: a word as text, or JSON with ok and error.
type answer struct {
	word  string
	ok    bool
	after time.Duration
}

func read(body []byte) answer {
	text := strings.TrimSpace(string(body))
	var j struct {
		OK         bool    `json:"ok"`
		Error      string  `json:"error"`
		RetryAfter float64 `json:"retry_after"`
	}
	if strings.HasPrefix(text, "{") && json.Unmarshal(body, &j) == nil {
		a := answer{word: j.Error, ok: j.OK && j.Error == ""}
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
