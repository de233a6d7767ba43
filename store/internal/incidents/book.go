package incidents

import (
	"slices"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// Book holds the incidents that a batch is about, which nobody else changes meanwhile. The
// zero value holds none.
type Book struct {
	open    map[string]*Incident // not resolved, by dedup key
	changed []*Incident
}

// Add adds one that is not resolved, as it was read.
func (b *Book) Add(i tocsin.Incident) { b.keep(Stored(i)) }

func (b *Book) keep(i *Incident) {
	if b.open == nil {
		b.open = map[string]*Incident{}
	}
	b.open[i.DedupKey] = i
}

// Changed returns the incidents that were opened or changed, in the order in which they
// were first: one that is resolved before the one that follows it.
func (b *Book) Changed() []*Incident { return b.changed }

// Keys returns the keys of the incidents whose workflows are to be told, each once. One that
// fires again, and brings nothing to wait for, is none of their business: a storm of events
// must not become a storm of signals.
func (b *Book) Keys() (keys []string) {
	for _, i := range b.changed {
		if i.news {
			keys = append(keys, i.Key())
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Owe notes that the event is owed, or suppresses it, and reports which.
type Owe func(tocsin.Obligation) (suppressed bool, err error)

// Append does what the next event of a batch does, which got the number seq: it owes what
// is owed for it in any case, and what incidents bring.
func (b *Book) Append(n *tocsin.NewEvent, seq int64, now time.Time, owe Owe) error {
	var steps []step
	for _, o := range n.Owed {
		suppressed, err := owe(o)
		if err != nil {
			return err
		}
		if suppressed {
			continue
		}
		for _, e := range o.Escalate {
			steps = append(steps, step{o.WebhookID, e})
		}
	}
	fires := n.Event.Status == tocsin.Firing && len(steps) > 0
	if Changes(n) && b.open[n.Event.DedupKey] == nil || !Changes(n) && !fires {
		return nil // as most are
	}
	a := appending{Book: b, NewEvent: n, now: now, owe: owe}
	switch {
	case n.Change != nil:
		return a.change()
	case n.Event.Status == tocsin.Resolved:
		return a.resolve(b.open[n.Event.DedupKey], "")
	}
	return a.fire(seq, steps)
}

// step is one that the obligation of a webhook brings.
type step struct {
	from string
	tocsin.Escalated
}

// appending is one event.
type appending struct {
	*Book
	*tocsin.NewEvent
	now   time.Time
	owe   Owe
	extra []string // webhooks that are owed it beside those of Owed
}

// oweOnce owes the event, unless it is owed to the webhook already: suppressed, too, since
// there is one obligation for each webhook.
func (a *appending) oweOnce(o tocsin.Obligation) error {
	is := func(other tocsin.Obligation) bool { return other.WebhookID == o.WebhookID }
	if slices.ContainsFunc(a.Owed, is) || slices.Contains(a.extra, o.WebhookID) {
		return nil
	}
	a.extra = append(a.extra, o.WebhookID)
	_, err := a.owe(o)
	return err
}

// note adds an incident to the changed.
func (a *appending) note(i *Incident) {
	if !i.noted {
		i.noted = true
		a.changed = append(a.changed, i)
	}
}

// fire opens an incident or goes on with it, and makes its steps.
func (a *appending) fire(seq int64, steps []step) error {
	e := &a.Event
	i := a.open[e.DedupKey]
	if i == nil {
		i = &Incident{Fresh: true, Incident: tocsin.Incident{
			ID: tocsin.NewID(tocsin.PrefixIncident), DedupKey: e.DedupKey, State: tocsin.IncidentOpen, OpenedAt: a.now, UpdatedAt: a.now,
		}}
		a.keep(i)
	}
	worse := e.Severity > i.Severity
	i.Type, i.Title, i.Subject, i.Severity = e.Type, e.Title, e.Subject, max(i.Severity, e.Severity)
	i.Seq = seq
	i.Events++
	i.stamp(a.now)
	a.note(i)
	had := len(i.Steps)
	for _, s := range steps {
		i.add(s, a.now)
		if s.After > 0 || i.calm(s) {
			continue
		}
		if err := a.oweOnce(s.Obligation); err != nil {
			return err
		}
	}
	if worse || len(i.Steps) > had {
		i.touch(a.now)
	}
	return nil
}

// calm reports whether a step does not apply since the incident is acknowledged.
func (i *Incident) calm(s step) bool {
	return s.Unless == tocsin.UnlessAcknowledged && i.State == tocsin.IncidentAcknowledged
}

// add makes a step, unless there is one.
func (i *Incident) add(s step, now time.Time) {
	for _, have := range i.Steps {
		if have.WebhookID == s.from && have.To == s.WebhookID && have.After.Std() == s.After {
			return
		}
	}
	made := tocsin.IncidentStep{
		WebhookID: s.from, To: s.WebhookID, After: tocsin.Duration(s.After), Unless: s.Unless,
		State: tocsin.StepWaiting, DueAt: now.Add(s.After),
	}
	switch {
	case i.calm(s):
		made.State, made.Reason = tocsin.StepSkipped, acknowledged
	case s.After <= 0:
		made.State, made.DoneAt = tocsin.StepDone, &now
	}
	i.Steps = append(i.Steps, made)
}

// change does what a person said, if it still can.
func (a *appending) change() error {
	i := a.open[a.Event.DedupKey]
	if i.ID != a.Change.ID {
		return nil // that one is resolved
	}
	if a.Change.To == tocsin.IncidentResolved {
		return a.resolve(i, a.Change.By)
	}
	if i.State != tocsin.IncidentOpen || a.Change.To != tocsin.IncidentAcknowledged {
		return nil
	}
	now := a.now
	i.State, i.AcknowledgedAt, i.AcknowledgedBy = tocsin.IncidentAcknowledged, &now, a.Change.By
	i.touch(a.now)
	i.skip(acknowledged, func(s *tocsin.IncidentStep) bool { return s.Unless == tocsin.UnlessAcknowledged })
	a.note(i)
	return a.tell(i)
}

// resolve ends an incident.
func (a *appending) resolve(i *Incident, by string) error {
	now := a.now
	i.State, i.ResolvedAt, i.ResolvedBy = tocsin.IncidentResolved, &now, by
	i.touch(a.now)
	i.skip(resolved, func(*tocsin.IncidentStep) bool { return true })
	a.note(i)
	delete(a.open, i.DedupKey)
	return a.tell(i)
}

// tell owes the event to the webhooks that the incident has reached.
func (a *appending) tell(i *Incident) error {
	for _, id := range i.reached() {
		n := slices.IndexFunc(a.Reach, func(o tocsin.Obligation) bool { return o.WebhookID == id })
		if n < 0 {
			continue
		}
		if err := a.oweOnce(a.Reach[n]); err != nil {
			return err
		}
	}
	return nil
}
