package postgres

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
)

// filter is a WHERE clause in the making.
type filter struct {
	conditions []string
	args       []any
}

// add appends a condition in which $? stands for the argument.
func (f *filter) add(condition string, arg any) {
	f.conditions = append(f.conditions, strings.ReplaceAll(condition, "$?", f.arg(arg)))
}

// arg adds an argument and returns what stands for it.
func (f *filter) arg(arg any) string {
	f.args = append(f.args, arg)
	return "$" + strconv.Itoa(len(f.args))
}

func (f *filter) where() string {
	if len(f.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(f.conditions, " AND ")
}

func badCursor(cursor string) error {
	return tocsin.Invalid("cursor", "%q is not a cursor; use the one that the page before returned", cursor)
}

// Events implements [tocsin.History].
func (db *DB) Events(ctx context.Context, q tocsin.EventQuery) ([]tocsin.Event, string, error) {
	l := listing[tocsin.Event]{track: eventTrack, columns: eventColumns, limit: q.Limit, scan: listEvent}
	if q.Type != "" {
		l.kind = q.Type
	}
	l.between(q.Since, q.Until)
	if q.Source != "" {
		l.other("e.source = $?", q.Source)
	}
	if q.Subject != "" {
		l.other("e.subject = $?", q.Subject)
	}
	if q.DedupKey != "" {
		l.other("e.dedup_key = $?", q.DedupKey)
	}
	if q.MinSeverity > 0 {
		l.other("e.severity >= $?", int16(q.MinSeverity))
	}
	if q.Text != "" {
		l.other(`(e.title ILIKE $? OR e.summary ILIKE $?)`, like(q.Text))
	}
	return l.page(ctx, db, "listing events", q.Cursor)
}

func listEvent(row pgx.CollectableRow) (listed[tocsin.Event], error) {
	e, err := scanEvent(row)
	return listed[tocsin.Event]{e, deliveryCursor{micros: e.ReceivedAt.UnixMicro(), number: e.Seq}}, err
}

// Event implements [tocsin.History].
func (db *DB) Event(ctx context.Context, source, id string) (tocsin.Event, error) {
	rows, _ := db.pool.Query(ctx, `SELECT `+eventColumns+` FROM event_keys k JOIN events e USING (seq)
		WHERE k.source = $1 AND k.id = $2`, source, id)
	e, err := pgx.CollectExactlyOneRow(rows, scanEvent) // it returns the query's error, too
	return e, wrap("reading event", notFound(err))
}

// EventBySeq implements [tocsin.History].
func (db *DB) EventBySeq(ctx context.Context, seq int64) (tocsin.Event, error) {
	rows, _ := db.pool.Query(ctx, `SELECT `+eventColumns+` FROM events e WHERE e.seq = $1`, seq)
	e, err := pgx.CollectExactlyOneRow(rows, scanEvent)
	return e, wrap("reading event", notFound(err))
}

// readTraces goes through the webhooks, since pending rows are found by webhook and number.
const readTraces = `
SELECT p.webhook_id, p.generation, 'pending' AS bucket, '' AS reason, '' AS delivery_id, 0 AS place
FROM webhooks w JOIN pending p ON p.webhook_id = w.id WHERE p.seq = $1
UNION ALL
SELECT s.webhook_id, s.generation, 'suppressed', s.reason, '', 0 FROM suppressed s WHERE s.seq = $1
UNION ALL
SELECT d.webhook_id, e.generation, ` + bucketOf + `, CASE
	WHEN e.fate = 'dead' THEN e.reason
	WHEN e.fate IS NULL AND d.state IN ('dead', 'cancelled') THEN d.reason
	ELSE '' END, d.id, e.place
FROM delivery_events e JOIN deliveries d ON d.id = e.delivery_id
WHERE e.seq = $1 AND e.fate IS DISTINCT FROM 'moved'
ORDER BY generation, webhook_id`

// Traces implements [tocsin.History].
func (db *DB) Traces(ctx context.Context, seq int64) ([]tocsin.Trace, error) {
	rows, _ := db.pool.Query(ctx, readTraces, seq)
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (tr tocsin.Trace, err error) {
		var place int
		err = row.Scan(&tr.WebhookID, &tr.Generation, &tr.Bucket, &tr.Reason, &tr.DeliveryID, &place)
		return tr, err
	})
	return all, wrap("tracing event", err)
}

// deliveryCursor is the place of a delivery in a list: when it was created, in
// microseconds, its number and its path. For replays it is that of an event, too: when it
// was received, and its number.
type deliveryCursor struct {
	micros, number int64
	path           string
}

func (c deliveryCursor) time() time.Time { return time.UnixMicro(c.micros) }

func (c deliveryCursor) String() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %d %s", c.micros, c.number, c.path))
}

func parseDeliveryCursor(text string) (c deliveryCursor, err error) {
	plain, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return c, badCursor(text)
	}
	parts := strings.SplitN(string(plain), " ", 3)
	if len(parts) != 3 || !isText(parts[2]) {
		return c, badCursor(text)
	}
	c.path = parts[2]
	if c.micros, err = strconv.ParseInt(parts[0], 10, 64); err == nil {
		c.number, err = strconv.ParseInt(parts[1], 10, 64)
	}
	if err != nil {
		return c, badCursor(text)
	}
	return c, nil
}

// Deliveries implements [tocsin.History].
func (db *DB) Deliveries(ctx context.Context, q tocsin.DeliveryQuery) ([]tocsin.Delivery, string, error) {
	l := listing[tocsin.Delivery]{track: deliveryTrack, columns: deliveryColumns + ", d.number, d.path", limit: q.Limit, scan: listDelivery}
	if q.WebhookID != "" {
		l.add("d.webhook_id = $?", q.WebhookID)
	}
	l.between(q.Since, q.Until)
	switch q.State {
	case "":
	case tocsin.DeliveryReady, tocsin.DeliverySending: // few, with an index of their own
		l.add("d.open AND d.state = $?", q.State)
	default:
		l.other("d.state = $?", q.State)
	}
	if q.Type != "" {
		// Deliveries have up to a thousand events. OFFSET 0 has them looked up for each.
		l.at = searchWindow / 10
		l.other(`EXISTS (SELECT FROM delivery_events m JOIN events e ON e.seq = m.seq WHERE m.delivery_id = d.id AND e.type = $? OFFSET 0)`, q.Type)
	}
	if q.WithDead {
		// Looked up for each, too, where few are: by the index on what is dead.
		l.at = cmp.Or(l.at, searchWindow)
		l.other(`(d.state = $? OR EXISTS (SELECT FROM delivery_events m WHERE m.delivery_id = d.id AND m.fate = $? OFFSET 0))`, "dead")
	}
	if q.Parent != "" {
		l.add("d.parent <> '' AND d.parent = $?", q.Parent) // the index says the first
		l.few = true
	}
	return l.page(ctx, db, "listing deliveries", q.Cursor)
}

func listDelivery(row pgx.CollectableRow) (l listed[tocsin.Delivery], err error) {
	err = row.Scan(append(deliveryTargets(&l.row), &l.place.number, &l.place.path)...)
	l.place.micros = l.row.CreatedAt.UnixMicro()
	return l, err
}

// Delivery implements [tocsin.History].
func (db *DB) Delivery(ctx context.Context, id string) (tocsin.Delivery, []tocsin.Attempt, []tocsin.Event, error) {
	var found []tocsin.Delivery
	var attempts []tocsin.Attempt
	var events []tocsin.Event
	err := db.snapshot(ctx, "reading delivery", func(t *tx) error {
		collect(t.queue(`SELECT `+deliveryColumns+` FROM deliveries d WHERE d.id = $1`, id), &found, scanDelivery)
		collect(t.queue(`SELECT number, started_at, finished_at, body FROM attempts WHERE delivery_id = $1 ORDER BY number`, id), &attempts, scanAttempt)
		collect(t.queue(`SELECT `+eventColumns+` FROM delivery_events de JOIN events e USING (seq)
			WHERE de.delivery_id = $1 ORDER BY de.place`, id), &events, scanEvent)
		return nil
	})
	if err == nil && len(found) == 0 {
		err = tocsin.ErrNotFound
	}
	if err != nil {
		return tocsin.Delivery{}, nil, nil, err
	}
	return found[0], attempts, events, nil
}
