package ingest

import (
	"context"
	"slices"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// Try asks one webhook, which need not be stored, about stored events, and returns a verdict
// for each. It is asked as if it had been there when they came; the mutes and the other
// webhooks, which may escalate to it, are those of this moment. A stored one is asked with
// the settings given here.
func (in *Ingest) Try(ctx context.Context, w tocsin.Webhook, events []tocsin.Event) ([]Verdict, error) {
	conf, err := in.configuration(ctx)
	if err != nil {
		return nil, err
	}
	w.CreatedAt = time.Time{}
	webhooks := append([]tocsin.Webhook{w}, leadingTo(w, conf.Webhooks)...)
	verdicts := make([]Verdict, len(events))
	for i, e := range events {
		in.complete(&e, e.ReceivedAt)
		j := judge{filters: &in.lookups, subject: newSubject(&e, in.catalog.Category(e.Type)), now: in.now(), mutes: conf.Mutes}
		j.findFallback(webhooks)
		all := make([]Verdict, len(webhooks))
		for k := range webhooks {
			all[k] = j.verdict(&webhooks[k])
		}
		j.escalations(webhooks, all)
		verdicts[i] = all[0]
	}
	return verdicts, nil
}

// leadingTo returns those that hand events on to a webhook: asking the thousands that may be
// there about each event is no work for a question that is asked at each keystroke.
func leadingTo(w tocsin.Webhook, all []tocsin.Webhook) []tocsin.Webhook {
	var some []tocsin.Webhook
	for _, o := range all {
		if o.ID == w.ID || o.Name == w.Name {
			continue
		}
		if o.Fallback == w.Name || slices.ContainsFunc(o.Escalate, func(e tocsin.Escalation) bool { return e.To == w.Name }) {
			some = append(some, o)
		}
	}
	return some
}
