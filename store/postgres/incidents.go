package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/internal/incidents"
)

// Incident implements [tocsin.Incidents].
func (db *DB) Incident(ctx context.Context, id string) (tocsin.Incident, error) {
	rows, _ := db.pool.Query(ctx, `SELECT `+incidentColumns+` FROM incidents i WHERE i.id = $1`, id)
	i, err := pgx.CollectExactlyOneRow(rows, scanIncident) // it returns the query's error, too
	return i, wrap("reading incident", notFound(err))
}

// unresolved is the state of IncidentQuery that stands for two.
const unresolved = "unresolved"

// ListIncidents implements [tocsin.Incidents].
func (db *DB) ListIncidents(ctx context.Context, q tocsin.IncidentQuery) ([]tocsin.Incident, string, error) {
	var f filter
	switch tocsin.IncidentState(q.State) {
	case "", tocsin.IncidentResolved:
	default: // in these words, which an index is for
		f.conditions = append(f.conditions, "i.state <> 'resolved'")
	}
	if q.State != "" && q.State != unresolved {
		f.add("i.state = $?", q.State)
	}
	if q.DedupKey != "" {
		f.add("i.key = $?", tocsin.IncidentKey(q.DedupKey))
	}
	if q.MinSeverity > 0 {
		f.add("i.severity >= $?", int16(q.MinSeverity))
	}
	if !q.Since.IsZero() {
		f.add("i.opened_at >= $?", q.Since)
	}
	if !q.Until.IsZero() {
		f.add("i.opened_at < $?", q.Until)
	}
	return byNumber(ctx, db, "listing incidents", incidentColumns+`, number FROM incidents i`, f, q.Page, func(row pgx.CollectableRow) (i tocsin.Incident, number int64, err error) {
		targets, finish := incidentTargets(&i)
		if err := row.Scan(append(targets, &number)...); err != nil {
			return i, 0, err
		}
		return i, number, finish()
	})
}

// Attend implements [tocsin.Incidents]. All incidents of the key are seen: a batch may
// have resolved one and opened the next.
func (db *DB) Attend(ctx context.Context, key string) (i tocsin.Incident, now time.Time, err error) {
	err = db.transact(ctx, "attending to incident", func(t *tx) error {
		var all []tocsin.Incident
		t.queue(`SELECT FROM incident_keys WHERE key = $1 FOR UPDATE`, key)
		t.queue(`UPDATE incidents SET attended = version, unseen_since = NULL WHERE key = $1 AND attended < version`, key)
		collect(t.queue(`SELECT `+incidentColumns+` FROM incidents i WHERE i.key = $1 ORDER BY i.number DESC LIMIT 1`, key), &all, scanIncident)
		t.one(nil, `SELECT clock_timestamp()`, nil, &now)
		if err := t.flush(ctx); err != nil {
			return err
		}
		if len(all) == 0 {
			return tocsin.ErrNotFound
		}
		i = all[0]
		return nil
	})
	if err != nil {
		return tocsin.Incident{}, time.Time{}, err
	}
	return i, now, nil
}

// nextGeneration is the one after the last under which $1 is owed an event e, whatever
// became of it.
const nextGeneration = `(SELECT coalesce(max(generation) + 1, 0) FROM (
		SELECT p.generation FROM pending p WHERE p.webhook_id = $1 AND p.seq = e.seq
		UNION ALL SELECT s.generation FROM suppressed s WHERE s.webhook_id = $1 AND s.seq = e.seq
		UNION ALL SELECT m.generation FROM delivery_events m JOIN deliveries d ON d.id = m.delivery_id WHERE m.seq = e.seq AND d.webhook_id = $1
	) AS known)`

const (
	// owedAgain tells those who look for what is pending that old events are; the caller
	// has locked the lease.
	owedAgain  = `UPDATE leases SET owed_again = owed_again + 1 WHERE webhook_id = $1`
	owePending = `
WITH o AS (
	INSERT INTO pending (webhook_id, seq, generation, dedup_key, batch_key, bytes, owed_at)
	SELECT $1, e.seq, ` + nextGeneration + `, e.dedup_key, $3, octet_length(e.raw), clock_timestamp() FROM events e WHERE e.seq = $2
	RETURNING webhook_id
) INSERT INTO ledger_deltas (webhook_id, accepted, pending) SELECT webhook_id, 1, 1 FROM o`
	oweSuppressed = `
WITH o AS (
	INSERT INTO suppressed (webhook_id, seq, generation, reason, at)
	SELECT $1, e.seq, ` + nextGeneration + `, $3, clock_timestamp() FROM events e WHERE e.seq = $2
	RETURNING webhook_id
) INSERT INTO ledger_deltas (webhook_id, accepted, suppressed) SELECT webhook_id, 1, 1 FROM o`
)

// Escalate implements [tocsin.Incidents]. RepeatAfter is for Append alone: what people are
// to hear since nobody did anything is no repeat. Under the lock of the webhook's lease
// nobody else moves its obligations, so that the generation is nobody else's; and the
// event is there, since the incident refers to it.
func (db *DB) Escalate(ctx context.Context, incidentID string, step, seq int64, owed tocsin.Obligation, skip string) (tocsin.Incident, error) {
	var all []tocsin.Incident
	err := db.transact(ctx, "escalating", func(t *tx) error {
		var now time.Time
		t.queue(`SELECT FROM incident_keys WHERE key = (SELECT key FROM incidents WHERE id = $1) FOR UPDATE`, incidentID)
		if owed.WebhookID != "" {
			t.queue(`SELECT FROM leases WHERE webhook_id = $1 FOR UPDATE`, owed.WebhookID)
		}
		collect(t.queue(`SELECT `+incidentColumns+` FROM incidents i WHERE i.id = $1`, incidentID), &all, scanIncident)
		t.one(nil, `SELECT clock_timestamp()`, nil, &now)
		if err := t.flush(ctx); err != nil {
			return err
		}
		if len(all) == 0 {
			return tocsin.ErrNotFound
		}
		i := incidents.Stored(all[0])
		changed, owe, err := i.Make(step, seq, now, owed, skip)
		if err != nil || !changed {
			return err
		}
		switch {
		case !owe:
		case owed.Suppressed != "":
			t.queue(oweSuppressed, owed.WebhookID, i.Seq, owed.Suppressed)
		default:
			t.queue(owedAgain, owed.WebhookID)
			t.queue(owePending, owed.WebhookID, i.Seq, owed.BatchKey)
		}
		t.queueIncidents([]*incidents.Incident{i})
		all[0] = i.Incident
		return nil
	})
	if err != nil {
		return tocsin.Incident{}, err
	}
	return all[0], nil
}

// unattended asks for the moment once, which lets indexes answer.
const unattended = `
WITH past AS MATERIALIZED (SELECT clock_timestamp() - $1::interval AS at), found AS (
	(SELECT key, unseen_since AS since FROM incidents WHERE unseen_since < (SELECT at FROM past) ORDER BY unseen_since LIMIT $2)
	UNION ALL
	(SELECT i.key, s.due_at FROM incident_steps s JOIN incidents i ON i.id = s.incident_id
		WHERE s.state = 'waiting' AND s.due_at < (SELECT at FROM past) ORDER BY s.due_at LIMIT $2)
)
SELECT key FROM found GROUP BY key ORDER BY min(since), key LIMIT $2`

// Unattended implements [tocsin.Incidents], those that wait longest first.
func (db *DB) Unattended(ctx context.Context, grace time.Duration, limit int) ([]string, error) {
	rows, _ := db.pool.Query(ctx, unattended, grace, limit) // CollectRows returns its error
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return keys, wrap("looking for incidents that nobody attends to", err)
}
