package email

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// maxDeferrals is the attempt at which recipients who are put off again are left out, when
// others have the mail: by then half a minute has passed, and one full mailbox must neither
// make the webhook failing nor hold everybody's next alert up.
const maxDeferrals = 5

// ref is what is stored about a delivery that reached only some, under the dedup key of
// its first event. Fields are added, never renamed.
type ref struct {
	Delivery string `json:"delivery"`
	// Done are hashes of the addresses that have the mail, or were refused for good.
	Done []string `json:"done"`
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
// recipients put off are tried again, alone.
func (s *sender) conclude(ctx context.Context, n tocsin.Notification, known ref, sent outcome, receipt tocsin.Receipt) (tocsin.Receipt, error) {
	all := len(sent.accepted) + len(sent.refused) + len(sent.deferred)
	if len(sent.accepted) == 0 && len(known.Done) == 0 {
		// Who is put off may be taken later, so one of them decides.
		err := slices.Concat(sent.deferred, sent.refused)[0].err
		if all > 1 {
			err = fmt.Errorf("none of %d recipients is accepted: %w", all, err)
		}
		return receipt, err
	}
	again := len(sent.deferred) > 0 && n.Attempt < maxDeferrals
	s.leaveOut(ctx, n, sent.refused)
	if !again {
		s.leaveOut(ctx, n, sent.deferred)
		return receipt, nil
	}
	for _, addr := range sent.accepted {
		known.Done = append(known.Done, addressHash(addr))
	}
	for _, r := range sent.refused {
		known.Done = append(known.Done, addressHash(r.to))
	}
	stored, err := json.Marshal(known)
	if err != nil {
		return receipt, tocsin.Unsure(post.Errorf(post.ClassInternal, "noting who has the mail: %v", err))
	}
	receipt.Refs = map[string]json.RawMessage{alert.DedupKey(&n.Events[0]): stored}
	first := sent.deferred[0]
	return receipt, fmt.Errorf("%d of %d recipients are to be tried again, first %s: %w", len(sent.deferred), all, first.to, first.err)
}

// leaveOut tells the log who gets no mail while others have it; their replies are in the
// exchange.
func (s *sender) leaveOut(ctx context.Context, n tocsin.Notification, who []refusal) {
	for _, r := range who {
		s.log.WarnContext(ctx, "a recipient gets no mail; the others have it",
			"delivery", n.DeliveryID, "webhook", n.WebhookID, "recipient", r.to, "error", r.err.Error())
	}
}
