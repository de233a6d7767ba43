package batch

import (
	"context"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// Span are the records from From up to, and not including, To.
type Span struct{ From, To int }

// Len is how many records it has.
func (s Span) Len() int { return s.To - s.From }

// Pack puts records of these sizes, in their order, into as few requests as their limits
// allow: at most bytes in all and count records each (0: any number). frame is what a
// request has besides its records, between what stands between two. A record that does
// not fit has a request of its own.
func Pack(sizes []int, bytes, count, frame, between int) []Span {
	var out []Span
	total := 0
	for i, size := range sizes {
		last := len(out) - 1
		if last >= 0 && total+between+size <= bytes && (count == 0 || out[last].Len() < count) {
			out[last].To, total = i+1, total+between+size
			continue
		}
		out, total = append(out, Span{i, i + 1}), frame+size
	}
	return out
}

// Sizes are the lengths of records.
func Sizes(records [][]byte) []int {
	out := make([]int, len(records))
	for i, r := range records {
		out[i] = len(r)
	}
	return out
}

// enough is how much time a further request wants; with less, the rest is left to the
// next attempt, and not to a request that is cut off with an unknown outcome.
const enough = 5 * time.Second

// errLater is the result of events whose request was not made.
var errLater = tocsin.RetryAfter(post.Errorf(post.ClassInternal, "not sent yet: too little time was left in this attempt"), 0)

// Send makes one request per span, in order. do returns nil when the whole span was
// accepted, an error when it was not, or results of its own, one per record, where the
// vendor tells them apart.
//
// It stops at the first request that is to be made again, or that is the webhook's fault,
// whose error then is the result of all records not accepted. A request refused for its
// content is the record's fault where it has only one, and the next one is made; where it
// has several, nobody knows which, so the rest is handed back to be halved.
//
// The return values are a Receipt's Results and Send's error: results and no error where
// records fared differently, an error alone where it is about all.
func Send(ctx context.Context, n int, spans []Span, do func(context.Context, Span) ([]tocsin.Result, error)) ([]tocsin.Result, error) {
	results := make([]tocsin.Result, n)
	for i, span := range spans {
		if i > 0 && !timeLeft(ctx) {
			return Settle(after(results, span.From, errLater))
		}
		own, err := do(ctx, span)
		copy(results[span.From:span.To], own)
		switch {
		case err == nil && !unsettled(own):
		case err == nil: // some are to be sent again: so is what follows
			return Settle(after(results, span.To, errOrder))
		case tocsin.Classify(err).Fault != tocsin.FaultEvent:
			return Settle(after(results, span.From, err))
		case span.Len() == 1:
			results[span.From].Err = err
		case i == 0:
			return nil, err // the pipeline halves the delivery
		default:
			// A result that is the event's fault would kill it, and only one of them is to
			// blame. Handed back, they are the first request of the next attempt.
			return Settle(after(results, span.From, tocsin.RetryAfter(err, tocsin.Classify(err).After)))
		}
	}
	return Settle(results)
}

// errOrder is the result of records behind some that are to be sent again.
var errOrder = tocsin.RetryAfter(post.Errorf(post.ClassInternal, "not sent yet: events before it are to be sent again"), 0)

func timeLeft(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() == nil && (!ok || time.Until(deadline) >= enough)
}

// after gives err to all records from a place on.
func after(results []tocsin.Result, from int, err error) []tocsin.Result {
	for i := from; i < len(results); i++ {
		results[i].Err = err
	}
	return results
}

// unsettled reports whether some result is neither accepted nor the event's own fault.
func unsettled(results []tocsin.Result) bool {
	for _, r := range results {
		if r.Err != nil && tocsin.Classify(r.Err).Fault != tocsin.FaultEvent {
			return true
		}
	}
	return false
}

// Settle makes Results and an error of the results of a whole delivery.
func Settle(results []tocsin.Result) ([]tocsin.Result, error) {
	var accepted, dead int
	for _, r := range results {
		switch {
		case r.Err == nil:
			accepted++
		case tocsin.Classify(r.Err).Fault == tocsin.FaultEvent:
			dead++
		}
	}
	switch len(results) {
	case accepted:
		return nil, nil
	case 1:
		return nil, results[0].Err
	case dead:
		// With the error, the attempt says why; with the results, no event is sent again.
		return results, results[0].Err
	}
	if accepted+dead == 0 {
		return nil, worst(results)
	}
	return results, nil
}

// worst is one error for all of a delivery, none of which was accepted: the gravest, with
// the longest wait any of them asks for.
func worst(results []tocsin.Result) error {
	grave := map[tocsin.Fault]int{tocsin.FaultRetry: 0, tocsin.FaultWebhook: 1, tocsin.FaultGone: 2}
	out := *tocsin.Classify(results[0].Err)
	out.Err = results[0].Err
	for _, r := range results[1:] {
		s := tocsin.Classify(r.Err)
		if grave[s.Fault] > grave[out.Fault] {
			out.Fault, out.Err = s.Fault, r.Err
		}
		out.Unsure, out.After, out.Taken = out.Unsure || s.Unsure, max(out.After, s.After), out.Taken && s.Taken
	}
	return &out
}
