// Package incidents decides what events do to incidents. The stores lock and keep them,
// by the same words.
package incidents

import (
	"slices"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// The reasons for which Append skips steps.
const (
	acknowledged = string(tocsin.IncidentAcknowledged)
	resolved     = string(tocsin.IncidentResolved)
)

// Opens reports whether an event may open an incident, or belong to one.
func Opens(n *tocsin.NewEvent) bool {
	if n.Change != nil || n.Event.Status != tocsin.Firing {
		return false
	}
	return slices.ContainsFunc(n.Owed, func(o tocsin.Obligation) bool { return o.Suppressed == "" && len(o.Escalate) > 0 })
}

// Changes reports whether an event does something to an incident that is there already. It
// is the one of the event's dedup key in any case.
func Changes(n *tocsin.NewEvent) bool {
	return n.Change != nil || n.Event.Status == tocsin.Resolved
}

// Maybe calls yield for what an event may come to be owed as beside Owed.
func Maybe(n *tocsin.NewEvent, yield func(tocsin.Obligation)) {
	switch {
	case Changes(n):
		for _, o := range n.Reach {
			yield(o)
		}
	case Opens(n):
		for _, from := range n.Owed {
			for _, e := range from.Escalate {
				if e.After <= 0 && from.Suppressed == "" {
					yield(e.Obligation)
				}
			}
		}
	}
}

// Incident is one that is locked.
type Incident struct {
	tocsin.Incident
	Fresh  bool // not stored yet
	noted  bool // among the changed
	news   bool // changed in a way that its workflow acts on
	stored []tocsin.IncidentStep
}

// Stored returns an incident as it was read, its steps in any order.
func Stored(i tocsin.Incident) *Incident {
	Sort(i.Steps)
	return &Incident{Incident: i, stored: slices.Clone(i.Steps)}
}

// Sort puts steps in the order of Incident.Steps. Those of one moment are in the order in
// which they were made.
func Sort(steps []tocsin.IncidentStep) {
	slices.SortStableFunc(steps, func(a, b tocsin.IncidentStep) int {
		if c := a.DueAt.Compare(b.DueAt); c != 0 || a.ID == 0 || b.ID == 0 {
			return c
		}
		return int(a.ID - b.ID)
	})
}

// Added returns the steps that are not stored yet.
func (i *Incident) Added() []tocsin.IncidentStep { return i.Steps[len(i.stored):] }

// Moved returns the stored steps that are not as they were.
func (i *Incident) Moved() (moved []tocsin.IncidentStep) {
	for n, was := range i.stored {
		if i.Steps[n] != was {
			moved = append(moved, i.Steps[n])
		}
	}
	return moved
}

// touch notes a change that its workflow is told of.
func (i *Incident) touch(now time.Time) {
	i.Version++
	i.news = true
	i.stamp(now)
}

// stamp notes when it changed.
func (i *Incident) stamp(now time.Time) {
	if now.After(i.UpdatedAt) { // others that were received earlier may come later
		i.UpdatedAt = now
	}
}

// skip skips the waiting steps for which cond holds.
func (i *Incident) skip(reason string, cond func(*tocsin.IncidentStep) bool) {
	for n := range i.Steps {
		if s := &i.Steps[n]; s.State == tocsin.StepWaiting && cond(s) {
			s.State, s.Reason = tocsin.StepSkipped, reason
		}
	}
}

// reached returns the webhooks that were owed the incident, each once.
func (i *Incident) reached() (ids []string) {
	for _, s := range i.Steps {
		if s.State == tocsin.StepDone && !slices.Contains(ids, s.To) {
			ids = append(ids, s.To)
		}
	}
	return ids
}

// Make makes a step of Escalate, which is done when the step's webhook is to be owed, and
// skipped otherwise. It reports whether that changed anything: the step is there, waiting,
// and due, and seq the latest event that fired; and whether the webhook is to be owed the
// event. Whoever escalates has seen the incident as it is then.
func (i *Incident) Make(id, seq int64, now time.Time, owed tocsin.Obligation, skip string) (changed, owe bool, err error) {
	n := slices.IndexFunc(i.Steps, func(s tocsin.IncidentStep) bool { return s.ID == id })
	if n < 0 || i.Seq != seq || i.Steps[n].State != tocsin.StepWaiting || i.Steps[n].DueAt.After(now) {
		return false, false, nil
	}
	s := &i.Steps[n]
	switch owed.WebhookID {
	case "":
		s.State, s.Reason = tocsin.StepSkipped, skip
	case s.To:
		if owe = !i.knows(s); owe {
			s.Seq = seq
		}
		s.State, s.DoneAt = tocsin.StepDone, &now
	default:
		return false, false, tocsin.Invalid("webhook", "%q is not whom step %d leads to; allowed: %q", owed.WebhookID, id, s.To)
	}
	seen := i.Attended == i.Version
	i.touch(now)
	if seen {
		i.Attended = i.Version
	}
	return true, owe, nil
}

// knows reports whether a step of another webhook has owed the latest event to the webhook
// that s leads to, when s was due already. What one webhook says twice is meant, as is what
// is due later.
func (i *Incident) knows(s *tocsin.IncidentStep) bool {
	return slices.ContainsFunc(i.Steps, func(o tocsin.IncidentStep) bool {
		return o.To == s.To && o.WebhookID != s.WebhookID && o.State == tocsin.StepDone && o.Seq == i.Seq && !o.DoneAt.Before(s.DueAt)
	})
}
