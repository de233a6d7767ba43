package splunk

import (
	"encoding/json"
	"fmt"
	"net/http"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// The codes of answers that the channel looks for.
const (
	codeSuccess      = 0
	codeNoData       = 5
	codeACKDisabled  = 14
	codeHealthy      = 17
	codeQueueFilling = 24
	codeACKFilling   = 25
)

// faults says whose fault each code of an answer is. The codes and their statuses are
// those of
// https://docs.splunk.com/Documentation/Splunk/latest/Data/TroubleshootHTTPEventCollector#Possible_error_codes
// Code 28 is what Splunk Cloud says where Enterprise says 10. A code that is not here is
// judged by its status.
var faults = map[int]tocsin.Fault{
	1: tocsin.FaultWebhook, // 403 Token disabled
	2: tocsin.FaultWebhook, // 401 Token is required
	3: tocsin.FaultWebhook, // 401 Invalid authorization
	4: tocsin.FaultWebhook, // 403 Invalid token
	// A body is never empty when it leaves, so something on the way loses it.
	codeNoData: tocsin.FaultWebhook, // 400 No data
	6:          tocsin.FaultEvent,   // 400 Invalid data format
	// Index and fields are the same for all events, so no event is to blame.
	7:  tocsin.FaultWebhook, // 400 Incorrect index
	8:  tocsin.FaultRetry,   // 500 Internal server error
	9:  tocsin.FaultRetry,   // 503 Server is busy
	10: tocsin.FaultWebhook, // 400 Data channel is missing
	11: tocsin.FaultWebhook, // 400 Invalid data channel
	12: tocsin.FaultEvent,   // 400 Event field is required
	13: tocsin.FaultEvent,   // 400 Event field cannot be blank

	codeACKDisabled: tocsin.FaultWebhook, // 400 ACK is disabled
	15:              tocsin.FaultWebhook, // 400 Error in handling indexed fields
	16:              tocsin.FaultWebhook, // 400 Query string authorization is not enabled
	18:              tocsin.FaultRetry,   // 503 HEC is unhealthy, queues are full
	19:              tocsin.FaultRetry,   // 503 HEC is unhealthy, ack service unavailable
	20:              tocsin.FaultRetry,   // 503 HEC is unhealthy, queues are full, ack service unavailable
	21:              tocsin.FaultWebhook, // 400 Invalid token
	22:              tocsin.FaultWebhook, // 400 Token disabled
	23:              tocsin.FaultRetry,   // 503 Server is shutting down
	26:              tocsin.FaultRetry,   // 429 HEC queue is at capacity and cannot process any more requests
	27:              tocsin.FaultRetry,   // 429 HEC ACK channel is at capacity and cannot process any more requests
	28:              tocsin.FaultWebhook, // 400 Data channel is missing. If you have multiple indexers, …
}

// hints say what to do where Splunk's words do not.
var hints = map[int]string{
	1: "enable the token in Splunk", 22: "enable the token in Splunk",
	3: "give the token alone, without the word Splunk", 4: "check the token", 21: "check the token",
	codeNoData:      "something between here and Splunk drops the body",
	7:               "the token may not write to this index, or it does not exist",
	15:              "check fields, which are the same for all events",
	codeACKDisabled: "enable indexer acknowledgment for the token, or set ack to false",
}

// accepted are the codes that mean yes. The last two warn that a queue fills up.
var accepted = map[int]bool{codeSuccess: true, codeQueueFilling: true, codeACKFilling: true}

// answer is what HEC says of a request.
type answer struct {
	Text string `json:"text"`
	// Code is nil when the answer is not HEC's.
	Code *int `json:"code"`
	// Invalid is the place of the event that ended the processing: see poison.
	Invalid *int `json:"invalid-event-number"`
	// AckID is there when the token has indexer acknowledgment.
	AckID *int64 `json:"ackId"`
	// Acks are the states asked for, by ackId.
	Acks map[string]bool `json:"acks"`
}

// read reads an answer; what is not HEC's has no code.
func read(body []byte) answer {
	var a answer
	if json.Unmarshal(body, &a) != nil {
		return answer{}
	}
	return a
}

// code is the answer's, or -1.
func (a answer) code() int {
	if a.Code == nil {
		return -1
	}
	return *a.Code
}

// classify turns an answer into an error; nil only for a 200 with a code that means yes.
// shown is the body without secrets.
func classify(status int, header http.Header, a answer, shown string) error {
	if status == http.StatusOK && a.Code != nil && accepted[*a.Code] {
		return nil
	}
	err := post.Classify(status, header, shown)
	if err == nil {
		err = tocsin.Unsure(tocsin.Refused(post.Errorf(post.ClassBody,
			"answered %d, but not as a HTTP Event Collector does, so the address may be wrong: %.200q", status, shown)))
	}
	s := *tocsin.Classify(err)
	// A 429 and 5xx are to be repeated whatever the code beside them.
	if fault, known := faults[a.code()]; known && status != http.StatusTooManyRequests && status < 500 {
		s.Fault = fault
		s.Unsure = s.Unsure && fault == tocsin.FaultRetry
	}
	if hint := hints[a.code()]; hint != "" {
		return fmt.Errorf("posting to splunk: %w; %s", &s, hint)
	}
	return fmt.Errorf("posting to splunk: %w", &s)
}

// poison is the place of the one event that the answer blames, counted from 0, when all
// before it were taken and none from it on: so codes 6, 12 and 13 say it with
// invalid-event-number, which tells where processing stopped
// (https://github.com/open-telemetry/opentelemetry-collector-contrib/issues/36113). Code 7
// counts from 1, as a single event shows
// (https://github.com/splunk/splunk-connect-for-syslog/issues/548), and is no event's
// fault, and neither is code 15; 503 may come with a number too, and does not say what was taken.
//
// Number 0 is not believed: Splunk Cloud answers it for a body that is too large, and a
// receiver that is broken for every body. Then the delivery is halved.
func poison(status int, a answer, n int) (int, bool) {
	if status != http.StatusBadRequest || a.Invalid == nil || faults[a.code()] != tocsin.FaultEvent {
		return 0, false
	}
	at := *a.Invalid
	return at, at > 0 && at < n
}
