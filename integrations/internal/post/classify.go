package post

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// maxRetryAfter is the longest Retry-After believed. A longer one is a mistake, or an
// attempt to silence a webhook, and is ignored.
const maxRetryAfter = 7 * 24 * time.Hour

// Classify sorts an answer into whose fault it is. body is shown in the error, so it
// must be redacted already ([tocsin.Exchange.ResponseBody] is). nil means accepted.
//
//	2xx                  nil
//	400, 413, 422        tocsin.Permanent: can be the event's own
//	410                  tocsin.Gone
//	408, 409, 421, 423,  retryable after Retry-After: the receiver is not ready, busy,
//	424, 425, 429        or in conflict with itself
//	5xx                  retryable after Retry-After, and unsure: it may be accepted
//	other 4xx, 3xx, 1xx  tocsin.Refused: 401, 403, 404 and 405, and everything that
//	                     repeating does not mend but a change of configuration does
//	                     (402, 406, 415, 451…); the webhook holds its events and probes
func Classify(status int, header http.Header, body string) error {
	if status >= 200 && status <= 299 {
		return nil
	}
	err := &Error{Class: ClassStatus, Message: describe(status, body)}
	after := RetryAfter(header, time.Now())
	switch status {
	case 400, 413, 422:
		return tocsin.Permanent(err)
	case 410:
		return tocsin.Gone(err)
	case 408, 409, 421, 423, 424, 425, 429:
		return tocsin.RetryAfter(err, after)
	}
	switch {
	case status >= 500 && status <= 599:
		return tocsin.Unsure(tocsin.RetryAfter(err, after))
	case status >= 300 && status <= 399:
		err.Message += "; redirects are not followed, configure the final address"
	}
	return &tocsin.SendError{Fault: tocsin.FaultWebhook, After: after, Err: err}
}

// RetryAfter reads the header Retry-After, in seconds or as an HTTP date
// (https://www.rfc-editor.org/rfc/rfc9110#field.retry-after). It returns 0 for none, a
// moment that has passed, more than 7 days, and what cannot be read. A date is
// compared with the receiver's own Date, where it sent one, since clocks differ.
func RetryAfter(header http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(header.Get("Retry-After"))
	if text == "" {
		return 0
	}
	var d time.Duration
	if strings.Trim(text, "0123456789") == "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) {
			return 0
		}
		d = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		if date, err := http.ParseTime(header.Get("Date")); err == nil {
			now = date
		}
		d = at.Sub(now)
	}
	if d < 0 || d > maxRetryAfter {
		return 0
	}
	return d
}

// describe is "answered 503 Service Unavailable: first words of the body".
func describe(status int, body string) string {
	text := fmt.Sprintf("answered %d %s", status, http.StatusText(status))
	if status < 100 || http.StatusText(status) == "" {
		text = fmt.Sprintf("answered %d", status)
	}
	if said := oneLine(body, 200); said != "" {
		text += ": " + said
	}
	return text
}

// oneLine returns at most n runes of text with all white space and control characters
// as single spaces.
func oneLine(text string, n int) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f && r <= 0x9f }), " ")
	if runes := []rune(text); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return text
}
