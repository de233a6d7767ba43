package sqlite

import (
	"context"
	"encoding/base64"
	"unicode/utf8"

	"github.com/tocsin-alerts/tocsin"
)

// FindWebhooks implements tocsin.Facts.
func (db *DB) FindWebhooks(ctx context.Context, q tocsin.WebhookQuery) (all []tocsin.Webhook, next string, err error) {
	var f filter
	limit, err := f.page(tocsin.Page{Limit: q.Limit}, "")
	if err != nil {
		return nil, "", err
	}
	after, err := base64.RawURLEncoding.DecodeString(q.Cursor)
	if err != nil || !utf8.Valid(after) {
		return nil, "", tocsin.Invalid("cursor", "%q is not a cursor of this list", q.Cursor)
	}
	f.add(true, "w.state <> 'deleted'")
	f.add(q.Cursor != "", "w.name > ?", string(after))
	f.add(q.State != "", "w.state = ?", string(q.State))
	f.add(q.Channel != "", "w.settings ->> 'channel' = ?", q.Channel)
	f.add(q.Text != "", `(tocsin_contains(w.name, ?) OR tocsin_contains(w.id, ?)
		OR EXISTS (SELECT 1 FROM json_each(w.settings, '$.labels') l WHERE tocsin_contains(l.value, ?)))`, q.Text, q.Text, q.Text)
	err = db.read(ctx, "listing webhooks", func(t *tx) error {
		all, err = list(t, scanWebhook, `SELECT `+webhookColumns+` FROM webhooks w`+f.String()+` ORDER BY w.name LIMIT ?`, append(f.args, limit)...)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	if len(all) > q.Limit {
		all = all[:q.Limit]
		next = base64.RawURLEncoding.EncodeToString([]byte(all[q.Limit-1].Name))
	}
	return all, next, nil
}
