package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/tocsin-alerts/tocsin"
)

// filter collects conditions that all must hold.
type filter struct {
	where []string
	args  []any
}

// add adds a condition when it is asked for.
func (f *filter) add(asked bool, condition string, args ...any) {
	if asked {
		f.where, f.args = append(f.where, condition), append(f.args, args...)
	}
}

// page adds the cursor, which is the last number of the page before, and returns how
// many rows to read: one more than the limit, to know whether there is a next page.
func (f *filter) page(p tocsin.Page, column string) (int, error) {
	if p.Limit < 1 || p.Limit > 1000 {
		return 0, tocsin.Invalid("limit", "%d is not a limit; allowed: 1 to 1000", p.Limit)
	}
	if p.Cursor != "" {
		n, err := strconv.ParseInt(p.Cursor, 10, 64)
		if err != nil {
			return 0, tocsin.Invalid("cursor", "%q is not a cursor of this list", p.Cursor)
		}
		f.add(true, column+" < ?", n)
	}
	return p.Limit + 1, nil
}

func (f *filter) String() string {
	if len(f.where) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(f.where, " AND ")
}

// cut returns at most limit rows, and the cursor that goes on after them.
func cut[T any](all []T, limit int, number func(T) int64) ([]T, string) {
	if len(all) <= limit {
		return all, ""
	}
	return all[:limit], strconv.FormatInt(number(all[limit-1]), 10)
}

// Events implements tocsin.History. Since (included) and Until (not included) are
// times of receipt, which is the order of the list.
func (db *DB) Events(ctx context.Context, q tocsin.EventQuery) (events []tocsin.Event, next string, err error) {
	var f filter
	limit, err := f.page(q.Page, "e.seq")
	if err != nil {
		return nil, "", err
	}
	f.add(q.Type != "", "e.type = ?", q.Type)
	f.add(q.Source != "", "e.source = ?", q.Source)
	f.add(q.Subject != "", "e.subject = ?", q.Subject)
	f.add(q.DedupKey != "", "e.dedup_key = ?", q.DedupKey)
	f.add(q.MinSeverity > tocsin.SeverityNone, "e.severity >= ?", int(q.MinSeverity))
	f.add(!q.Since.IsZero(), "e.received_at >= ?", micros(q.Since))
	f.add(!q.Until.IsZero(), "e.received_at < ?", micros(q.Until))
	f.add(q.Text != "", "(tocsin_contains(e.title, ?) OR tocsin_contains(e.summary, ?))", q.Text, q.Text)
	err = db.read(ctx, "listing events", func(t *tx) error {
		events, err = list(t, scanEvent, `SELECT `+eventColumns+` FROM events e`+f.String()+` ORDER BY e.seq DESC LIMIT ?`, append(f.args, limit)...)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	events, next = cut(events, q.Limit, func(e tocsin.Event) int64 { return e.Seq })
	return events, next, nil
}

// Event implements tocsin.History.
func (db *DB) Event(ctx context.Context, source, id string) (e tocsin.Event, err error) {
	err = db.read(ctx, "reading event", func(t *tx) error {
		e, err = one(t, scanEvent, `SELECT `+eventColumns+` FROM event_keys k JOIN events e ON e.seq = k.seq WHERE k.source = ? AND k.id = ?`, source, id)
		return err
	})
	return e, err
}

// EventBySeq implements tocsin.History.
func (db *DB) EventBySeq(ctx context.Context, seq int64) (e tocsin.Event, err error) {
	err = db.read(ctx, "reading event", func(t *tx) error {
		e, err = one(t, scanEvent, `SELECT `+eventColumns+` FROM events e WHERE e.seq = ?`, seq)
		return err
	})
	return e, err
}

// Traces implements tocsin.History.
func (db *DB) Traces(ctx context.Context, seq int64) (traces []tocsin.Trace, err error) {
	err = db.read(ctx, "tracing event", func(t *tx) error {
		traces, err = list(t, func(r row) (tr tocsin.Trace, err error) {
			err = r.Scan(&tr.WebhookID, &tr.Generation, &tr.Bucket, &tr.Reason, &tr.DeliveryID)
			return tr, err
		}, `SELECT w.id AS webhook_id, p.generation, 'pending', '', '' FROM webhooks w CROSS JOIN pending p ON p.webhook_id = w.id AND p.seq = ?1
			UNION ALL SELECT w.id, s.generation, 'suppressed', s.reason, '' FROM webhooks w CROSS JOIN suppressed s ON s.webhook_id = w.id AND s.seq = ?1
			UNION ALL SELECT d.webhook_id, m.generation, m.bucket, m.reason, d.id
				FROM delivery_events m JOIN deliveries d ON d.n = m.delivery WHERE m.seq = ?1 AND m.bucket <> 'split'
			ORDER BY 2, 1`, seq)
		return err
	})
	return traces, err
}

// Deliveries implements tocsin.History. Since (included) and Until (not included) are
// times of planning.
func (db *DB) Deliveries(ctx context.Context, q tocsin.DeliveryQuery) (deliveries []tocsin.Delivery, next string, err error) {
	var f filter
	limit, err := f.page(q.Page, "d.n")
	if err != nil {
		return nil, "", err
	}
	f.add(q.WebhookID != "", "d.webhook_id = ?", q.WebhookID)
	f.add(q.State != "", "d.state = ?", string(q.State))
	f.add(!q.Since.IsZero(), "d.created_at >= ?", micros(q.Since))
	f.add(!q.Until.IsZero(), "d.created_at < ?", micros(q.Until))
	f.add(q.Parent != "", "d.parent <> '' AND d.parent = ?", q.Parent)
	f.add(q.WithDead, `EXISTS (SELECT 1 FROM delivery_events m INDEXED BY delivery_events_dead WHERE m.delivery = d.n AND m.bucket = 'dead')`)
	var found []delivery
	var edge int64
	err = db.read(ctx, "listing deliveries", func(t *tx) error {
		if q.Type != "" {
			if edge, err = t.edge(f); err != nil {
				return err
			}
			f.add(edge > 0, "d.n >= ?", edge)
			f.add(true, `EXISTS (SELECT 1 FROM delivery_events m CROSS JOIN events e ON e.seq = m.seq WHERE m.delivery = d.n AND e.type = ?)`, q.Type)
		}
		found, err = list(t, scanDelivery, `SELECT `+deliveryColumns+` FROM deliveries d`+f.String()+` ORDER BY d.n DESC LIMIT ?`, append(f.args, limit)...)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	found, next = cut(found, q.Limit, func(d delivery) int64 { return d.n })
	if next == "" && edge > 0 {
		next = strconv.FormatInt(edge, 10)
	}
	for _, d := range found {
		deliveries = append(deliveries, d.Delivery)
	}
	return deliveries, next, nil
}

// searchWindow is how many deliveries a page looks at for what no index finds.
const searchWindow = 5000

// edge is the number of the last delivery of a window; 0 when there are fewer.
func (t *tx) edge(f filter) (n int64, err error) {
	err = t.get(`SELECT d.n FROM deliveries d`+f.String()+` ORDER BY d.n DESC LIMIT 1 OFFSET ?`, append(slices.Clone(f.args), searchWindow-1), &n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return n, err
}

// Delivery implements tocsin.History.
func (db *DB) Delivery(ctx context.Context, id string) (tocsin.Delivery, []tocsin.Attempt, []tocsin.Event, error) {
	var d delivery
	var attempts []tocsin.Attempt
	var events []tocsin.Event
	err := db.read(ctx, "reading delivery", func(t *tx) (err error) {
		if d, err = one(t, scanDelivery, `SELECT `+deliveryColumns+` FROM deliveries d WHERE d.id = ?`, id); err != nil {
			return err
		}
		attempts, err = list(t, func(r row) (a tocsin.Attempt, err error) {
			err = r.Scan(inJSON{&a})
			return a, err
		}, `SELECT body FROM attempts WHERE delivery = ? ORDER BY number`, d.n)
		if err != nil {
			return err
		}
		events, err = list(t, scanEvent, `SELECT `+eventColumns+` FROM delivery_events m CROSS JOIN events e ON e.seq = m.seq
			WHERE m.delivery = ? ORDER BY m.place`, d.n)
		return err
	})
	if err != nil {
		return tocsin.Delivery{}, nil, nil, err
	}
	return d.Delivery, attempts, events, nil
}
