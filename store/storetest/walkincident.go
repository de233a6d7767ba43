package storetest

import (
	"slices"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// escalated submits events of few incidents that bring steps to the other webhooks, end
// them, or tell what people did. What each brings is counted from its traces, all of which
// are new.
func (w *walk) escalated(hook tocsin.Webhook) {
	var batch []tocsin.NewEvent
	from := w.next
	for range 1 + w.r.IntN(5) {
		batch = append(batch, w.incidentEvent(hook))
		w.next++
	}
	w.append(batch...)
	for n := from; n < w.next; n++ {
		for _, h := range w.hooks {
			w.accepted[h.ID] += int64(len(w.verdicts(h, n, 1)))
		}
	}
}

func (w *walk) incidentEvent(hook tocsin.Webhook) tocsin.NewEvent {
	key := Event(w.r.IntN(3)).DedupKey
	reach := []tocsin.Obligation{w.obligation(w.hooks[0]), w.obligation(w.hooks[1])} // but not the third
	switch w.r.IntN(6) {
	case 0, 1:
		e := resolving(w.next, key)
		e.Reach = reach
		if w.r.IntN(2) == 0 {
			e.Owed = []tocsin.Obligation{w.obligation(hook)}
		}
		return e
	case 2:
		all, _, err := w.s.ListIncidents(w.ctx, tocsin.IncidentQuery{Page: tocsin.Page{Limit: 5}})
		w.ok(err)
		if len(all) == 0 {
			break
		}
		to := []tocsin.IncidentState{tocsin.IncidentAcknowledged, tocsin.IncidentResolved}[w.r.IntN(2)]
		e := changing(w.next, all[w.r.IntN(len(all))], to)
		e.Reach = reach
		return e
	}
	e := firing(w.next, key, hook.ID)
	e.Owed[0] = w.obligation(hook)
	for range w.r.IntN(4) {
		s := tocsin.Escalated{Obligation: w.obligation(w.hooks[w.r.IntN(len(w.hooks))]), After: []time.Duration{0, 0, soon, time.Hour}[w.r.IntN(4)]}
		if w.r.IntN(3) == 0 {
			s.Unless = tocsin.UnlessAcknowledged
		}
		e.Owed[0].Escalate = append(e.Owed[0].Escalate, s)
	}
	return e
}

// obligation is one of any kind.
func (w *walk) obligation(to tocsin.Webhook) tocsin.Obligation {
	o := tocsin.Obligation{WebhookID: to.ID, RepeatAfter: []time.Duration{0, 0, time.Microsecond, time.Hour}[w.r.IntN(4)]}
	if w.r.IntN(5) == 0 {
		o.Suppressed = tocsin.MutedBy("mute_1")
	}
	return o
}

// attended makes the steps of an incident that are due, or skips them, some of them twice.
func (w *walk) attended(tocsin.Webhook) {
	i, _, err := w.s.Attend(w.ctx, tocsin.IncidentKey(Event(w.r.IntN(3)).DedupKey))
	if err != nil {
		w.is(err, tocsin.ErrNotFound)
		return
	}
	for _, s := range i.Steps {
		var owed tocsin.Obligation
		if w.r.IntN(3) > 0 {
			owed = tocsin.Obligation{WebhookID: s.To}
			if w.r.IntN(4) == 0 {
				owed.Suppressed = tocsin.MutedBy("mute_1")
			}
		}
		for range 1 + w.r.IntN(2) {
			got, err := w.s.Escalate(w.ctx, i.ID, s.ID, i.Seq, owed, "enough")
			w.ok(err)
			after := got.Steps[slices.IndexFunc(got.Steps, func(other tocsin.IncidentStep) bool { return other.ID == s.ID })]
			if s.State == tocsin.StepWaiting && after.Seq != 0 {
				w.accepted[s.To]++
			}
			s = after
		}
	}
}
