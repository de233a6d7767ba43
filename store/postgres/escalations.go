package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/internal/incidents"
)

// escalations are the incidents that a batch is about.
type escalations struct {
	present  map[string]bool // dedup keys with an incident that is not resolved, of events that would change it
	wanted   map[string]bool // dedup keys that are locked
	inserted map[string]bool // keys whose rows are new
	book     incidents.Book
}

// lock finds and queues what locks the incidents that a batch is about, before any number
// of an event is handed out: of what opens and ends an incident, the latest event is then the
// one with the highest number. What turns out to be a duplicate has locked in vain.
func (x *escalations) lock(ctx context.Context, t *tx, batch []tocsin.NewEvent) error {
	if err := x.lookUp(ctx, t, batch); err != nil {
		return err
	}
	for i := range batch {
		x.want(&batch[i])
	}
	x.queueLock(t)
	return nil
}

// lookUp finds which events have an incident to change. Most that are resolved have none,
// and lock nothing: whoever opens one after this comes after them.
func (x *escalations) lookUp(ctx context.Context, t *tx, batch []tocsin.NewEvent) error {
	var keys []string
	seen := map[string]bool{}
	for i := range batch {
		if n := &batch[i]; incidents.Changes(n) && !seen[n.Event.DedupKey] {
			seen[n.Event.DedupKey] = true
			keys = append(keys, tocsin.IncidentKey(n.Event.DedupKey))
		}
	}
	if len(keys) == 0 {
		return nil
	}
	x.present = map[string]bool{}
	t.queue(`SELECT dedup_key FROM incidents WHERE key = ANY($1::text[]) AND state <> 'resolved'`, keys).Query(func(rows pgx.Rows) error {
		var dedupKey string
		_, err := pgx.ForEachRow(rows, []any{&dedupKey}, func() error {
			x.present[dedupKey] = true
			return nil
		})
		return err
	})
	return t.flush(ctx)
}

// want notes whose incident an event needs.
func (x *escalations) want(n *tocsin.NewEvent) {
	if !incidents.Opens(n) && !(incidents.Changes(n) && x.present[n.Event.DedupKey]) {
		return
	}
	if x.wanted == nil {
		x.wanted = map[string]bool{}
	}
	x.wanted[n.Event.DedupKey] = true
}

// lockIncidents locks the keys that are there by inserting those that are not, sorted, so
// that it waits for others in one direction only.
const lockIncidents = `
INSERT INTO incident_keys (key) SELECT k.key FROM unnest($1::text[]) WITH ORDINALITY AS k (key, rank) ORDER BY k.rank
ON CONFLICT (key) DO UPDATE SET key = excluded.key WHERE false
RETURNING key`

// queueLock queues what locks the incidents that are wanted, and reads them in a new
// statement, which sees what others committed before the locks were had.
func (x *escalations) queueLock(t *tx) {
	if len(x.wanted) == 0 {
		return
	}
	var keys []string
	for dedupKey := range x.wanted {
		keys = append(keys, tocsin.IncidentKey(dedupKey))
	}
	slices.Sort(keys)
	x.inserted = map[string]bool{}
	t.queue(lockIncidents, keys).Query(func(rows pgx.Rows) error {
		var key string
		_, err := pgx.ForEachRow(rows, []any{&key}, func() error {
			x.inserted[key] = true
			return nil
		})
		return err
	})
	t.queue(`SELECT `+incidentColumns+` FROM incidents i WHERE i.key = ANY($1::text[]) AND i.state <> 'resolved'`, keys).Query(func(rows pgx.Rows) error {
		all, err := pgx.CollectRows(rows, scanIncident)
		for _, i := range all {
			x.book.Add(i)
		}
		return err
	})
}

// keep queues what became of the incidents, and removes keys for which none was opened.
func (x *escalations) keep(t *tx) {
	t.queueIncidents(x.book.Changed())
	for _, i := range x.book.Changed() {
		delete(x.inserted, i.Key())
	}
	var unused []string
	for key := range x.inserted {
		unused = append(unused, key)
	}
	if len(unused) > 0 {
		t.queue(`DELETE FROM incident_keys WHERE key = ANY($1::text[])`, unused)
	}
}
