package jira

import (
	"context"
	"encoding/json"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
)

// run is one Send.
type run struct {
	s   *sender
	n   tocsin.Notification
	api *api

	done      []bool // by event
	failed    []error
	truncated map[int]bool
	refs      map[string]json.RawMessage // changed
	asked     bool                       // whether the project is there: see welcome
	// halt is the error after which nothing more is tried.
	halt error
}

// incident is the events of one dedup key, in their order.
type incident struct {
	key    string
	ref    ref
	events []int // places that are left
	// searched: Jira was asked for a ticket that nobody remembers. If it had one, and that is
	// out of reach, there is none.
	searched bool
}

func (s *sender) newRun(n tocsin.Notification, a *api) *run {
	return &run{
		s: s, n: n, api: a, done: make([]bool, len(n.Events)), failed: make([]error, len(n.Events)),
		truncated: map[int]bool{}, refs: map[string]json.RawMessage{},
	}
}

// all brings every event to its ticket. New tickets come first, several at a time; then
// each dedup key goes on in its order.
func (r *run) all(ctx context.Context) {
	incidents := r.incidents()
	var fresh []*incident
	for _, inc := range incidents {
		if r.wantsTicket(inc) {
			fresh = append(fresh, inc)
		}
	}
	for len(fresh) > 0 && r.halt == nil {
		some := fresh[:min(len(fresh), bulk)]
		fresh = fresh[len(some):]
		r.obtain(ctx, some)
	}
	for _, inc := range incidents {
		r.follow(ctx, inc)
		r.passOn(inc)
	}
	for i := range r.done {
		if !r.done[i] && r.failed[i] == nil {
			r.failed[i] = r.halt
		}
	}
}

// passOn keeps the doubt of an earlier attempt for what this one did not come to: the
// pipeline makes a delivery of its own of it, which knows of no attempt.
func (r *run) passOn(inc *incident) {
	switch {
	case !r.n.Uncertain || len(inc.events) == 0:
	case inc.ref.ticket() == "" && inc.ref.Status != unsure && !inc.searched:
		r.doubt(inc)
	case inc.ref.ticket() != "" && inc.ref.Doubt == "":
		to := inc.ref
		to.Doubt = eventMark(r.n.WebhookID, r.event(inc))
		r.remember(inc, to)
	}
}

// incidents groups the events by dedup key, in the order of their first.
func (r *run) incidents() []*incident {
	var list []*incident
	byKey := map[string]*incident{}
	for i := range r.n.Events {
		key := alert.DedupKey(&r.n.Events[i])
		inc := byKey[key]
		if inc == nil {
			inc = &incident{key: key, ref: readRef(r.n.Refs[key], r.s.config.url)}
			byKey[key] = inc
			list = append(list, inc)
		}
		inc.events = append(inc.events, i)
	}
	return list
}

// wantsTicket reports whether an incident needs a ticket. What is resolved or acknowledged
// before anything has fired has none, and needs none; and nothing would ever resolve one for
// an event that is older than the end.
func (r *run) wantsTicket(inc *incident) bool {
	if inc.ref.ticket() != "" {
		return false
	}
	for len(inc.events) > 0 && inc.ref.Status != unsure && r.needless(inc) {
		if e := r.event(inc); kindOf(e) == resolves && e.Seq > inc.ref.Seq {
			to := inc.ref.without(resolved)
			to.Seq = e.Seq
			r.remember(inc, to)
		}
		r.accept(inc)
	}
	return len(inc.events) > 0
}

// needless reports whether the next event of an incident without ticket needs none. An
// attempt of unknown outcome may have created one for an older event: it is looked for first.
func (r *run) needless(inc *incident) bool {
	e := r.event(inc)
	return kindOf(e) != fires || inc.ref.older(e) && (inc.searched || !r.n.Uncertain)
}

// event is the next event of an incident.
func (r *run) event(inc *incident) *tocsin.Event { return &r.n.Events[inc.events[0]] }

// accept notes that the next event of an incident is where it belongs.
func (r *run) accept(inc *incident) {
	r.done[inc.events[0]] = true
	inc.events = inc.events[1:]
}

// told accepts the next event, which is on the ticket now.
func (r *run) told(inc *incident) {
	r.number(inc)
	r.accept(inc)
}

// number remembers that the ticket is as the next event, or a newer one, wants it.
func (r *run) number(inc *incident) {
	if e := r.event(inc); e.Seq > inc.ref.Seq {
		to := inc.ref
		to.Seq = e.Seq
		r.remember(inc, to)
	}
}

// reject notes that the next event is refused, and leaves the others.
func (r *run) reject(inc *incident, err error) {
	r.failed[inc.events[0]] = err
	inc.events = inc.events[1:]
}

// postpone notes an error for all that is left of an incident: they keep their order.
func (r *run) postpone(inc *incident, err error) {
	for _, i := range inc.events {
		r.failed[i] = err
	}
	inc.events = nil
}

// stop ends the run with an error that concerns everything that is left.
func (r *run) stop(err error) {
	if r.halt == nil {
		r.halt = err
	}
}

// remember changes an incident's ref.
func (r *run) remember(inc *incident, to ref) {
	to.Site = r.s.config.url
	inc.ref = to
	r.refs[inc.key], _ = json.Marshal(to) // strings and a time always encode
}

// receipt says what became of the events. Where all came to the same, the error alone
// says it.
func (r *run) receipt() (tocsin.Receipt, error) {
	receipt := tocsin.Receipt{Truncated: len(r.truncated)}
	if len(r.refs) > 0 {
		receipt.Refs = r.refs
	}
	failures, same := 0, true
	var first error
	for i, err := range r.failed {
		if r.done[i] || err == nil {
			continue
		}
		failures++
		if first == nil {
			first = err
		}
		same = same && err == first //nolint:errorlint // the very same, not one like it
	}
	if failures == 0 {
		return receipt, nil
	}
	if failures == len(r.failed) && same {
		return receipt, first
	}
	receipt.Results = make([]tocsin.Result, len(r.failed))
	for i, err := range r.failed {
		if !r.done[i] {
			receipt.Results[i].Err = err
		}
	}
	return receipt, nil
}
