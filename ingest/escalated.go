package ingest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tocsin-alerts/tocsin"
)

// note adds to what there is to know of a verdict.
func (v *Verdict) note(notes ...string) {
	if v.Note != "" {
		notes = slices.Insert(notes, 0, v.Note)
	}
	v.Note = strings.Join(notes, "; ")
}

// escalations adds to verdicts, one for each webhook, what they bring about by escalation.
func (j *judge) escalations(webhooks []tocsin.Webhook, verdicts []Verdict) {
	named := namedByEscalations(webhooks)
	if reaches(j.subject.event) {
		for i := range webhooks {
			if isTarget(&webhooks[i], named) && !verdicts[i].Matched {
				verdicts[i].note("it is owed the event if the incident of its dedup key had been escalated to it")
			}
		}
		return
	}
	if named == nil {
		return
	}
	known, place := byName(webhooks), map[string]int{}
	for i := range webhooks {
		place[webhooks[i].Name] = i
	}
	// What a webhook gets by escalation it does not pass on: chains are followed from the
	// one that matched.
	matched := slices.Clone(verdicts)
	for i := range webhooks {
		if w := &webhooks[i]; matched[i].Matched && matched[i].Mute == "" {
			all, _ := escalationsOf(w, known)
			for _, e := range reached(all, j.subject.event.Severity) {
				j.escalated(&webhooks[place[e.to]], &verdicts[place[e.to]], w.Name, e)
			}
		}
	}
}

// escalated notes that a webhook gets the event by another's escalation.
func (j *judge) escalated(w *tocsin.Webhook, v *Verdict, from string, e escalation) {
	if v.Clause == ClauseItself || v.Clause == ClauseCreated {
		return
	}
	if !v.Matched {
		v.Matched, v.Clause, v.Detail, v.FilterFailed = true, "", "", false
		j.suppression(w, v)
	}
	if !slices.Contains(v.EscalatedFrom, from) {
		v.EscalatedFrom = append(v.EscalatedFrom, from)
	}
	when := "after " + tocsin.Duration(e.after).String()
	if e.unless != "" {
		when += ", unless " + e.unless
	}
	v.note(fmt.Sprintf("escalated from %s (%s)", from, when))
}
