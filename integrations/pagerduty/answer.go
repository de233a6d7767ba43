package pagerduty

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/PagerDuty/go-pagerduty"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// throttled is how long to wait after a 429 that does not say: "be sure to retry on a 429
// response code, preferably with a backoff of a few minutes".
// https://developer.pagerduty.com/docs/events-api-v2-overview#rate-limits
const throttled = 2 * time.Minute

// aboutKey are the reasons for a 400 that are the configuration's: "Invalid routing key",
// "Length of 'routing_key' is incorrect (should be 32 characters)", "'routing_key' cannot
// contain non-alphanumeric characters."
// https://github.com/blockpane/tenderduty/issues/10 and https://github.com/robusta-dev/robusta/issues/571
var aboutKey = regexp.MustCompile(`(?i)routing[_ ]key`)

// classify turns an answer into an error; nil only for 202, "the event has been accepted by
// PagerDuty": https://developer.pagerduty.com/docs/events-api-v2-overview#response-codes--retry-logic
// shown is the body without secrets.
func classify(status int, header http.Header, body []byte, shown string) error {
	if status == http.StatusAccepted {
		return nil
	}
	err := post.Classify(status, header, shown)
	switch {
	case err == nil:
		return tocsin.Unsure(tocsin.Refused(post.Errorf(post.ClassBody,
			"answered %d, and not 202, so this may not be PagerDuty's Events API: %.200q", status, shown)))
	case status == http.StatusTooManyRequests:
		s := tocsin.Classify(err)
		if s.After == 0 {
			return tocsin.RetryAfter(s.Err, throttled)
		}
	case status == http.StatusBadRequest && slices.ContainsFunc(reasons(body), aboutKey.MatchString):
		return tocsin.Refused(tocsin.Classify(err).Err)
	}
	return err
}

// reasons are what a 400 says: status, message and the list of errors, each of which may
// be missing. https://developer.pagerduty.com/api-reference/368ae3d938c9e-send-an-event-to-pager-duty
func reasons(body []byte) []string {
	var e pagerduty.EventsAPIV2Error
	if json.Unmarshal(body, &e) == nil && e.APIError.Valid {
		o := e.APIError.ErrorObject
		return append([]string{o.Status, o.Message}, o.Errors...)
	}
	return []string{strings.ToValidUTF8(string(body), "")}
}
