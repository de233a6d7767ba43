package ingest

import (
	"slices"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// muter holds the mutes of one revision of the configuration. Those of one incident are
// found by its dedup key, the others by the type of an event: hundreds of mutes of single
// incidents cost other events nothing.
type muter struct {
	mutes   []mute
	byKey   map[string][]int
	buckets *buckets // of those without a dedup key
}

// mute is one of them, compiled.
type mute struct {
	id        string
	from      time.Time // zero: it has begun
	until     time.Time
	webhooks  map[string]bool // nil: all
	filter    int             // place in the matcher's filters, -1 for none
	selection selection
}

// mutes compiles the mutes. One that is over by now, or has not begun, is compiled too:
// whether it is in force is asked of each event.
func (c *compiler) mutes(mutes []tocsin.Mute) {
	if len(mutes) == 0 {
		return
	}
	selections := make([]selection, len(mutes))
	for i, m := range mutes {
		selections[i] = selection{m.Events, m.Collections}
	}
	c.muter = &muter{byKey: map[string][]int{}, buckets: newBuckets(c.catalog, selections)}
	for i := range mutes {
		m := &mutes[i]
		filter, err := c.filter(m.Filter)
		if err != nil {
			c.log.Error("a mute's filter does not compile; it mutes nothing", "mute", m.ID, "error", err)
			continue
		}
		place := len(c.muter.mutes)
		c.muter.mutes = append(c.muter.mutes, compileMute(m, filter, selections[i]))
		if m.DedupKey != "" {
			c.muter.byKey[m.DedupKey] = append(c.muter.byKey[m.DedupKey], place)
		} else {
			c.muter.buckets.add(place, selections[i])
		}
	}
}

func compileMute(m *tocsin.Mute, filter int, s selection) mute {
	compiled := mute{id: m.ID, from: begin(m), until: m.Until, filter: filter, selection: s}
	if len(m.WebhookIDs) > 0 {
		compiled.webhooks = map[string]bool{}
		for _, id := range m.WebhookIDs {
			compiled.webhooks[id] = true
		}
	}
	return compiled
}

// begin is when a mute begins, by this process's clock. One that began when it was
// created is in force once it is known: that moment is by the store's clock, which may
// be ahead of ours, and its author was answered already.
func begin(m *tocsin.Mute) time.Time {
	if !m.From.After(m.CreatedAt) {
		return time.Time{}
	}
	return m.From
}

func (m *mute) inForce(at time.Time) bool { return !at.Before(m.from) && at.Before(m.until) }

// muted returns the reason that a webhook is not owed the event, "" when no mute covers
// it. Of several the one with the lowest id is named.
func (r *run) muted(webhookID string) string {
	if !r.haveMutes {
		r.haveMutes = true
		r.findMutes()
	}
	for _, m := range r.mutes {
		if m.webhooks == nil || m.webhooks[webhookID] {
			return tocsin.MutedBy(m.id)
		}
	}
	return ""
}

// findMutes collects the mutes that match the event, for whatever webhooks.
func (r *run) findMutes() {
	muter := r.m.muter
	open, narrow := muter.buckets.find(&r.subject)
	places := slices.Concat(open, narrow)
	for _, place := range muter.byKey[r.subject.event.DedupKey] {
		if muter.mutes[place].selection.takes(&r.subject) {
			places = append(places, place)
		}
	}
	slices.Sort(places) // as the store returned them: by id
	for _, place := range places {
		m := &muter.mutes[place]
		if m.inForce(r.at) && (m.filter < 0 || r.passes(m.filter)) {
			r.mutes = append(r.mutes, m)
		}
	}
}
