package ingest

import (
	"cmp"
	"slices"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// maxSteps bounds what the escalations of one webhook come to, chains followed. It is
// never reached by a configuration that package webhooks accepted: that has the same limit.
const maxSteps = 100

// escalation is one entry of a webhook's escalate, or of one that it leads to: the times
// of a chain are added up, its highest min_severity counts, and an unless on the way holds
// for everything behind it.
type escalation struct {
	to     string // the name of the webhook it leads to
	place  int    // of that one's rule, once compiled
	min    tocsin.Severity
	after  time.Duration
	unless string
}

// via is the escalation that follows this one in a chain.
func (s escalation) via(e tocsin.Escalation) escalation {
	return escalation{to: e.To, min: max(s.min, e.MinSeverity), after: s.after + e.After.Std(), unless: cmp.Or(s.unless, e.Unless)}
}

// escalationsOf follows the chains from one webhook on. Of two that come to the same at
// the same time, the one without a condition is first. known holds all webhooks, by name;
// names that are not there lead nowhere. complete is false when there were too many.
func escalationsOf(w *tocsin.Webhook, known map[string]*tocsin.Webhook) (all []escalation, complete bool) {
	complete = true
	var follow func(w *tocsin.Webhook, so escalation, path []string)
	follow = func(w *tocsin.Webhook, so escalation, path []string) {
		path = append(slices.Clip(path), w.Name)
		for _, e := range w.Escalate {
			next := known[e.To]
			// Circles are refused when they are saved; two that are saved at the same moment
			// may still make one.
			if next == nil || slices.Contains(path, e.To) {
				continue
			}
			step := so.via(e)
			if len(all) >= maxSteps {
				complete = false
				return
			}
			if !slices.Contains(all, step) {
				all = append(all, step)
			}
			follow(next, step, path)
		}
	}
	follow(w, escalation{}, nil)
	slices.SortStableFunc(all, func(a, b escalation) int {
		return cmp.Or(cmp.Compare(a.after, b.after), cmp.Compare(a.unless, b.unless))
	})
	return all, complete
}

// reached are the escalations that an event of a severity brings about, each webhook and
// time once.
func reached(all []escalation, severity tocsin.Severity) []escalation {
	var some []escalation
	for _, s := range all {
		same := func(o escalation) bool { return o.to == s.to && o.after == s.after }
		if s.min <= severity && !slices.ContainsFunc(some, same) {
			some = append(some, s)
		}
	}
	return some
}

// escalates reports whether an event brings about escalations: those that fire do, but
// for what is said about incidents themselves.
func escalates(e *tocsin.Event) bool {
	return e.Status != tocsin.Resolved && e.Type != tocsin.TypeIncidentAcknowledged
}

// reaches reports whether an event goes to the webhooks that its incident has reached.
func reaches(e *tocsin.Event) bool {
	return e.Status == tocsin.Resolved || e.Type == tocsin.TypeIncidentAcknowledged
}

// byName are webhooks by their names.
func byName(webhooks []tocsin.Webhook) map[string]*tocsin.Webhook {
	known := make(map[string]*tocsin.Webhook, len(webhooks))
	for i := range webhooks {
		if webhooks[i].State != tocsin.StateDeleted {
			known[webhooks[i].Name] = &webhooks[i]
		}
	}
	return known
}

// isTarget reports whether an incident may have reached a webhook: somebody escalates to it
// now, or it selects nothing itself, so that somebody may have before. Others that were
// escalated to before are left out: each event that is resolved would cost an obligation for
// every webhook there is, and in the store a look at its repeats.
func isTarget(w *tocsin.Webhook, named map[string]bool) bool {
	return named[w.Name] || len(w.Events) == 1 && w.Events[0].Type == nothing
}

// namedByEscalations are the names that the webhooks escalate to.
func namedByEscalations(webhooks []tocsin.Webhook) map[string]bool {
	var named map[string]bool
	for i := range webhooks {
		for _, e := range webhooks[i].Escalate {
			if named == nil {
				named = map[string]bool{}
			}
			named[e.To] = true
		}
	}
	return named
}

// escalations compiles everybody's escalate. Where nobody has any, and everybody selects
// something, nothing is compiled, and no event costs more.
func (c *compiler) escalations(webhooks []tocsin.Webhook) {
	named := namedByEscalations(webhooks)
	for i := range webhooks {
		if place, there := c.byID[webhooks[i].ID]; there && isTarget(&webhooks[i], named) {
			c.targets = append(c.targets, place)
		}
	}
	if named == nil {
		return
	}
	known := byName(webhooks)
	for i := range webhooks {
		w := &webhooks[i]
		place, there := c.byID[w.ID]
		if !there {
			continue
		}
		all, complete := escalationsOf(w, known)
		if !complete {
			c.log.Error("a webhook's escalations lead to too many steps; only the first are made", "webhook", w.Name, "steps", maxSteps)
		}
		for j := range all {
			all[j].place = c.byID[known[all[j].to].ID]
		}
		c.rules[place].steps = all
	}
}

// escalate returns the steps that the event brings about as a rule's.
func (r *run) escalate(rule *rule) []tocsin.Escalated {
	var steps []tocsin.Escalated
	for _, s := range reached(rule.steps, r.subject.event.Severity) {
		if to := &r.m.rules[s.place]; to.webhookID != r.about {
			steps = append(steps, tocsin.Escalated{Obligation: r.obligation(to), After: s.after, Unless: s.unless})
		}
	}
	return steps
}

// oneMoment is a RepeatAfter that suppresses nothing, and lets the store remember the
// status all the same.
const oneMoment = time.Nanosecond

// reach returns what everybody who may have been reached is owed. The end of an incident is
// no repeat of the end of an earlier one, of which the beginning may have been a later
// step's; and what fires after it is none of what fired before. Nor is it muted: what was
// opened elsewhere would stay open for good.
func (r *run) reach() []tocsin.Obligation {
	if len(r.m.targets) == 0 || !reaches(r.subject.event) {
		return nil
	}
	all := make([]tocsin.Obligation, 0, len(r.m.targets))
	for _, place := range r.m.targets {
		to := &r.m.rules[place]
		if to.webhookID == r.about {
			continue
		}
		if r.subject.event.Status == tocsin.Resolved {
			all = append(all, r.end(to))
		} else {
			all = append(all, r.obligation(to))
		}
	}
	return all
}

// end is what a rule's webhook is owed by the end of an incident that has reached it.
func (r *run) end(rule *rule) tocsin.Obligation {
	o := tocsin.Obligation{WebhookID: rule.webhookID, BatchKey: r.batchKey(rule.channel)}
	if rule.repeatAfter > 0 {
		o.RepeatAfter = oneMoment
	}
	return o
}
