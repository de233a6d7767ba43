package postgres

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
)

const auditColumns = `id, at, actor, address, action, object, name, before, after, outcome, detail`

func auditTargets(e *tocsin.AuditEntry) []any {
	return []any{&e.ID, &e.At, &e.Actor, &e.Address, &e.Action, &e.Object, &e.Name, (*[]byte)(&e.Before), (*[]byte)(&e.After), &e.Outcome, &e.Detail}
}

// BeginAudit implements [tocsin.AuditLog]. What others wrote is made to fit: an entry
// must not be lost for a byte in it. Repeated with the same ID it returns what is stored.
func (db *DB) BeginAudit(ctx context.Context, e tocsin.AuditEntry) (stored tocsin.AuditEntry, err error) {
	if e.ID == "" {
		e.ID = tocsin.NewID(tocsin.PrefixAudit)
	}
	err = db.transact(ctx, "writing audit entry", func(t *tx) error {
		t.queue(`INSERT INTO audit (`+auditColumns+`) VALUES ($1, clock_timestamp(), $2, $3, $4, $5, $6, $7::json, $8::json, $9, $10)
			ON CONFLICT (id) DO NOTHING`,
			e.ID, clean(e.Actor), clean(e.Address), clean(e.Action), clean(e.Object), clean(e.Name), orNull(e.Before), orNull(e.After),
			e.Outcome, clean(e.Detail))
		t.one(nil, `SELECT `+auditColumns+` FROM audit WHERE id = $1`, []any{e.ID}, auditTargets(&stored)...)
		return nil
	})
	if err != nil {
		return tocsin.AuditEntry{}, err
	}
	return stored, nil
}

// EndAudit implements [tocsin.AuditLog].
func (db *DB) EndAudit(ctx context.Context, e tocsin.AuditEntry) error {
	tag, err := db.pool.Exec(ctx, `UPDATE audit SET outcome = $2, detail = $3, object = coalesce(nullif($4, ''), object),
			name = coalesce(nullif($5, ''), name), before = coalesce($6::json, before), after = coalesce($7::json, after)
		WHERE id = $1`, e.ID, e.Outcome, clean(e.Detail), clean(e.Object), clean(e.Name), orNull(e.Before), orNull(e.After))
	if err == nil && tag.RowsAffected() == 0 {
		err = tocsin.ErrNotFound
	}
	return wrap("completing audit entry", err)
}

// auditCursor is the place of an entry in a list: its moment in microseconds, and its
// number.
type auditCursor struct{ micros, number int64 }

func (c auditCursor) String() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %d", c.micros, c.number))
}

func parseAuditCursor(text string) (c auditCursor, err error) {
	plain, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		_, err = fmt.Sscanf(string(plain), "%d %d", &c.micros, &c.number)
	}
	if err != nil || c.String() != text {
		return c, badCursor(text)
	}
	return c, nil
}

// AuditEntries implements [tocsin.AuditLog].
func (db *DB) AuditEntries(ctx context.Context, q tocsin.AuditQuery) ([]tocsin.AuditEntry, string, error) {
	var f filter
	if q.Cursor != "" {
		c, err := parseAuditCursor(q.Cursor)
		if err != nil {
			return nil, "", err
		}
		f.args = append(f.args, time.UnixMicro(c.micros), c.number)
		f.conditions = append(f.conditions, "(at, number) < ($1, $2)")
	}
	for column, value := range map[string]string{"actor": q.Actor, "action": q.Action, "object": q.Object, "name": q.Name} {
		if value != "" {
			f.add(column+" = $?", value)
		}
	}
	if !q.Since.IsZero() {
		f.add("at >= $?", q.Since)
	}
	if !q.Until.IsZero() {
		f.add("at < $?", q.Until)
	}
	var numbers []int64
	rows, _ := db.pool.Query(ctx, fmt.Sprintf(`SELECT number, %s FROM audit%s ORDER BY at DESC, number DESC LIMIT %d`,
		auditColumns, f.where(), q.Limit+1), f.args...)
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e tocsin.AuditEntry, err error) {
		var number int64
		err = row.Scan(append([]any{&number}, auditTargets(&e)...)...)
		numbers = append(numbers, number)
		return e, err
	})
	if err != nil {
		return nil, "", wrap("listing audit entries", err)
	}
	if len(all) <= q.Limit {
		return all, "", nil
	}
	last := q.Limit - 1
	return all[:q.Limit], auditCursor{all[last].At.UnixMicro(), numbers[last]}.String(), nil
}
