package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// An event is a finding.critical of the catalog, so that its data is checked against the
// schema of that type, with every field that a producer would usually give. It has exactly
// eventBytes bytes. Its subject is one of a thousand, hence as many dedup keys.
const (
	eventBytes = 1024
	subjects   = 1000
	eventType  = "finding.critical"
	source     = "/collections/payments"
)

// An id is idMark, then the event's number and when it was due, both of fixed width, so
// that the receiver knows all of it from a glance at the body.
const (
	idMark    = "bn-"
	seqDigits = 10
	dueDigits = 16 // microseconds since 1970
	idBytes   = len(idMark) + seqDigits + 1 + dueDigits
)

// collection is what events are labelled with unless a part says otherwise; others have
// as many bytes.
const collection = "payments"

// template is an event with zeros where numbers go.
var template, seqAt, subjectAt, collectionAt = newTemplate()

func newTemplate() (text []byte, seqAt, subjectAt, collectionAt int) {
	const subject = "agent/refund-bot-"
	head := fmt.Sprintf(`{"id":"%s%s-%s","source":"%s","type":"%s","subject":"%s0000","severity":"critical","status":"firing",`,
		idMark, strings.Repeat("0", seqDigits), strings.Repeat("0", dueDigits), source, eventType, subject)
	head += `"title":"Refunds without approval in production","summary":"refund-bot called ledger.transfer 14 times without the approval step.",` +
		`"link":"https://console.example.com/findings/refund-bot","labels":{"collection":"` + collection + `","environment":"production"},` +
		`"data":{"finding":"approval step skipped","environment":"production","evidence":"`
	tail := `","affected":["agent/refund-bot","mcp/ledger"]}}`
	evidence := strings.Repeat("ledger.transfer(amount=950, approval=null) at step 7 of run 41; ", eventBytes/64)
	text = []byte(head + evidence[:eventBytes-len(head)-len(tail)] + tail)
	return text, after(text, `"id":"`+idMark), after(text, subject), after(text, `"collection":"`)
}

// after is where what follows a mark begins.
func after(text []byte, mark string) int { return bytes.Index(text, []byte(mark)) + len(mark) }

// appendEvent appends the event of a collection with a number that was due at a moment, in
// microseconds since 1970.
func appendEvent(b []byte, collection string, seq uint64, due int64) []byte {
	at := len(b)
	b = append(b, template...)
	putDigits(b[at+seqAt:], seq, seqDigits)
	putDigits(b[at+seqAt+seqDigits+1:], uint64(due), dueDigits) // #nosec G115 -- after 1970
	putDigits(b[at+subjectAt:], seq%subjects, 4)
	copy(b[at+collectionAt:], collection)
	return b
}

// appendRequest appends a body of n events, the first numbered seq.
func appendRequest(b []byte, collection string, seq uint64, n int, due int64) []byte {
	if n == 1 {
		return appendEvent(b, collection, seq, due)
	}
	b = append(b, '[')
	for i := range uint64(n) { // #nosec G115 -- a positive number
		if i > 0 {
			b = append(b, ',')
		}
		b = appendEvent(b, collection, seq+i, due)
	}
	return append(b, ']')
}

func putDigits(b []byte, n uint64, digits int) {
	for i := digits - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}

// eventID is the id of an event.
func eventID(seq uint64, due int64) string {
	return fmt.Sprintf("%s%0*d-%0*d", idMark, seqDigits, seq, dueDigits, due)
}

var idKey = []byte(`"id":"` + idMark)

// scanIDs calls do for every event of a delivery's body, in order. Bodies are ours: an id
// that is not of this form is an error.
func scanIDs(body []byte, do func(seq uint64, due int64)) error {
	for {
		i := bytes.Index(body, idKey)
		if i < 0 {
			return nil
		}
		body = body[i+len(idKey):]
		if len(body) < idBytes-len(idMark) {
			return fmt.Errorf("a body ends within an id")
		}
		seq, err := strconv.ParseUint(string(body[:seqDigits]), 10, 64)
		if err != nil {
			return fmt.Errorf("reading an id: %w", err)
		}
		due, err := strconv.ParseInt(string(body[seqDigits+1:seqDigits+1+dueDigits]), 10, 64)
		if err != nil {
			return fmt.Errorf("reading an id: %w", err)
		}
		do(seq, due)
		body = body[idBytes-len(idMark):]
	}
}
