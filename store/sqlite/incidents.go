package sqlite

import (
	"context"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/internal/incidents"
)

const incidentByID = `SELECT ` + incidentColumns + ` FROM incidents WHERE id = ?`

// Incident implements tocsin.Incidents.
func (db *DB) Incident(ctx context.Context, id string) (i tocsin.Incident, err error) {
	err = db.read(ctx, "reading incident", func(t *tx) error {
		i, err = t.incident(incidentByID, id)
		return err
	})
	return i, err
}

// unresolved is the state of IncidentQuery that stands for two.
const unresolved = "unresolved"

// ListIncidents implements tocsin.Incidents.
func (db *DB) ListIncidents(ctx context.Context, q tocsin.IncidentQuery) (all []tocsin.Incident, next string, err error) {
	var f filter
	limit, err := f.page(q.Page, "n")
	if err != nil {
		return nil, "", err
	}
	f.add(q.State == unresolved, "state <> 'resolved'")
	f.add(q.State != "" && q.State != unresolved, "state = ?", q.State)
	f.add(q.DedupKey != "", "key = ?", tocsin.IncidentKey(q.DedupKey))
	f.add(q.MinSeverity > tocsin.SeverityNone, "severity >= ?", int(q.MinSeverity))
	f.add(!q.Since.IsZero(), "opened_at >= ?", micros(q.Since))
	f.add(!q.Until.IsZero(), "opened_at < ?", micros(q.Until))
	var found []incident
	err = db.read(ctx, "listing incidents", func(t *tx) error {
		found, err = t.incidents(`SELECT `+incidentColumns+` FROM incidents`+f.String()+` ORDER BY n DESC LIMIT ?`, append(f.args, limit)...)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	found, next = cut(found, q.Limit, func(i incident) int64 { return i.n })
	for _, i := range found {
		all = append(all, i.Incident)
	}
	return all, next, nil
}

// Attend implements tocsin.Incidents. All incidents of the key are seen: a batch may have
// resolved one and opened the next.
func (db *DB) Attend(ctx context.Context, key string) (i tocsin.Incident, now time.Time, err error) {
	err = db.write(ctx, "attending to incident", func(t *tx) error {
		if _, err := t.exec(`UPDATE incidents SET attended = version, unseen_since = NULL WHERE key = ? AND attended < version`, key); err != nil {
			return err
		}
		now = t.now
		i, err = t.incident(`SELECT `+incidentColumns+` FROM incidents WHERE key = ? ORDER BY n DESC LIMIT 1`, key)
		return err
	})
	if err != nil {
		return tocsin.Incident{}, time.Time{}, err
	}
	return i, now, nil
}

// nextGeneration is the one after the last under which ?1 is owed the event ?2, whatever
// became of it.
const nextGeneration = `(SELECT coalesce(max(generation) + 1, 0) FROM (
		SELECT generation FROM pending WHERE webhook_id = ?1 AND seq = ?2
		UNION ALL SELECT generation FROM suppressed WHERE webhook_id = ?1 AND seq = ?2
		UNION ALL SELECT m.generation FROM delivery_events m INDEXED BY delivery_events_seq CROSS JOIN deliveries d ON d.n = m.delivery
			WHERE m.seq = ?2 AND d.webhook_id = ?1))`

// Escalate implements tocsin.Incidents. RepeatAfter is for Append alone: what people are to
// hear since nobody did anything is no repeat. The event is there, since the incident
// refers to it.
func (db *DB) Escalate(ctx context.Context, incidentID string, step, seq int64, owed tocsin.Obligation, skip string) (i tocsin.Incident, err error) {
	err = db.write(ctx, "escalating", func(t *tx) error {
		stored, err := t.incident(incidentByID, incidentID)
		if err != nil {
			return err
		}
		locked := incidents.Stored(stored)
		changed, owe, err := locked.Make(step, seq, t.now, owed, skip)
		if err != nil {
			return err
		}
		if i = locked.Incident; !changed {
			return nil
		}
		if owe {
			if err := t.oweNext(i.Seq, owed); err != nil {
				return err
			}
		}
		return t.keepIncidents([]*incidents.Incident{locked})
	})
	if err != nil {
		return tocsin.Incident{}, err
	}
	return i, nil
}

// oweNext owes an event as a new generation, or suppresses it, and counts it.
func (t *tx) oweNext(seq int64, o tocsin.Obligation) error {
	count, query := tocsin.Balance{Accepted: 1, Pending: 1}, `INSERT INTO pending (webhook_id, seq, generation, dedup_key, batch_key, bytes, owed_at)
		SELECT ?1, e.seq, `+nextGeneration+`, e.dedup_key, ?3, coalesce(length(e.raw), 0), ?4 FROM events e WHERE e.seq = ?2`
	text := o.BatchKey
	if o.Suppressed != "" {
		count, text = tocsin.Balance{Accepted: 1, Suppressed: 1}, o.Suppressed
		query = `INSERT INTO suppressed (webhook_id, seq, generation, reason, at)
			SELECT ?1, e.seq, ` + nextGeneration + `, ?3, ?4 FROM events e WHERE e.seq = ?2`
	}
	n, err := t.exec(query, o.WebhookID, seq, text, micros(t.now))
	if err != nil || n == 0 {
		return err
	}
	return t.count(o.WebhookID, count)
}

// Unattended implements tocsin.Incidents, those that wait longest first.
func (db *DB) Unattended(ctx context.Context, grace time.Duration, limit int) (keys []string, err error) {
	err = db.read(ctx, "looking for incidents that nobody attends to", func(t *tx) error {
		keys, err = list(t, scanID, `SELECT key FROM (
				SELECT * FROM (SELECT key, unseen_since AS since FROM incidents WHERE unseen_since < ?1 ORDER BY unseen_since LIMIT ?2)
				UNION ALL SELECT * FROM (SELECT i.key, s.due_at FROM incident_steps s CROSS JOIN incidents i ON i.id = s.incident_id
					WHERE s.state = 'waiting' AND s.due_at < ?1 ORDER BY s.due_at LIMIT ?2)
			) GROUP BY key ORDER BY min(since), key LIMIT ?2`, micros(t.now.Add(-grace)), limit)
		return err
	})
	return keys, err
}
