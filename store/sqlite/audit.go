package sqlite

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tocsin-alerts/tocsin"
)

const auditColumns = `id, at, actor, address, action, object, name, before, after, outcome, detail`

// auditEntry is one as stored; n orders those of one moment.
type auditEntry struct {
	tocsin.AuditEntry
	n int64
}

func scanAuditEntry(r row) (e auditEntry, err error) {
	err = r.Scan(&e.n, &e.ID, at{&e.At}, &e.Actor, &e.Address, &e.Action, &e.Object, &e.Name, (*[]byte)(&e.Before), (*[]byte)(&e.After), &e.Outcome, &e.Detail)
	return e, err
}

// auditJSON returns what to store of a public form: NULL for none.
func auditJSON(field string, j json.RawMessage) (any, error) {
	switch {
	case len(j) == 0:
		return nil, nil
	case !json.Valid(j):
		return nil, fmt.Errorf("%s of an audit entry is not JSON", field)
	}
	return string(j), nil
}

// clean makes text of others fit: an entry must not be lost for a byte in it.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// BeginAudit implements tocsin.AuditLog. Repeated with the same ID it returns what is
// stored.
func (db *DB) BeginAudit(ctx context.Context, e tocsin.AuditEntry) (tocsin.AuditEntry, error) {
	if e.ID == "" {
		e.ID = tocsin.NewID(tocsin.PrefixAudit)
	}
	before, err := auditJSON("Before", e.Before)
	if err != nil {
		return tocsin.AuditEntry{}, fmt.Errorf("writing audit entry: %w", err)
	}
	after, err := auditJSON("After", e.After)
	if err != nil {
		return tocsin.AuditEntry{}, fmt.Errorf("writing audit entry: %w", err)
	}
	var stored auditEntry
	err = db.write(ctx, "writing audit entry", func(t *tx) error {
		if _, err := t.exec(`INSERT INTO audit (`+auditColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
			e.ID, micros(t.now), clean(e.Actor), clean(e.Address), clean(e.Action), clean(e.Object), clean(e.Name), before, after,
			e.Outcome, clean(e.Detail)); err != nil {
			return err
		}
		stored, err = one(t, scanAuditEntry, `SELECT n, `+auditColumns+` FROM audit WHERE id = ?`, e.ID)
		return err
	})
	if err != nil {
		return tocsin.AuditEntry{}, err
	}
	return stored.AuditEntry, nil
}

// EndAudit implements tocsin.AuditLog.
func (db *DB) EndAudit(ctx context.Context, e tocsin.AuditEntry) error {
	before, err := auditJSON("Before", e.Before)
	if err != nil {
		return fmt.Errorf("completing audit entry: %w", err)
	}
	after, err := auditJSON("After", e.After)
	if err != nil {
		return fmt.Errorf("completing audit entry: %w", err)
	}
	return db.write(ctx, "completing audit entry", func(t *tx) error {
		n, err := t.exec(`UPDATE audit SET outcome = ?, detail = ?, object = coalesce(nullif(?, ''), object), name = coalesce(nullif(?, ''), name),
			before = coalesce(?, before), after = coalesce(?, after) WHERE id = ?`,
			e.Outcome, clean(e.Detail), clean(e.Object), clean(e.Name), before, after, e.ID)
		if err == nil && n == 0 {
			err = tocsin.ErrNotFound
		}
		return err
	})
}

// auditCursor is the place of an entry in a list.
type auditCursor struct{ at, n int64 }

func (c auditCursor) String() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %d", c.at, c.n))
}

func parseAuditCursor(text string) (c auditCursor, err error) {
	plain, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		_, err = fmt.Sscanf(string(plain), "%d %d", &c.at, &c.n)
	}
	if err != nil || c.String() != text {
		return c, tocsin.Invalid("cursor", "%q is not a cursor of this list", text)
	}
	return c, nil
}

// AuditEntries implements tocsin.AuditLog.
func (db *DB) AuditEntries(ctx context.Context, q tocsin.AuditQuery) (entries []tocsin.AuditEntry, next string, err error) {
	var f filter
	limit, err := f.page(tocsin.Page{Limit: q.Limit}, "")
	if err != nil {
		return nil, "", err
	}
	if q.Cursor != "" {
		c, err := parseAuditCursor(q.Cursor)
		if err != nil {
			return nil, "", err
		}
		f.add(true, "(at, n) < (?, ?)", c.at, c.n)
	}
	f.add(q.Actor != "", "actor = ?", q.Actor)
	f.add(q.Action != "", "action = ?", q.Action)
	f.add(q.Object != "", "object = ?", q.Object)
	f.add(q.Name != "", "name = ?", q.Name)
	f.add(!q.Since.IsZero(), "at >= ?", micros(q.Since))
	f.add(!q.Until.IsZero(), "at < ?", micros(q.Until))
	var found []auditEntry
	err = db.read(ctx, "listing audit entries", func(t *tx) error {
		found, err = list(t, scanAuditEntry, `SELECT n, `+auditColumns+` FROM audit`+f.String()+` ORDER BY at DESC, n DESC LIMIT ?`, append(f.args, limit)...)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	if len(found) > q.Limit {
		found = found[:q.Limit]
		last := found[q.Limit-1]
		next = auditCursor{micros(last.At), last.n}.String()
	}
	for _, e := range found {
		entries = append(entries, e.AuditEntry)
	}
	return entries, next, nil
}
