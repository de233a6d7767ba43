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

// Owe notes that the event is owed, or suppresses it, and reports which. What is owed anyway
// is no repeat, whatever came before.
type Owe func(o tocsin.Obligation, anyway bool) (suppressed bool, err error)

// Append does what the next event of a batch does, which got the number seq: it owes what
// is owed for it in any case, and what incidents bring.
func (b *Book) Append(n *tocsin.NewEvent, seq int64, now time.Time, owe Owe) error {
	a := appending{Book: b, NewEvent: n, seq: seq, now: now, owe: owe}
	i := a.changes()
	steps, err := a.oweOwed(i)
	switch {
	case err != nil:
		return err
	case i != nil:
		return a.change(i)
	case n.Change == nil && n.Event.Status == tocsin.Firing && len(steps) > 0:
		return a.fire(steps)
	}
	return nil // as most do
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
	seq   int64
	now   time.Time
	owe   Owe
	extra []string // webhooks that are owed it beside those of Owed
}

// changes returns the incident that the event changes: nil for most.
func (a *appending) changes() *Incident {
	if !Changes(a.NewEvent) {
		return nil
	}
	i := a.open[a.Event.DedupKey]
	if c := a.Change; i != nil && c != nil {
		can := c.To == tocsin.IncidentResolved || c.To == tocsin.IncidentAcknowledged && i.State == tocsin.IncidentOpen
		if i.ID != c.ID || !can {
			return nil // it is too late for that
		}
	}
	return i
}

// oweOwed owes what is owed for the event in any case, and returns the steps that this
// brings. What opens an incident is no repeat of what people heard before the last one
// ended. Whoever an incident that it changes has reached is owed it as Reach says.
func (a *appending) oweOwed(changed *Incident) (steps []step, err error) {
	opens := a.open[a.Event.DedupKey] == nil && Opens(a.NewEvent)
	var reached []string
	if changed != nil {
		reached = changed.reached()
	}
	for _, o := range a.Owed {
		if n := a.reach(o.WebhookID); n >= 0 && slices.Contains(reached, o.WebhookID) {
			o = a.Reach[n]
		}
		suppressed, err := a.owe(o, opens && len(o.Escalate) > 0)
		if err != nil {
			return nil, err
		}
		if suppressed {
			continue
		}
		for _, e := range o.Escalate {
			steps = append(steps, step{o.WebhookID, e})
		}
	}
	return steps, nil
}

// reach returns the place of a webhook in Reach, or -1.
func (a *appending) reach(id string) int {
	return slices.IndexFunc(a.Reach, func(o tocsin.Obligation) bool { return o.WebhookID == id })
}

// oweOnce owes the event, unless it is owed to the webhook already: suppressed, too, since
// there is one obligation for each webhook.
func (a *appending) oweOnce(o tocsin.Obligation) error {
	is := func(other tocsin.Obligation) bool { return other.WebhookID == o.WebhookID }
	if slices.ContainsFunc(a.Owed, is) || slices.Contains(a.extra, o.WebhookID) {
		return nil
	}
	a.extra = append(a.extra, o.WebhookID)
	_, err := a.owe(o, false)
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
func (a *appending) fire(steps []step) error {
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
	i.Seq = a.seq
	i.Events++
	i.stamp(a.now)
	a.note(i)
	news := worse
	for _, s := range steps {
		if i.add(s, a.now) {
			news = true
		}
		if s.After > 0 || i.calm(s) {
			continue
		}
		if err := a.oweOnce(s.Obligation); err != nil {
			return err
		}
	}
	if news {
		i.touch(a.now)
	}
	return nil
}

// calm reports whether a step does not apply since the incident is acknowledged.
func (i *Incident) calm(s step) bool {
	return s.Unless == tocsin.UnlessAcknowledged && i.State == tocsin.IncidentAcknowledged
}

// add makes a step of the latest event, unless there is one that says as much. It reports
// whether it did, or made that one stricter.
func (i *Incident) add(s step, now time.Time) bool {
	for n := range i.Steps {
		if have := &i.Steps[n]; have.WebhookID == s.from && have.To == s.WebhookID && have.After.Std() == s.After {
			return i.tighten(have, s, now)
		}
	}
	made := tocsin.IncidentStep{WebhookID: s.from, To: s.WebhookID, After: tocsin.Duration(s.After), Unless: s.Unless}
	i.start(&made, now)
	if i.calm(s) {
		made.State, made.Reason, made.Seq, made.DoneAt = tocsin.StepSkipped, acknowledged, 0, nil
	}
	i.Steps = append(i.Steps, made)
	return true
}

// tighten drops the condition of a step that another event asks for without one.
func (i *Incident) tighten(have *tocsin.IncidentStep, s step, now time.Time) bool {
	if have.Unless == "" || s.Unless != "" {
		return false
	}
	have.Unless = ""
	if have.State == tocsin.StepSkipped && have.Reason == acknowledged {
		have.Reason = ""
		i.start(have, now)
	}
	return true
}

// start lets a step wait for its time; without After it is done at once.
func (i *Incident) start(s *tocsin.IncidentStep, now time.Time) {
	s.State, s.DueAt = tocsin.StepWaiting, now.Add(s.After.Std())
	if s.After <= 0 {
		s.State, s.Seq, s.DoneAt = tocsin.StepDone, i.Seq, &now
	}
}

// change does to an incident what the event or a person says.
func (a *appending) change(i *Incident) error {
	switch {
	case a.Change == nil:
		return a.resolve(i, "")
	case a.Change.To == tocsin.IncidentResolved:
		return a.resolve(i, a.Change.By)
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
		n := a.reach(id)
		if n < 0 {
			continue
		}
		if err := a.oweOnce(a.Reach[n]); err != nil {
			return err
		}
	}
	return nil
}
