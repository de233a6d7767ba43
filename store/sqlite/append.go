package sqlite

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/internal/incidents"
)

// eventKey names an event for ever.
type eventKey struct{ source, id string }

// Append implements tocsin.EventLog.
func (db *DB) Append(ctx context.Context, revision int64, batch []tocsin.NewEvent) (tocsin.AppendResult, error) {
	if len(batch) == 0 {
		return tocsin.AppendResult{}, nil
	}
	var result tocsin.AppendResult
	err := db.write(ctx, "appending events", func(t *tx) error {
		var stored int64
		if err := t.get(`SELECT revision FROM config_revision`, nil, &stored); err != nil {
			return err
		}
		if stored > revision {
			return tocsin.ErrStaleRevision
		}
		var fresh []tocsin.NewEvent
		var err error
		if result.Events, fresh, err = t.sift(batch); err != nil {
			return err
		}
		return t.add(fresh, &result)
	})
	if err != nil {
		return tocsin.AppendResult{}, err
	}
	return result, nil
}

// sift answers for each event, and returns those that are new, in their order.
func (t *tx) sift(batch []tocsin.NewEvent) ([]tocsin.Appended, []tocsin.NewEvent, error) {
	known, err := t.known(batch)
	if err != nil {
		return nil, nil, err
	}
	answers := make([]tocsin.Appended, len(batch))
	var fresh []tocsin.NewEvent
	for i, n := range batch {
		key := eventKey{n.Event.Source, n.Event.ID}
		first, there := known[key]
		switch {
		case !there:
			known[key] = n.Fingerprint
			fresh = append(fresh, n)
			answers[i] = tocsin.AppendedNew
		case bytes.Equal(first, n.Fingerprint):
			answers[i] = tocsin.AppendedDuplicate
		default:
			answers[i] = tocsin.AppendedConflict
		}
	}
	return answers, fresh, nil
}

// known returns the fingerprints of events that are stored already.
func (t *tx) known(batch []tocsin.NewEvent) (map[eventKey][]byte, error) {
	known := map[eventKey][]byte{}
	for len(batch) > 0 {
		n := chunk(len(batch))
		args := make([]any, 0, 2*n)
		for _, e := range batch[:n] {
			args = append(args, e.Event.Source, e.Event.ID)
		}
		_, err := list(t, func(r row) (struct{}, error) {
			var k eventKey
			var print []byte
			err := r.Scan(&k.source, &k.id, &print)
			known[k] = print
			return struct{}{}, err
		}, `SELECT k.source, k.id, k.fingerprint FROM (`+values(n, 2)+`) v
			CROSS JOIN event_keys k ON k.source = v.column1 AND k.id = v.column2`, args...)
		if err != nil {
			return nil, err
		}
		batch = batch[n:]
	}
	return known, nil
}

// add stores events that are new, and what is owed for them. It completes the result.
func (t *tx) add(fresh []tocsin.NewEvent, result *tocsin.AppendResult) error {
	if len(fresh) == 0 {
		return nil
	}
	book, err := t.book(fresh)
	if err != nil {
		return err
	}
	rows := newRows{deltas: map[string]tocsin.Balance{}}
	if err := t.get(`SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'`, nil, &rows.last); err != nil {
		return err
	}
	for i := range fresh {
		if err := t.addEvent(&fresh[i], &book, &rows); err != nil {
			return err
		}
	}
	if err := t.insertRows(&rows); err != nil {
		return err
	}
	result.Owed, result.Incidents = rows.owed(), book.Keys()
	return t.keepIncidents(book.Changed())
}

// newRows are what a batch adds to the tables.
type newRows struct {
	last                              int64 // the latest number of an event
	keys, events, pending, suppressed [][]any
	deltas                            map[string]tocsin.Balance
}

// owed returns the webhooks for which something is pending now.
func (r *newRows) owed() (ids []string) {
	for _, id := range slices.Sorted(maps.Keys(r.deltas)) {
		if r.deltas[id].Pending > 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// addEvent numbers the next event, and decides what is owed for it.
func (t *tx) addEvent(n *tocsin.NewEvent, book *incidents.Book, rows *newRows) error {
	e := n.Event
	rows.last++
	e.Seq, e.ReceivedAt = rows.last, t.now
	row, err := eventRow(&e)
	if err != nil {
		return err
	}
	rows.events = append(rows.events, row)
	rows.keys = append(rows.keys, []any{e.Source, e.ID, e.Seq, n.Fingerprint, micros(t.now)})
	return book.Append(n, e.Seq, t.now, func(o tocsin.Obligation, anyway bool) (suppressed bool, err error) {
		repeat, err := t.repeats(o, anyway, &e)
		if err != nil {
			return false, err
		}
		if repeat {
			o.Suppressed = tocsin.ReasonRepeat
		}
		rows.owe(o, &e)
		return o.Suppressed != "", nil
	})
}

// owe adds the obligation of an event.
func (r *newRows) owe(o tocsin.Obligation, e *tocsin.Event) {
	now := micros(e.ReceivedAt)
	if o.Suppressed != "" {
		r.suppressed = append(r.suppressed, []any{o.WebhookID, e.Seq, 0, o.Suppressed, now})
		r.deltas[o.WebhookID] = r.deltas[o.WebhookID].Add(tocsin.Balance{Accepted: 1, Suppressed: 1})
		return
	}
	r.pending = append(r.pending, []any{o.WebhookID, e.Seq, 0, e.DedupKey, o.BatchKey, len(e.Raw), now})
	r.deltas[o.WebhookID] = r.deltas[o.WebhookID].Add(tocsin.Balance{Accepted: 1, Pending: 1})
}

func (t *tx) insertRows(r *newRows) error {
	slices.SortFunc(r.keys, func(a, b []any) int {
		if c := strings.Compare(a[0].(string), b[0].(string)); c != 0 {
			return c
		}
		return strings.Compare(a[1].(string), b[1].(string))
	})
	for _, part := range []struct {
		head string
		rows [][]any
	}{
		{`INSERT INTO event_keys (source, id, seq, fingerprint, received_at)`, r.keys},
		{insertEvents, r.events},
		{`INSERT INTO pending (webhook_id, seq, generation, dedup_key, batch_key, bytes, owed_at)`, r.pending},
		{`INSERT INTO suppressed (webhook_id, seq, generation, reason, at)`, r.suppressed},
	} {
		if err := t.insert(part.head, part.rows); err != nil {
			return err
		}
	}
	return t.countIn(len(r.events), r.deltas)
}

// countIn counts what came in with so many new events. They go along with one of the deltas,
// and with one of their own, of nobody, only where there is none.
func (t *tx) countIn(events int, moves map[string]tocsin.Balance) error {
	ids := slices.Sorted(maps.Keys(moves))
	if len(ids) == 0 && events > 0 {
		return t.note("", delta{events: events})
	}
	for i, id := range ids {
		d := delta{Balance: moves[id]}
		if i == 0 {
			d.events = events
		}
		if err := t.note(id, d); err != nil {
			return err
		}
	}
	return nil
}
