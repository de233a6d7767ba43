package postgres

import (
	"fmt"
	"strings"

	"github.com/tocsin-alerts/tocsin"
)

// fates is what an outcome means for each event of the delivery.
type fates struct {
	deadPlaces  []int32
	deadReasons []string
	children    []childFate
	// The ledger's moves out of in_flight.
	dead, delivered, moved int64
}

type childFate struct {
	id              string
	places          []int32 // in the parent
	inFlight, count int
}

// sortFates checks an outcome against the events it is about; inFlight is how many of
// them the ledger counts as in flight.
func sortFates(o tocsin.Outcome, events []place, inFlight int64) (f fates, err error) {
	settled := map[int]bool{}
	settle := func(i int) (place, error) {
		if i < 0 || i >= len(events) {
			return place{}, fmt.Errorf("place %d of a delivery of %d events", i, len(events))
		}
		if settled[i] {
			return place{}, fmt.Errorf("place %d is named twice", i)
		}
		settled[i] = true
		return events[i], nil
	}
	for i, reason := range o.Dead {
		p, err := settle(i)
		if err != nil {
			return f, err
		}
		if !p.again {
			f.deadPlaces, f.deadReasons = append(f.deadPlaces, p.place), append(f.deadReasons, clean(reason))
			f.dead++
		}
	}
	for _, c := range o.Children {
		child := childFate{id: c.ID, count: len(c.Places)}
		if len(c.Places) == 0 {
			return f, fmt.Errorf("child %s has no events", c.ID)
		}
		for _, i := range c.Places {
			p, err := settle(i)
			if err != nil {
				return f, err
			}
			child.places = append(child.places, p.place)
			if !p.again {
				child.inFlight++
			}
		}
		f.moved += int64(child.inFlight)
		f.children = append(f.children, child)
	}
	switch o.State {
	case tocsin.DeliveryDelivered:
		f.delivered = inFlight - f.dead - f.moved
	case tocsin.DeliverySplit:
		f.delivered = inFlight - f.dead - f.moved
	case tocsin.DeliveryDead, tocsin.DeliveryReady:
		if len(o.Children) > 0 || o.State == tocsin.DeliveryReady && len(o.Dead) > 0 {
			return f, fmt.Errorf("an outcome of %q says something about single events", o.State)
		}
		if o.State == tocsin.DeliveryDead {
			f.dead = inFlight
		}
	}
	return f, nil
}

const newChildren = `
INSERT INTO deliveries (id, webhook_id, state, parent, number, path, count, due, in_flight, created_at)
SELECT c.id, $1, 'ready', $2, $3, c.path, c.count, c.count, c.in_flight, $8
FROM unnest($4::text[], $5::text[], $6::integer[], $7::integer[]) AS c (id, path, count, in_flight)`

const newChildEvents = `
INSERT INTO delivery_events (delivery_id, place, seq, generation, dedup_key, fate)
SELECT c.id, c.place, e.seq, e.generation, e.dedup_key, e.fate
FROM unnest($2::text[], $3::integer[], $4::integer[]) AS c (id, place, parent_place)
JOIN delivery_events e ON e.delivery_id = $1 AND e.place = c.parent_place`

// saysError notes what an attempt said that failed; one that did not leaves what an earlier one
// said.
const saysError = `error_class = CASE WHEN $4 = '' THEN error_class ELSE $3 END, last_error = CASE WHEN $4 = '' THEN last_error ELSE $4 END`

// settle moves the delivery and its events, and the ledger with them.
func (r *recording) settle(t *tx) {
	id, f := r.o.DeliveryID, r.fates
	if len(f.children) > 0 {
		r.addChildren(t)
	}
	if len(f.deadPlaces) > 0 {
		t.queue(`UPDATE delivery_events e SET fate = 'dead', reason = d.reason FROM unnest($2::integer[], $3::text[]) AS d (place, reason)
			WHERE e.delivery_id = $1 AND e.place = d.place`, id, f.deadPlaces, f.deadReasons)
	}
	reason := ""
	if r.o.State == tocsin.DeliveryDead || r.o.State == tocsin.DeliverySplit {
		reason = clean(r.o.Reason)
	}
	if r.o.State == tocsin.DeliveryReady {
		t.queue(`UPDATE deliveries SET state = 'ready', unsure = unsure OR $2, `+saysError+` WHERE id = $1`,
			id, r.o.Unsure, clean(r.o.Attempt.ErrorClass), clean(r.o.Attempt.Error))
		r.queueEnd(t, tocsin.Balance{})
		return
	}
	t.queue(`UPDATE deliveries SET state = $5, reason = $6, unsure = unsure OR $2, due = 0, in_flight = 0, finished_at = $7, `+saysError+` WHERE id = $1`,
		id, r.o.Unsure, clean(r.o.Attempt.ErrorClass), clean(r.o.Attempt.Error), r.o.State, reason, r.now)
	r.queueEnd(t, tocsin.Balance{InFlight: -f.dead - f.delivered, Dead: f.dead, Delivered: f.delivered})
}

// addChildren makes deliveries in the parent's place: the same number, and a path that
// starts with the parent's.
func (r *recording) addChildren(t *tx) {
	var ids, paths, owners []string
	var counts, inFlight, places, parents []int32
	for i, c := range r.fates.children {
		ids, paths = append(ids, c.id), append(paths, fmt.Sprintf("%s/%04d", r.path, i))
		counts, inFlight = append(counts, int32(c.count)), append(inFlight, int32(c.inFlight)) // #nosec G115 -- at most 1000
		for place, parent := range c.places {
			owners, places, parents = append(owners, c.id), append(places, int32(place)), append(parents, parent)
		}
	}
	t.queue(newChildren, r.f.WebhookID, r.o.DeliveryID, r.number, ids, paths, counts, inFlight, r.now)
	t.queue(newChildEvents, r.o.DeliveryID, owners, places, parents)
	t.queue(`UPDATE delivery_events SET fate = 'moved' WHERE delivery_id = $1 AND place = ANY($2::integer[])`, r.o.DeliveryID, parents)
}

// clean makes text of others (error texts, reasons) fit a column: an outcome must never
// be lost for the sake of a byte in it.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
