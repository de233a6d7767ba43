package sqlite

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/tocsin-alerts/tocsin"
)

// eventKey names an event for ever.
type eventKey struct{ source, id string }

// Append implements tocsin.EventLog.
func (db *DB) Append(ctx context.Context, revision int64, batch []tocsin.NewEvent) ([]tocsin.Appended, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	var answers []tocsin.Appended
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
		if answers, fresh, err = t.sift(batch); err != nil {
			return err
		}
		return t.add(fresh)
	})
	if err != nil {
		return nil, err
	}
	return answers, nil
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

// add stores events that are new, and what is owed for them.
func (t *tx) add(fresh []tocsin.NewEvent) error {
	if len(fresh) == 0 {
		return nil
	}
	var last int64
	if err := t.get(`SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'`, nil, &last); err != nil {
		return err
	}
	var keys, events, pending, suppressed [][]any
	deltas := map[string]tocsin.Balance{}
	for i, n := range fresh {
		e := n.Event
		e.Seq, e.ReceivedAt = last+1+int64(i), t.now
		row, err := eventRow(&e)
		if err != nil {
			return err
		}
		events = append(events, row)
		keys = append(keys, []any{e.Source, e.ID, e.Seq, n.Fingerprint, micros(t.now)})
		for _, o := range n.Owed {
			repeat, err := t.repeats(o, &e)
			if err != nil {
				return err
			}
			if repeat {
				o.Suppressed = tocsin.ReasonRepeat
			}
			if o.Suppressed != "" {
				suppressed = append(suppressed, []any{o.WebhookID, e.Seq, 0, o.Suppressed, micros(t.now)})
				deltas[o.WebhookID] = deltas[o.WebhookID].Add(tocsin.Balance{Accepted: 1, Suppressed: 1})
				continue
			}
			pending = append(pending, []any{o.WebhookID, e.Seq, 0, e.DedupKey, o.BatchKey, len(e.Raw), micros(t.now)})
			deltas[o.WebhookID] = deltas[o.WebhookID].Add(tocsin.Balance{Accepted: 1, Pending: 1})
		}
	}
	slices.SortFunc(keys, func(a, b []any) int {
		if c := strings.Compare(a[0].(string), b[0].(string)); c != 0 {
			return c
		}
		return strings.Compare(a[1].(string), b[1].(string))
	})
	for _, part := range []struct {
		head string
		rows [][]any
	}{
		{`INSERT INTO event_keys (source, id, seq, fingerprint, received_at)`, keys},
		{insertEvents, events},
		{`INSERT INTO pending (webhook_id, seq, generation, dedup_key, batch_key, bytes, owed_at)`, pending},
		{`INSERT INTO suppressed (webhook_id, seq, generation, reason, at)`, suppressed},
	} {
		if err := t.insert(part.head, part.rows); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(deltas)) {
		if err := t.count(id, deltas[id]); err != nil {
			return err
		}
	}
	return nil
}
