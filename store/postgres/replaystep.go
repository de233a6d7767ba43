package postgres

import (
	"context"

	"github.com/tocsin-alerts/tocsin"
)

// ReplayStep implements [tocsin.Replays]. The replay's row is locked before all else, so
// that of two calls the second finds the cursor moved.
func (db *DB) ReplayStep(ctx context.Context, id string, step tocsin.ReplayStep) (tocsin.Replay, error) {
	var s *replaying
	err := db.transact(ctx, "replaying", func(t *tx) error {
		s = &replaying{step: step}
		var err error
		if s.replay, err = t.lockReplay(ctx, id); err != nil {
			return err
		}
		if s.replay.State != tocsin.ReplayRunning || s.replay.Cursor != step.From {
			return nil
		}
		return s.run(ctx, t)
	})
	if err != nil {
		return tocsin.Replay{}, err
	}
	return s.replay, nil
}

// replaying is one try of one step.
type replaying struct {
	step    tocsin.ReplayStep
	replay  tocsin.Replay
	webhook tocsin.State // "" when it is gone
	sends   []*redelivery
}

// run has three round trips: look, write, and count what was written.
func (s *replaying) run(ctx context.Context, t *tx) error {
	s.look(t)
	if err := t.flush(ctx); err != nil {
		return err
	}
	if s.webhook == "" || s.webhook == tocsin.StateDeleted {
		s.replay.State, s.replay.Reason = tocsin.ReplayFailed, tocsin.ReasonDeleted
		t.moveReplay(&s.replay)
		return nil
	}
	move, sent, events := s.send(t)
	var owed int64
	s.owe(t, &owed)
	if err := t.flush(ctx); err != nil {
		return err
	}
	ledgerMoves{s.replay.WebhookID: move.Add(tocsin.Balance{Accepted: owed, Pending: owed})}.queue(t)
	r := &s.replay
	r.Cursor, r.Replayed, r.Deliveries = s.step.To, r.Replayed+events+owed, r.Deliveries+sent
	r.Skipped += int64(s.step.Skipped+len(s.step.Send)+len(s.step.Owe)) - sent - owed
	if s.step.Done {
		r.State = tocsin.ReplayDone
	}
	t.moveReplay(r)
	return nil
}

// look locks everything the step is about. Under the lease's lock nobody else moves
// obligations of the webhook. An event is locked against being deleted: whoever deletes
// events locks them FOR UPDATE first, and looks for what refers to them in a later
// statement.
func (s *replaying) look(t *tx) {
	t.queue(`SELECT FROM leases WHERE webhook_id = $1 FOR UPDATE`, s.replay.WebhookID)
	t.one(nil, `SELECT state FROM webhooks WHERE id = $1`, []any{s.replay.WebhookID}, &s.webhook)
	for _, id := range distinct(append([]string{}, s.step.Send...)) {
		r := &redelivery{id: id}
		r.look(t)
		s.sends = append(s.sends, r)
	}
	var seqs []int64
	for _, e := range s.step.Owe {
		seqs = append(seqs, e.Seq)
	}
	if len(seqs) > 0 {
		t.queue(`SELECT FROM events WHERE seq = ANY($1::bigint[]) ORDER BY seq FOR KEY SHARE`, seqs)
	}
}

// send makes deliveries ready: those that still are what the replay selects.
func (s *replaying) send(t *tx) (move tocsin.Balance, deliveries, events int64) {
	for _, r := range s.sends {
		if r.refusal() != nil || r.webhook != s.replay.WebhookID || !r.selected(s.replay.What) {
			continue
		}
		move = move.Add(r.reopen(t))
		deliveries++
		events += r.due()
	}
	return move, deliveries, events
}

// oweEvents owes those that are there, under the generation after their last. Of an
// event named twice the first counts.
const oweEvents = `
INSERT INTO pending (webhook_id, seq, generation, dedup_key, batch_key, bytes, owed_at)
SELECT $1, e.seq, coalesce(known.last + 1, 0), e.dedup_key, o.batch_key, octet_length(e.raw), clock_timestamp()
FROM (SELECT DISTINCT ON (seq) seq, batch_key FROM unnest($2::bigint[], $3::text[]) WITH ORDINALITY AS n (seq, batch_key, rank) ORDER BY seq, rank) AS o
JOIN events e USING (seq) CROSS JOIN LATERAL (
	SELECT max(generation) AS last, bool_or(owed) AS owed FROM (
		SELECT p.generation, true AS owed FROM pending p WHERE p.webhook_id = $1 AND p.seq = e.seq
		UNION ALL SELECT s.generation, false FROM suppressed s WHERE s.webhook_id = $1 AND s.seq = e.seq
		UNION ALL SELECT m.generation, ` + stillOwed + `
			FROM delivery_events m JOIN deliveries d ON d.id = m.delivery_id WHERE m.seq = e.seq AND d.webhook_id = $1
	) AS obligations
) AS known
WHERE known.owed IS NOT TRUE AND NOT ($4 AND known.last IS NOT NULL)`

// owe queues what makes events pending again.
func (s *replaying) owe(t *tx, owed *int64) {
	var seqs []int64
	var batchKeys []string
	for _, e := range s.step.Owe {
		seqs, batchKeys = append(seqs, e.Seq), append(batchKeys, e.BatchKey)
	}
	if len(seqs) > 0 {
		t.queue(owedAgain, s.replay.WebhookID)
		affected(t.queue(oweEvents, s.replay.WebhookID, seqs, batchKeys, s.replay.What == tocsin.ReplayMissing), owed)
	}
}
