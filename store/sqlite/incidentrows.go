package sqlite

import (
	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/internal/incidents"
)

const incidentColumns = `n, id, dedup_key, state, type, title, subject, severity, events, opened_at, updated_at,
	acknowledged_at, acknowledged_by, resolved_at, resolved_by, seq, version, attended`

// incident is one as stored.
type incident struct {
	tocsin.Incident
	n int64
}

func scanIncident(r row) (i incident, err error) {
	err = r.Scan(&i.n, &i.ID, &i.DedupKey, &i.State, &i.Type, &i.Title, &i.Subject, &i.Severity, &i.Events, at{&i.OpenedAt}, at{&i.UpdatedAt},
		atMaybe{&i.AcknowledgedAt}, &i.AcknowledgedBy, atMaybe{&i.ResolvedAt}, &i.ResolvedBy, &i.Seq, &i.Version, &i.Attended)
	return i, err
}

// incidents returns those that a query finds, with their steps.
func (t *tx) incidents(query string, args ...any) ([]incident, error) {
	all, err := list(t, scanIncident, query, args...)
	for k := range all {
		if err == nil {
			all[k].Steps, err = list(t, scanStep, `SELECT n, webhook_id, to_id, after_ns, unless, state, reason, seq, due_at, done_at
				FROM incident_steps WHERE incident_id = ? ORDER BY due_at, n`, all[k].ID)
		}
	}
	return all, err
}

func scanStep(r row) (s tocsin.IncidentStep, err error) {
	var after int64
	err = r.Scan(&s.ID, &s.WebhookID, &s.To, &after, &s.Unless, &s.State, &s.Reason, &s.Seq, at{&s.DueAt}, atMaybe{&s.DoneAt})
	s.After = tocsin.Duration(after)
	return s, err
}

// incident returns the first that a query finds; ErrNotFound.
func (t *tx) incident(query string, args ...any) (tocsin.Incident, error) {
	all, err := t.incidents(query, args...)
	if err == nil && len(all) == 0 {
		err = tocsin.ErrNotFound
	}
	if err != nil {
		return tocsin.Incident{}, err
	}
	return all[0].Incident, nil
}

// book returns the incidents that new events are about.
func (t *tx) book(fresh []tocsin.NewEvent) (b incidents.Book, err error) {
	var keys []string
	seen := map[string]bool{}
	for i := range fresh {
		n := &fresh[i]
		if (incidents.Opens(n) || incidents.Changes(n)) && !seen[n.Event.DedupKey] {
			seen[n.Event.DedupKey] = true
			keys = append(keys, tocsin.IncidentKey(n.Event.DedupKey))
		}
	}
	if len(keys) == 0 {
		return b, nil
	}
	text, err := asJSON(keys)
	if err != nil {
		return b, err
	}
	all, err := t.incidents(`SELECT `+incidentColumns+` FROM incidents WHERE key IN (SELECT value FROM json_each(?)) AND state <> 'resolved'`, text)
	for _, i := range all {
		b.Add(i.Incident)
	}
	return b, err
}

// keepIncidents stores what became of incidents. One that is resolved comes before the
// one of its key that follows it, which the unique index asks for.
func (t *tx) keepIncidents(all []*incidents.Incident) error {
	for _, i := range all {
		if err := t.keepIncident(i); err != nil {
			return err
		}
		for _, s := range i.Added() {
			if _, err := t.exec(`INSERT INTO incident_steps (incident_id, webhook_id, to_id, after_ns, unless, state, reason, seq, due_at, done_at)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, i.ID, s.WebhookID, s.To, int64(s.After), s.Unless, string(s.State), s.Reason, s.Seq,
				micros(s.DueAt), maybe(s.DoneAt)); err != nil {
				return err
			}
		}
		for _, s := range i.Moved() {
			if _, err := t.exec(`UPDATE incident_steps SET unless = ?, state = ?, reason = ?, seq = ?, due_at = ?, done_at = ? WHERE n = ?`,
				s.Unless, string(s.State), s.Reason, s.Seq, micros(s.DueAt), maybe(s.DoneAt), s.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tx) keepIncident(i *incidents.Incident) error {
	var unseen any
	if i.Attended < i.Version {
		unseen = micros(i.UpdatedAt)
	}
	_, err := t.exec(`INSERT INTO incidents (id, key, dedup_key, state, type, title, subject, seq, severity, events, opened_at, updated_at,
			acknowledged_at, acknowledged_by, resolved_at, resolved_by, version, attended, unseen_since)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET state = excluded.state, type = excluded.type, title = excluded.title, subject = excluded.subject,
			seq = excluded.seq, severity = excluded.severity, events = excluded.events, updated_at = excluded.updated_at,
			acknowledged_at = excluded.acknowledged_at, acknowledged_by = excluded.acknowledged_by,
			resolved_at = excluded.resolved_at, resolved_by = excluded.resolved_by, version = excluded.version, attended = excluded.attended,
			unseen_since = CASE WHEN excluded.unseen_since IS NOT NULL THEN coalesce(unseen_since, excluded.unseen_since) END`,
		i.ID, i.Key(), i.DedupKey, string(i.State), i.Type, i.Title, i.Subject, i.Seq, int(i.Severity), i.Events, micros(i.OpenedAt), micros(i.UpdatedAt),
		maybe(i.AcknowledgedAt), i.AcknowledgedBy, maybe(i.ResolvedAt), i.ResolvedBy, i.Version, i.Attended, unseen)
	return err
}
