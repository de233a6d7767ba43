package pagerduty

import (
	"encoding/json"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
)

// ref is what PagerDuty was told last of a dedup key. The API has no order of its own: a
// trigger behind a resolve opens a new incident, wherever it comes from. Its JSON form is
// stored; fields are added, never renamed.
type ref struct {
	// Seq is the highest number of an event that was told; 0: not known.
	Seq    int64         `json:"seq"`
	Status tocsin.Status `json:"status"`
	// Over is the highest number known when a resolve was told last.
	Over int64 `json:"over,omitempty"`
}

// stale reports whether an event would undo what was told after it: deliveries are sent
// again, and may come late. The same event again is none: somebody wants it.
func (r ref) stale(e *tocsin.Event) bool {
	switch {
	case e.Seq == 0 || e.Seq >= r.Seq:
		return false
	case action(e) == "acknowledge":
		// Whoever looked after an incident that is over does not look after the next.
		return e.Seq < r.Over
	}
	return status(e) != r.Status
}

// after is the ref when an event that is not stale was told.
func (r ref) after(e *tocsin.Event) ref {
	r.Seq, r.Status = max(r.Seq, e.Seq), status(e)
	if r.Status == tocsin.Resolved {
		r.Over = r.Seq
	}
	return r
}

func status(e *tocsin.Event) tocsin.Status {
	if e.Status == tocsin.Resolved {
		return tocsin.Resolved
	}
	return tocsin.Firing
}

// ledger is the refs of one delivery.
type ledger struct {
	stored  map[string]json.RawMessage
	changed map[string]ref
}

func (l *ledger) ref(key string) ref {
	if r, ok := l.changed[key]; ok {
		return r
	}
	var r ref
	// What cannot be read is as good as none.
	if json.Unmarshal(l.stored[key], &r) != nil || r.Status != tocsin.Firing && r.Status != tocsin.Resolved {
		return ref{}
	}
	return r
}

// stale reports whether a message is to be left out. Change events have no state.
func (l *ledger) stale(m *message) bool {
	return !m.change && l.ref(alert.DedupKey(m.event)).stale(m.event)
}

// accepted notes a message. Without any number there is nothing to remember.
func (l *ledger) accepted(m *message) {
	key := alert.DedupKey(m.event)
	before := l.ref(key)
	if after := before.after(m.event); !m.change && after != before && after.Seq != 0 {
		if l.changed == nil {
			l.changed = map[string]ref{}
		}
		l.changed[key] = after
	}
}

// refs are what is to be stored; nil for nothing new.
func (l *ledger) refs() map[string]json.RawMessage {
	if len(l.changed) == 0 {
		return nil
	}
	out := make(map[string]json.RawMessage, len(l.changed))
	for key, r := range l.changed {
		out[key], _ = json.Marshal(r) // numbers and words always encode
	}
	return out
}
