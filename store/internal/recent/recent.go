// Package recent keeps events that were read lately for several webhooks. Each of a hundred
// webhooks that want an event would otherwise read it from the store for its own delivery,
// and an event never changes.
package recent

import (
	"fmt"
	"sync"

	"github.com/tocsin-alerts/tocsin"
)

const (
	// places is how many events are kept: the last ones, since numbers are handed out one
	// after the other. Webhooks that lag behind the first one by more read for themselves.
	places = 8192
	// most is the size in bytes of the largest event that is kept, as it was submitted.
	// With places it bounds the memory.
	most = 4 << 10
)

// Events are the recent ones. It is safe for concurrent use; the zero value is ready. What it
// returns is shared and not to be changed.
type Events struct {
	mu     sync.Mutex
	places [places]place // an event's is its number modulo places
}

// place has been asked for the event of this number, which is kept from the second time on: one
// webhook alone never asks again.
type place struct {
	seq   int64 // 0 for none
	event *tocsin.Event
}

// Get returns the events with these numbers, in their order; nil unless it has them all.
func (r *Events) Get(seqs []int64) []tocsin.Event {
	if len(seqs) == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, seq := range seqs {
		if p := r.at(seq); p.seq != seq || p.event == nil {
			return nil
		}
	}
	events := make([]tocsin.Event, len(seqs))
	for i, seq := range seqs {
		events[i] = *r.at(seq).event
	}
	return events
}

// Add notes events that were read from the store.
func (r *Events) Add(events []tocsin.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range events {
		e := &events[i]
		p := r.at(e.Seq)
		switch {
		case p.seq < e.Seq:
			*p = place{seq: e.Seq}
		case p.seq == e.Seq && p.event == nil && len(e.Raw) <= most:
			kept := *e // apart from the others of its slice
			p.event = &kept
		}
	}
}

func (r *Events) at(seq int64) *place { return &r.places[uint64(seq)%places] } // #nosec G115 -- numbers are positive

// Next passes over events to the one with this number, and returns it. A delivery still owes
// some of the events that it was planned with, in their order, and no others; so none is
// missing.
func Next(events *[]tocsin.Event, seq int64) (tocsin.Event, error) {
	for i, e := range *events {
		if e.Seq == seq {
			*events = (*events)[i+1:]
			return e, nil
		}
	}
	return tocsin.Event{}, fmt.Errorf("event %d is not one that the delivery was planned with", seq)
}
