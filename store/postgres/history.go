package postgres

import (
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

// Events implements [tocsin.History]. Its cursor is the number of the last event.
func (db *DB) Events(ctx context.Context, q tocsin.EventQuery) ([]tocsin.Event, string, error) {
	var f filter
	if q.Cursor != "" {
		seq, err := strconv.ParseInt(q.Cursor, 10, 64)
		if err != nil {
			return nil, "", badCursor(q.Cursor)
		}
		f.add("e.seq < $?", seq)
	}
	for column, value := range map[string]string{"type": q.Type, "source": q.Source, "subject": q.Subject} {
		if value != "" {
			f.add("e."+column+" = $?", value)
		}
	}
	if q.MinSeverity > 0 {
		f.add("e.severity >= $?", int16(q.MinSeverity))
	}
	if !q.Since.IsZero() {
		f.add("e.received_at >= $?", q.Since)
	}
	if !q.Until.IsZero() {
		f.add("e.received_at < $?", q.Until)
	}
	if q.Text != "" {
		f.add(`(e.title ILIKE $? OR e.summary ILIKE $?)`, "%"+strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(q.Text)+"%")
	}
	rows, _ := db.pool.Query(ctx, fmt.Sprintf(`SELECT %s FROM events e%s ORDER BY e.seq DESC LIMIT %d`, eventColumns, f.where(), q.Limit+1), f.args...)
	events, err := pgx.CollectRows(rows, scanEvent) // it returns the query's error, too
	if err != nil {
		return nil, "", wrap("listing events", err)
	}
	if len(events) <= q.Limit {
		return events, "", nil
	}
	events = events[:q.Limit]
	return events, strconv.FormatInt(events[q.Limit-1].Seq, 10), nil
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

// readTraces goes through the webhooks, since pending and suppressed rows are found by
// webhook and number.
const readTraces = `
SELECT p.webhook_id, p.generation, 'pending' AS bucket, '' AS reason, '' AS delivery_id, 0 AS place
FROM webhooks w JOIN pending p ON p.webhook_id = w.id WHERE p.seq = $1
UNION ALL
SELECT s.webhook_id, s.generation, 'suppressed', s.reason, '', 0
FROM webhooks w JOIN suppressed s ON s.webhook_id = w.id WHERE s.seq = $1
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
	var f filter
	if q.Cursor != "" {
		c, err := parseDeliveryCursor(q.Cursor)
		if err != nil {
			return nil, "", err
		}
		f.args = append(f.args, c.time(), c.number, c.path)
		f.conditions = append(f.conditions, "(d.created_at, d.number, d.path) < ($1, $2, $3)")
	}
	if q.WebhookID != "" {
		f.add("d.webhook_id = $?", q.WebhookID)
	}
	if q.State != "" {
		f.add("d.state = $?", q.State)
	}
	if !q.Since.IsZero() {
		f.add("d.created_at >= $?", q.Since)
	}
	if !q.Until.IsZero() {
		f.add("d.created_at < $?", q.Until)
	}
	var last deliveryCursor
	rows, _ := db.pool.Query(ctx, fmt.Sprintf(`SELECT %s, d.number, d.path FROM deliveries d%s
		ORDER BY d.created_at DESC, d.number DESC, d.path DESC LIMIT %d`, deliveryColumns, f.where(), q.Limit+1), f.args...)
	n := 0
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d tocsin.Delivery, err error) {
		var c deliveryCursor
		err = row.Scan(append(deliveryTargets(&d), &c.number, &c.path)...)
		if n++; n == q.Limit {
			c.micros = d.CreatedAt.UnixMicro()
			last = c
		}
		return d, err
	})
	if err != nil {
		return nil, "", wrap("listing deliveries", err)
	}
	if len(all) <= q.Limit {
		return all, "", nil
	}
	return all[:q.Limit], last.String(), nil
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
