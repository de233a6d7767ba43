package storetest

import (
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tocsin-alerts/tocsin"
)

// escalating returns the n-th event of an incident, owed to a webhook with what that brings.
func escalating(n int, key string, status tocsin.Status, webhookID string, steps ...tocsin.Escalated) tocsin.NewEvent {
	e := Event(n)
	e.DedupKey, e.Status = key, status
	owed := Owe(e, webhookID)
	owed.Owed[0].Escalate = steps
	return owed
}

// firing is escalating for one that fires.
func firing(n int, key, webhookID string, steps ...tocsin.Escalated) tocsin.NewEvent {
	return escalating(n, key, tocsin.Firing, webhookID, steps...)
}

// resolving is the n-th event of an incident, resolved, and what these are owed if it has
// reached them.
func resolving(n int, key string, reach ...string) tocsin.NewEvent {
	e := escalating(n, key, tocsin.Resolved, "")
	e.Owed = nil
	for _, id := range reach {
		e.Reach = append(e.Reach, tocsin.Obligation{WebhookID: id, BatchKey: "reach"})
	}
	return e
}

// changing is the n-th event, which tells what a person did about an incident.
func changing(n int, i tocsin.Incident, to tocsin.IncidentState, reach ...string) tocsin.NewEvent {
	e := resolving(n, i.DedupKey, reach...)
	e.Event.Type = tocsin.TypeIncidentResolved
	if to == tocsin.IncidentAcknowledged {
		e.Event.Type, e.Event.Status = tocsin.TypeIncidentAcknowledged, tocsin.Firing
	}
	e.Change = &tocsin.IncidentChange{ID: i.ID, To: to, By: "ada"}
	return e
}

// after is a step to a webhook.
func after(d time.Duration, to string) tocsin.Escalated {
	return tocsin.Escalated{Obligation: tocsin.Obligation{WebhookID: to, BatchKey: "step"}, After: d}
}

// unless is a step that acknowledging skips.
func unless(d time.Duration, to string) tocsin.Escalated {
	s := after(d, to)
	s.Unless = tocsin.UnlessAcknowledged
	return s
}

// append appends a batch and returns all that became of it.
func (k *kit) append(batch ...tocsin.NewEvent) tocsin.AppendResult {
	k.t.Helper()
	result, err := k.s.Append(k.ctx, k.configuration().Revision, batch)
	k.ok(err)
	k.same("answers", len(result.Events), len(batch))
	return result
}

// appended appends one event and checks whom to ring and which incidents changed.
func (k *kit) appended(n tocsin.NewEvent, owed []string, incidents ...string) {
	k.t.Helper()
	got := k.append(n)
	var keys []string
	for _, key := range incidents {
		keys = append(keys, tocsin.IncidentKey(key))
	}
	if diff := cmp.Diff(owed, got.Owed, cmpopts.EquateEmpty(), cmpopts.SortSlices(func(a, b string) bool { return a < b })); diff != "" {
		k.t.Fatalf("owed (-want +got):\n%s", diff)
	}
	k.same("incidents", got.Incidents, keys)
}

// incidents returns all of a dedup key, oldest first.
func (k *kit) incidents(key string) []tocsin.Incident {
	k.t.Helper()
	all, _, err := k.s.ListIncidents(k.ctx, tocsin.IncidentQuery{Page: tocsin.Page{Limit: 100}, DedupKey: key})
	k.ok(err)
	slices.Reverse(all)
	return all
}

// incident returns the only one of a dedup key.
func (k *kit) incident(key string) tocsin.Incident {
	k.t.Helper()
	all := k.incidents(key)
	if len(all) != 1 {
		k.t.Fatalf("got %d incidents of %s, want one: %+v", len(all), key, all)
	}
	return all[0]
}

// event returns the n-th event as stored.
func (k *kit) event(n int) tocsin.Event {
	k.t.Helper()
	e, err := k.s.Event(k.ctx, "storetest", Event(n).ID)
	k.ok(err)
	return e
}

// steps says of each step whom it leads to, its state and why.
func steps(i tocsin.Incident) (out []string) {
	for _, s := range i.Steps {
		text := s.To + " " + string(s.State)
		if s.Reason != "" {
			text += ": " + s.Reason
		}
		out = append(out, text)
	}
	return out
}

// hooks makes webhooks by name.
func (k *kit) hooks(names ...string) (out []tocsin.Webhook) {
	k.t.Helper()
	for _, name := range names {
		out = append(out, k.webhook(name))
	}
	return out
}
