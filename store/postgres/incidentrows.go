package postgres

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/internal/incidents"
)

// incidentColumns are those that scanIncident reads, of incidents i. The steps come with
// their incident, from one snapshot.
const incidentColumns = `i.id, i.dedup_key, i.state, i.type, i.title, i.subject, i.severity, i.events, i.opened_at, i.updated_at,
	i.acknowledged_at, i.acknowledged_by, i.resolved_at, i.resolved_by, i.seq, i.version, i.attended,
	(SELECT coalesce(json_agg(s), '[]') FROM incident_steps s WHERE s.incident_id = i.id)`

// stepRow is a row of incident_steps as JSON.
type stepRow struct {
	Number  int64            `json:"number"`
	Webhook string           `json:"webhook_id"`
	To      string           `json:"to_id"`
	After   int64            `json:"after_ns"`
	Unless  string           `json:"unless"`
	State   tocsin.StepState `json:"state"`
	Reason  string           `json:"reason"`
	Seq     int64            `json:"seq"`
	DueAt   time.Time        `json:"due_at"`
	DoneAt  *time.Time       `json:"done_at"`
}

func (r *stepRow) step() tocsin.IncidentStep {
	s := tocsin.IncidentStep{
		ID: r.Number, WebhookID: r.Webhook, To: r.To, After: tocsin.Duration(r.After), Unless: r.Unless,
		State: r.State, Reason: r.Reason, Seq: r.Seq, DueAt: r.DueAt.UTC(),
	}
	if r.DoneAt != nil {
		at := r.DoneAt.UTC()
		s.DoneAt = &at
	}
	return s
}

func incidentTargets(i *tocsin.Incident) (targets []any, finish func() error) {
	var steps []byte
	return []any{&i.ID, &i.DedupKey, &i.State, &i.Type, &i.Title, &i.Subject, &i.Severity, &i.Events, &i.OpenedAt, &i.UpdatedAt,
			&i.AcknowledgedAt, &i.AcknowledgedBy, &i.ResolvedAt, &i.ResolvedBy, &i.Seq, &i.Version, &i.Attended, &steps}, func() error {
			var rows []stepRow
			if err := json.Unmarshal(steps, &rows); err != nil {
				return fmt.Errorf("reading steps of incident %s: %w", i.ID, err)
			}
			i.Steps = make([]tocsin.IncidentStep, len(rows))
			for n := range rows {
				i.Steps[n] = rows[n].step()
			}
			incidents.Sort(i.Steps)
			return nil
		}
}

func scanIncident(row pgx.CollectableRow) (i tocsin.Incident, err error) {
	targets, finish := incidentTargets(&i)
	if err := row.Scan(targets...); err != nil {
		return i, err
	}
	return i, finish()
}

const saveIncidents = `
INSERT INTO incidents AS i (id, key, dedup_key, state, type, title, subject, seq, severity, events, opened_at, updated_at,
	acknowledged_at, acknowledged_by, resolved_at, resolved_by, version, attended, unseen_since)
SELECT n.*, CASE WHEN n.attended < n.version THEN n.updated_at END
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::smallint[], $10::integer[],
	$11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::text[], $15::timestamptz[], $16::text[], $17::bigint[], $18::bigint[])
	AS n (id, key, dedup_key, state, type, title, subject, seq, severity, events, opened_at, updated_at,
		acknowledged_at, acknowledged_by, resolved_at, resolved_by, version, attended)
ON CONFLICT (id) DO UPDATE SET state = excluded.state, type = excluded.type, title = excluded.title, subject = excluded.subject,
	seq = excluded.seq, severity = excluded.severity, events = excluded.events, updated_at = excluded.updated_at,
	acknowledged_at = excluded.acknowledged_at, acknowledged_by = excluded.acknowledged_by,
	resolved_at = excluded.resolved_at, resolved_by = excluded.resolved_by, version = excluded.version, attended = excluded.attended,
	unseen_since = CASE WHEN excluded.unseen_since IS NOT NULL THEN coalesce(i.unseen_since, excluded.unseen_since) END`

// queueIncidents stores incidents that are locked, and their steps. One that is resolved
// comes before the one of its key that follows it, which the unique index asks for.
func (t *tx) queueIncidents(all []*incidents.Incident) {
	if len(all) == 0 {
		return
	}
	var texts [9][]string
	var seqs, versions, attended []int64
	var severities []int16
	var events []int32
	var opened, updated []time.Time
	var acknowledged, resolved []*time.Time
	for _, i := range all {
		for c, text := range [...]string{i.ID, i.Key(), i.DedupKey, string(i.State), i.Type, i.Title, i.Subject, i.AcknowledgedBy, i.ResolvedBy} {
			texts[c] = append(texts[c], text)
		}
		seqs, versions, attended = append(seqs, i.Seq), append(versions, i.Version), append(attended, i.Attended)
		severities, events = append(severities, int16(i.Severity)), append(events, int32(min(i.Events, 1<<31-1))) // #nosec G115 -- of five, and bounded
		opened, updated = append(opened, i.OpenedAt), append(updated, i.UpdatedAt)
		acknowledged, resolved = append(acknowledged, i.AcknowledgedAt), append(resolved, i.ResolvedAt)
	}
	t.queue(saveIncidents, texts[0], texts[1], texts[2], texts[3], texts[4], texts[5], texts[6], seqs, severities, events,
		opened, updated, acknowledged, texts[7], resolved, texts[8], versions, attended)
	t.queueAdded(all)
	t.queueMoved(all)
}

func (t *tx) queueAdded(all []*incidents.Incident) {
	var texts [6][]string
	var afters, seqs []int64
	var due []time.Time
	var done []*time.Time
	for _, i := range all {
		for _, s := range i.Added() {
			for c, text := range [...]string{i.ID, s.WebhookID, s.To, s.Unless, string(s.State), s.Reason} {
				texts[c] = append(texts[c], text)
			}
			afters, seqs, due, done = append(afters, int64(s.After)), append(seqs, s.Seq), append(due, s.DueAt), append(done, s.DoneAt)
		}
	}
	if len(due) > 0 {
		t.queue(`INSERT INTO incident_steps (incident_id, webhook_id, to_id, unless, state, reason, after_ns, seq, due_at, done_at)
			SELECT n.incident_id, n.webhook_id, n.to_id, n.unless, n.state, n.reason, n.after_ns, n.seq, n.due_at, n.done_at
			FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::timestamptz[], $10::timestamptz[])
				WITH ORDINALITY AS n (incident_id, webhook_id, to_id, unless, state, reason, after_ns, seq, due_at, done_at, rank) ORDER BY n.rank`,
			texts[0], texts[1], texts[2], texts[3], texts[4], texts[5], afters, seqs, due, done)
	}
}

func (t *tx) queueMoved(all []*incidents.Incident) {
	var ids, seqs []int64
	var conditions, states, reasons []string
	var due []time.Time
	var done []*time.Time
	for _, i := range all {
		for _, s := range i.Moved() {
			ids, seqs, due, done = append(ids, s.ID), append(seqs, s.Seq), append(due, s.DueAt), append(done, s.DoneAt)
			conditions, states, reasons = append(conditions, s.Unless), append(states, string(s.State)), append(reasons, s.Reason)
		}
	}
	if len(ids) > 0 {
		t.queue(`UPDATE incident_steps s SET unless = n.unless, state = n.state, reason = n.reason, seq = n.seq, due_at = n.due_at, done_at = n.done_at
			FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[], $7::timestamptz[])
				AS n (number, unless, state, reason, seq, due_at, done_at)
			WHERE s.number = n.number`, ids, conditions, states, reasons, seqs, due, done)
	}
}
