package sqlite

import (
	"context"
	"errors"

	"github.com/tocsin-alerts/tocsin"
)

// ReplayStep implements tocsin.Replays.
func (db *DB) ReplayStep(ctx context.Context, id string, step tocsin.ReplayStep) (r tocsin.Replay, err error) {
	err = db.write(ctx, "replaying", func(t *tx) error {
		if r, err = t.replay(id); err != nil || r.State != tocsin.ReplayRunning || r.Cursor != step.From {
			return err
		}
		w, err := t.webhook(r.WebhookID)
		if errors.Is(err, tocsin.ErrNotFound) || err == nil && w.State == tocsin.StateDeleted {
			r.State, r.Reason = tocsin.ReplayFailed, tocsin.ReasonDeleted
			return t.moveReplay(&r)
		}
		if err == nil {
			err = t.replayStep(&r, w, step)
		}
		if err != nil {
			return err
		}
		if r.Cursor = step.To; step.Done {
			r.State = tocsin.ReplayDone
		}
		return t.moveReplay(&r)
	})
	if err != nil {
		return tocsin.Replay{}, err
	}
	return r, nil
}

// replayStep sends and owes again, and counts it.
func (t *tx) replayStep(r *tocsin.Replay, w tocsin.Webhook, step tocsin.ReplayStep) error {
	r.Skipped += int64(step.Skipped)
	for _, id := range step.Send {
		events, err := t.sendAgain(r, w, id)
		if err != nil {
			return err
		}
		if events == 0 {
			r.Skipped++
			continue
		}
		r.Deliveries++
		r.Replayed += int64(events)
	}
	var owed int64
	for _, e := range step.Owe {
		n, err := t.exec(oweEvent, w.ID, e.Seq, e.BatchKey, micros(t.now), r.What == tocsin.ReplayMissing)
		if err != nil {
			return err
		}
		owed += int64(n)
	}
	r.Replayed += owed
	r.Skipped += int64(len(step.Owe)) - owed
	return t.count(w.ID, tocsin.Balance{Accepted: owed, Pending: owed})
}

// sendAgain makes a delivery ready that still is what the replay selects, and returns
// how many events that sends; 0 when it cannot be sent again.
func (t *tx) sendAgain(r *tocsin.Replay, w tocsin.Webhook, id string) (events int, err error) {
	d, err := one(t, scanDelivery, deliveryByID, id)
	switch {
	case errors.Is(err, tocsin.ErrNotFound):
		return 0, nil
	case err != nil:
		return 0, err
	case d.WebhookID != w.ID:
		return 0, nil
	}
	if selected, err := t.selected(r.What, d); err != nil || !selected {
		return 0, err
	}
	events, err = t.redeliver(d, w)
	if tocsin.CodeOf(err) == tocsin.CodeConflict {
		return 0, nil
	}
	return events, err
}

// selected reports whether a replay of this kind sends the delivery again.
func (t *tx) selected(what tocsin.ReplayWhat, d delivery) (bool, error) {
	if what == tocsin.ReplayDead && (d.State == tocsin.DeliveryDelivered || d.State == tocsin.DeliverySplit) {
		return t.hasDead(d.n)
	}
	return string(d.State) == string(what), nil // they are called the same
}

// oweEvent owes an event that is there, under the generation after its last.
const oweEvent = `
INSERT INTO pending (webhook_id, seq, generation, dedup_key, batch_key, bytes, owed_at)
SELECT ?1, e.seq, coalesce(known.last + 1, 0), e.dedup_key, ?3, coalesce(length(e.raw), 0), ?4
FROM events e CROSS JOIN (
	SELECT max(generation) AS last, coalesce(max(owed), 0) AS owed FROM (
		SELECT generation, 1 AS owed FROM pending WHERE webhook_id = ?1 AND seq = ?2
		UNION ALL SELECT generation, 0 FROM suppressed WHERE webhook_id = ?1 AND seq = ?2
		UNION ALL SELECT m.generation, ` + stillOwed + `
			FROM delivery_events m INDEXED BY delivery_events_seq CROSS JOIN deliveries d ON d.n = m.delivery WHERE m.seq = ?2 AND d.webhook_id = ?1
	)
) AS known
WHERE e.seq = ?2 AND NOT known.owed AND NOT (?5 AND known.last IS NOT NULL)`
