package activities

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

const (
	// failingAfter is how many failed attempts in a row make a webhook failing.
	failingAfter = 5
	// rejectionsAfter is how many single events refused in a row make the next refusal the
	// webhook's fault: it is held, and no more events die of a broken receiver.
	rejectionsAfter = 10
)

// verdict is what an attempt's end means.
type verdict struct {
	outcome tocsin.Outcome
	// stop ends the Deliver: the webhook must wait, or sends no more.
	stop bool
	// why is the failure in short, for Temporal's histories: see brief.
	why string
}

// plain reports whether a delivery was accepted as a whole, and nothing more is to be said.
func (v verdict) plain() bool {
	return v.outcome.State == tocsin.DeliveryDelivered && v.outcome.WebhookState == "" && len(v.outcome.Dead) == 0 && !v.stop
}

// standing is what is known of the webhook when an attempt ends.
type standing struct {
	webhook      tocsin.Webhook
	failures     int // in a row, before this attempt
	rejections   int // of single events, in a row, before this attempt
	lastDelivery *time.Time
	failingSince *time.Time // when the first of these failures was; nothing without any
}

// judge decides whose fault a failed attempt is and what follows (DESIGN: "Whose fault
// is it?"). It has no effects.
func judge(s standing, c tocsin.Claimed, a tocsin.Attempt, r tocsin.Receipt, sendErr error, backoff func(int, time.Duration) time.Duration) verdict {
	o := tocsin.Outcome{DeliveryID: c.Delivery.ID, Refs: r.Refs}
	if sendErr == nil {
		return judgeResults(s, c, a, r, o, backoff)
	}
	fail := tocsin.Classify(sendErr)
	if (fail.Fault == tocsin.FaultEvent || fail.Fault == tocsin.FaultRetry) && len(r.Results) == len(c.Events) {
		// It is known which events were taken, and what is the matter with the others.
		return judgeResults(s, c, a, r, o, backoff)
	}
	if c.Uncertain && isConflict(sendErr) {
		// The receiver knows this delivery id: an earlier attempt arrived after all.
		return delivered(s, a, o)
	}
	if fail.Fault == tocsin.FaultEvent {
		return refused(s, c, a, o, sendErr, backoff)
	}
	return hold(s, c, a, o, fail, backoff)
}

// refused is what a refusal of all events means: it is theirs, until so many were refused
// one after the other that it is the webhook's.
func refused(s standing, c tocsin.Claimed, a tocsin.Attempt, o tocsin.Outcome, err error, backoff func(int, time.Duration) time.Duration) verdict {
	if len(c.Events) > 1 || s.rejections+1 < rejectionsAfter {
		return rejected(c, a, o, err)
	}
	return hold(s, c, a, o, tocsin.Classify(err), backoff)
}

// delivered is the good end.
func delivered(s standing, a tocsin.Attempt, o tocsin.Outcome) verdict {
	a.Outcome, a.Error, a.ErrorClass = "delivered", "", ""
	o.Attempt, o.State = a, tocsin.DeliveryDelivered
	if s.webhook.State == tocsin.StateFailing {
		o.WebhookState = tocsin.StateActive
	}
	return verdict{outcome: o}
}

// rejected halves a batch that was refused for its content; a single event is dead.
func rejected(c tocsin.Claimed, a tocsin.Attempt, o tocsin.Outcome, err error) verdict {
	a.Outcome = "permanent"
	o.Attempt = a
	if n := len(c.Events); n > 1 {
		o.State, o.Reason = tocsin.DeliverySplit, "rejected: "+err.Error()
		o.Children = []tocsin.Child{newChild(0, n/2), newChild(n/2, n)}
		return verdict{outcome: o}
	}
	o.State, o.Reason, o.Rejected = tocsin.DeliveryDead, err.Error(), true
	return verdict{outcome: o}
}

func newChild(from, to int) tocsin.Child {
	c := tocsin.Child{ID: tocsin.NewID(tocsin.PrefixDelivery)}
	for i := from; i < to; i++ {
		c.Places = append(c.Places, i)
	}
	return c
}

// judgeResults goes by the vendor's results for each event: what was accepted is never
// sent again, what is to be tried again becomes a delivery of its own.
func judgeResults(s standing, c tocsin.Claimed, a tocsin.Attempt, r tocsin.Receipt, o tocsin.Outcome, backoff func(int, time.Duration) time.Duration) verdict {
	var again []int
	var errs []error
	dead := map[int]string{}
	for i, res := range r.Results {
		switch {
		case res.Err == nil:
		case tocsin.Classify(res.Err).Fault == tocsin.FaultEvent:
			dead[i] = res.Err.Error()
		default:
			again, errs = append(again, i), append(errs, res.Err)
		}
	}
	switch {
	case len(again) == len(c.Events):
		fail := gravest(errs)
		a.Error, a.ErrorClass = fail.Error(), classOf(fail)
		return hold(s, c, a, o, fail, backoff)
	case len(dead) == len(c.Events):
		// Also of several: a receiver that refuses everything is found out one by one, before
		// whole batches die of it.
		err := r.Results[0].Err
		a.Error, a.ErrorClass = err.Error(), classOf(err)
		return refused(s, c, a, o, err, backoff)
	case len(again) > 0:
		return inPart(s, c, a, o, dead, again, gravest(errs), backoff)
	}
	v := delivered(s, a, o)
	v.outcome.Dead = dead
	return v
}

// gravity orders faults: what ends the webhook goes before what holds it, and that before
// what passes.
var gravity = map[tocsin.Fault]int{tocsin.FaultGone: 2, tocsin.FaultWebhook: 1}

// gravest is what several errors come to: the gravest of them, with the longest wait that any
// asked for, in doubt when any is.
func gravest(errs []error) *tocsin.SendError {
	all := *tocsin.Classify(errs[0])
	for _, err := range errs[1:] {
		e := *tocsin.Classify(err)
		e.After, e.Unsure, e.Taken = max(e.After, all.After), e.Unsure || all.Unsure, e.Taken && all.Taken
		if gravity[e.Fault] > gravity[all.Fault] {
			all = e
		}
		all.After, all.Unsure, all.Taken = e.After, e.Unsure, e.Taken
	}
	return &all
}

// inPart splits off what is to be tried again, not before its vendor and our backoff
// allow it.
func inPart(s standing, c tocsin.Claimed, a tocsin.Attempt, o tocsin.Outcome, dead map[int]string, again []int, fail *tocsin.SendError, backoff func(int, time.Duration) time.Duration) verdict {
	failures := s.failures + 1
	if took := len(c.Events) - len(dead) - len(again); took > 0 {
		o, failures = delivered(s, a, o).outcome, 1
	} else {
		o.Failed = !fail.Taken
	}
	a.Outcome, a.Error, a.RetryAfter = "partial", fail.Error(), tocsin.Duration(fail.After)
	o.Attempt, o.State, o.Reason, o.Dead, o.Unsure = a, tocsin.DeliverySplit, "accepted in part: "+fail.Error(), dead, fail.Unsure
	o.Children = []tocsin.Child{{ID: tocsin.NewID(tocsin.PrefixDelivery), Places: again}}
	o.Backoff = backoff(failures, fail.After)
	if o.Failed {
		lasting(s, c, &o, fail)
	}
	return verdict{outcome: o, stop: true}
}

// hold keeps the delivery for a later attempt. It is dead only when it was tried for
// retry_for and another delivery of the webhook succeeded meanwhile, so that the
// failure is its own.
func hold(s standing, c tocsin.Claimed, a tocsin.Attempt, o tocsin.Outcome, fail *tocsin.SendError, backoff func(int, time.Duration) time.Duration) verdict {
	a.RetryAfter = tocsin.Duration(fail.After)
	o.State, o.Failed, o.Unsure = tocsin.DeliveryReady, true, fail.Unsure
	switch {
	case fail.Taken:
		// The vendor has it: asking again is no failure, and no reason to try another.
		a.Outcome = "retryable"
		o.Attempt, o.Failed, o.Backoff = a, false, max(fail.After, time.Second)
		return verdict{outcome: o, stop: true}
	case fail.Fault == tocsin.FaultWebhook && own(s, c) && len(c.Events) > 1 && !fail.Unsure && !c.Uncertain:
		// Others go through meanwhile, so it is something in this one (a firewall before the
		// receiver dislikes a payload): find out what, and let the rest pass.
		return rejected(c, a, o, fail)
	}
	switch fail.Fault {
	case tocsin.FaultGone:
		a.Outcome = "gone"
		o.WebhookState, o.WebhookReason = tocsin.StateDisabled, "the receiver answered that it is gone for good: "+fail.Error()
		o.Attempt = a
		return verdict{outcome: o, stop: true}
	case tocsin.FaultWebhook, tocsin.FaultEvent:
		a.Outcome = "refused"
		o.WebhookState, o.WebhookReason = tocsin.StateFailing, "the receiver refuses this webhook: "+fail.Error()
		if fail.Fault == tocsin.FaultEvent {
			o.Rejected = true
			o.WebhookReason = fmt.Sprintf("%d events rejected in a row: %s", s.rejections+1, fail.Error())
		}
		// Only where others go through to this day: what nothing gets past for long, such as a
		// key that was withdrawn, is no delivery's own.
		if gaveUp(s, c) && !stuck(s, c) {
			o.State, o.Reason = tocsin.DeliveryDead, fmt.Sprintf("not accepted within retry_for (%s): %s", s.webhook.RetryFor, fail.Error())
		}
	default:
		a.Outcome = "retryable"
		if s.failures+1 >= failingAfter {
			o.WebhookState, o.WebhookReason = tocsin.StateFailing, fmt.Sprintf("%d failures in a row: %s", s.failures+1, fail.Error())
		}
		if gaveUp(s, c) {
			o.State, o.Reason = tocsin.DeliveryDead, fmt.Sprintf("not accepted within retry_for (%s): %s", s.webhook.RetryFor, fail.Error())
		}
	}
	o.Attempt = a
	lasting(s, c, &o, fail)
	// A delivery that is given up holds the others back all the same: its receiver is down,
	// or asked for patience.
	if o.WebhookState != tocsin.StateDisabled {
		o.Backoff = backoff(s.failures+1, fail.After)
	}
	return verdict{outcome: o, stop: true}
}

// lasting adds what follows when there was nothing but failures for long: after half of
// disable_after the webhook is failing, however few attempts a long Retry-After left
// room for, and after all of it disabled. Only a webhook that has been probed is disabled:
// one failure, five days without a worker and one more failure say little of the receiver.
// What it owes is held then, and not dead: by now the trouble is the webhook's.
func lasting(s standing, c tocsin.Claimed, o *tocsin.Outcome, fail *tocsin.SendError) {
	limit := s.webhook.DisableFor.Std()
	if limit <= 0 || s.failingSince == nil || s.failures == 0 {
		return
	}
	lasted := c.At.Sub(*s.failingSince)
	if lasted < limit/2 {
		return
	}
	reason := fmt.Sprintf("nothing but failures for %s: %s", inDays(lasted), fail.Error())
	if probed := s.webhook.State == tocsin.StateFailing && s.failures+1 >= failingAfter; lasted < limit || !probed {
		if o.WebhookState == "" {
			o.WebhookState, o.WebhookReason = tocsin.StateFailing, reason
		}
		return
	}
	o.WebhookState, o.WebhookReason = tocsin.StateDisabled, reason
	if o.State == tocsin.DeliveryDead {
		o.State, o.Reason = tocsin.DeliveryReady, ""
	}
}

// inDays writes a duration as people say it: "5d", "2d12h", "36m".
func inDays(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return tocsin.Duration(d.Round(time.Second)).String()
	case d < day:
		return tocsin.Duration(d.Round(time.Minute)).String()
	}
	d = d.Round(time.Hour)
	text := fmt.Sprintf("%dd", d/day)
	if rest := d % day; rest > 0 {
		text += tocsin.Duration(rest).String()
	}
	return text
}

// gaveUp reports whether a delivery has been tried for retry_for, measured by its own
// attempts, while the webhook delivered something else.
func gaveUp(s standing, c tocsin.Claimed) bool {
	return own(s, c) && s.webhook.RetryFor > 0 && c.At.Sub(*c.Delivery.FirstAttempt) >= s.webhook.RetryFor.Std()
}

// stuck reports whether nothing at all was accepted for half of retry_for.
func stuck(s standing, c tocsin.Claimed) bool {
	return s.failingSince != nil && c.At.Sub(*s.failingSince) >= s.webhook.RetryFor.Std()/2
}

// own reports whether the failure seems to be the delivery's own: another of the webhook was
// accepted since it was first tried.
func own(s standing, c tocsin.Claimed) bool {
	first := c.Delivery.FirstAttempt
	return first != nil && s.lastDelivery != nil && s.lastDelivery.After(*first)
}

// brief says how an attempt ended in words that may stand in a history: the status, or
// the class of the error. What the receiver answered may repeat the events, and stays in
// the attempt log.
func brief(a tocsin.Attempt, err error) string {
	if n := len(a.Exchanges); n > 0 && a.Exchanges[n-1].Status >= 300 {
		status := a.Exchanges[n-1].Status
		if !strings.HasPrefix(a.Exchanges[n-1].URL, "http") {
			return fmt.Sprintf("%s %d", a.Exchanges[n-1].Method, status)
		}
		return strings.TrimSpace(fmt.Sprintf("%d %s", status, http.StatusText(status)))
	}
	if err == nil {
		return "events refused by the vendor"
	}
	return classOf(err)
}

// isConflict reports whether the receiver answered 409.
func isConflict(err error) bool {
	var s interface{ HTTPStatus() int }
	return errors.As(err, &s) && s.HTTPStatus() == 409
}

// classOf is the error's class for the attempt log, "internal" when it has none.
func classOf(err error) string {
	if err == nil {
		return ""
	}
	var c interface{ ErrorClass() string }
	if errors.As(err, &c) {
		return c.ErrorClass()
	}
	return "internal"
}
