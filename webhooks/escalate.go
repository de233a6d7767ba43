package webhooks

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// maxSteps bounds what the escalations of one webhook come to, chains followed: each is a
// row of every incident. Package ingest makes no more.
const maxSteps = 100

// maxAfter is the longest wait of one escalation.
const maxAfter = 30 * 24 * time.Hour

var escalationReaders = map[string]reader[tocsin.Escalation]{
	"min_severity": worded("text, a severity", func(e *tocsin.Escalation) *tocsin.Severity { return &e.MinSeverity }, tocsin.ParseSeverity),
	"to":           plain("text, the name of a webhook", func(e *tocsin.Escalation) *string { return &e.To }),
	"after":        duration(func(e *tocsin.Escalation) *tocsin.Duration { return &e.After }),
	"unless":       plain(`"acknowledged" or nothing`, func(e *tocsin.Escalation) *string { return &e.Unless }),
}

func readEscalate(raw json.RawMessage, s *tocsin.Settings, p *problems, field string) bool {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return false
	}
	s.Escalate = make([]tocsin.Escalation, len(list))
	for i, item := range list {
		// Problems of an entry are those of a document, at its place.
		own := &problems{}
		if err := readDocument(item, &s.Escalate[i], escalationReaders, nil, own); err != nil {
			p.add(fmt.Sprintf("%s[%d]", field, i), "got %s; want {min_severity, to, after, unless}", short(item))
		}
		for _, f := range own.fields {
			p.add(fmt.Sprintf("%s[%d].%s", field, i, f.Field), "%s", f.Message)
		}
	}
	return true
}

// validateEscalations checks escalate; check is for the webhooks that it names.
func validateEscalations(w tocsin.Settings, id string, others []tocsin.Webhook, check func(field, to string), p *problems) {
	if len(w.Escalate) > maxEscalations {
		p.add("escalate", "has %d entries; at most %d are allowed", len(w.Escalate), maxEscalations)
	}
	type entry struct {
		to       string
		after    tocsin.Duration
		severity tocsin.Severity
	}
	seen := map[entry]int{}
	for i, e := range w.Escalate {
		at := fmt.Sprintf("escalate[%d]", i)
		if p.has(at) {
			continue
		}
		check(at+".to", e.To)
		between(p, at+".after", e.After, 0, maxAfter)
		if e.Unless != "" && e.Unless != tocsin.UnlessAcknowledged {
			p.add(at+".unless", `%q is not allowed; want "acknowledged" or nothing`, cut(e.Unless))
		}
		if p.has(at+".to") || p.has(at+".after") || p.has(at+".min_severity") {
			continue
		}
		same := entry{e.To, e.After, e.MinSeverity}
		if first, twice := seen[same]; twice {
			p.add(at, "leads to %q after %s from the same min_severity on, as escalate[%d] does", cut(e.To), e.After, first)
		} else {
			seen[same] = i
		}
	}
	if len(p.fields) == 0 {
		validateSteps(w, id, others, p)
	}
}

// validateSteps checks that no webhook's escalations come to too many steps, once w is
// among the others: those of webhooks that lead to it grow with it.
func validateSteps(w tocsin.Settings, id string, others []tocsin.Webhook, p *problems) {
	escalate := map[string][]tocsin.Escalation{w.Name: w.Escalate}
	for _, o := range others {
		if o.ID != id {
			escalate[o.Name] = o.Escalate
		}
	}
	counted := map[string]int{}
	for _, name := range sortedKeys(escalate) {
		if n := steps(name, escalate, counted); n > maxSteps {
			p.add("escalate", "makes the escalations of %q come to more than %d steps, chains followed", cut(name), maxSteps)
			return
		}
	}
}

// steps counts what the escalations of a webhook come to, up to one more than is allowed.
func steps(name string, escalate map[string][]tocsin.Escalation, counted map[string]int) int {
	if n, ok := counted[name]; ok {
		return n
	}
	counted[name] = maxSteps + 1 // while it is counted: a circle never ends
	n := 0
	for _, e := range escalate[name] {
		n = min(n+1+steps(e.To, escalate, counted), maxSteps+1)
	}
	counted[name] = n
	return n
}
