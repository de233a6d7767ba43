package email

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// ref is what is stored about a delivery that reached only some, under the dedup key of
// its first event. Fields are added, never renamed.
type ref struct {
	Delivery string `json:"delivery"`
	// Done are hashes of the addresses that have the mail, or were refused for good.
	Done []string `json:"done"`
	// Since is when the others were first put off, or when an attempt last reached somebody
	// new; Deferrals is how many attempts since then reached nobody.
	Since     *time.Time `json:"since,omitempty"`
	Deferrals int        `json:"deferrals,omitempty"`
}

// readRef returns what earlier attempts of this delivery left; nothing when there is none.
func readRef(n tocsin.Notification) ref {
	var r ref
	if json.Unmarshal(n.Refs[alert.DedupKey(&n.Events[0])], &r) != nil || r.Delivery != n.DeliveryID {
		return ref{Delivery: n.DeliveryID}
	}
	return r
}

// open are the recipients that are not done.
func (r ref) open(to []string) []string {
	return slices.DeleteFunc(to, func(addr string) bool { return slices.Contains(r.Done, addressHash(addr)) })
}

func addressHash(addr string) string { return digest("address", strings.ToLower(addr)) }

// conclude says what becomes of a delivery whose transaction came to an end. When nobody has
// the mail, the webhook has failed. Otherwise recipients refused for good are left out, and
// recipients put off are tried again, alone, which is no failure of the webhook's.
func (s *sender) conclude(ctx context.Context, n tocsin.Notification, known ref, sent outcome, receipt tocsin.Receipt) (tocsin.Receipt, error) {
	for _, addr := range sent.accepted {
		s.givenUp.forget(n.WebhookID, addr)
	}
	all := len(sent.accepted) + len(sent.refused) + len(sent.deferred)
	if len(sent.accepted) == 0 && len(known.Done) == 0 {
		// Who is put off may be taken later, so one of them decides.
		err := slices.Concat(sent.deferred, sent.refused)[0].err
		if all > 1 {
			err = fmt.Errorf("none of %d recipients is accepted: %w", all, err)
		}
		return receipt, err
	}
	s.leaveOut(ctx, n, sent.refused)
	known.count(n.At, len(sent.accepted) > 0)
	over, again := s.despair(n, known, sent.deferred)
	s.leaveOut(ctx, n, over)
	if len(again) == 0 {
		return receipt, nil
	}
	return s.putOff(n, known, sent.accepted, slices.Concat(sent.refused, over), again, receipt)
}

// despair tells those who were waited for long enough, now or for an earlier mail, from those
// who are tried again. Who had no place in this mail has one in the next.
func (s *sender) despair(n tocsin.Notification, known ref, deferred []refusal) (over, again []refusal) {
	spent := known.spent(n.At)
	for _, r := range deferred {
		if spent {
			s.givenUp.add(n.WebhookID, r.to)
		}
		if spent || !r.crowded && s.givenUp.has(n.WebhookID, r.to) {
			over = append(over, r)
		} else {
			again = append(again, r)
		}
	}
	return over, again
}

// putOff remembers who is done with, and asks for another attempt for those who are not.
func (s *sender) putOff(n tocsin.Notification, known ref, accepted []string, out, again []refusal, receipt tocsin.Receipt) (tocsin.Receipt, error) {
	for _, addr := range accepted {
		known.Done = append(known.Done, addressHash(addr))
	}
	for _, r := range out {
		known.Done = append(known.Done, addressHash(r.to))
	}
	stored, err := json.Marshal(known)
	if err != nil {
		return receipt, tocsin.Unsure(post.Errorf(post.ClassInternal, "noting who has the mail: %v", err))
	}
	receipt.Refs = map[string]json.RawMessage{alert.DedupKey(&n.Events[0]): stored}
	wait := known.wait(n.At)
	if len(accepted) > 0 && slices.ContainsFunc(again, func(r refusal) bool { return r.crowded }) {
		wait = 0 // there is a place for more of them in the next mail
	}
	first := again[0]
	err = fmt.Errorf("%d of %d recipients are to be tried again, first %s: %w", len(again), len(accepted)+len(out)+len(again), first.to, first.err)
	return receipt, tocsin.Taken(err, wait)
}

// count notes an attempt that left somebody out.
func (r *ref) count(now time.Time, reached bool) {
	if reached || r.Since == nil {
		r.Since, r.Deferrals = &now, 0
	}
	if !reached {
		r.Deferrals++
	}
}

// spent reports whether those who are put off were waited for long enough: long by the
// clock, and by attempts, since the server may have been away meanwhile.
func (r *ref) spent(now time.Time) bool {
	return r.Deferrals >= len(waits) && now.Sub(*r.Since) >= patience
}

// wait is how long to wait for them now. The last wait ends with our patience.
func (r *ref) wait(now time.Time) time.Duration {
	next := waits[min(r.Deferrals, len(waits)-1)]
	if left := patience - now.Sub(*r.Since); left > 0 {
		return min(next, left)
	}
	return next
}

// leaveOut tells the log who gets no mail while others have it; their replies are in the
// exchange.
func (s *sender) leaveOut(ctx context.Context, n tocsin.Notification, who []refusal) {
	for _, r := range who {
		s.log.WarnContext(ctx, "a recipient gets no mail; the others have it",
			"delivery", n.DeliveryID, "webhook", n.WebhookID, "recipient", r.to, "error", r.err.Error())
	}
}
