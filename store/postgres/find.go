package postgres

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
)

// like is a pattern of LIKE for texts that have this part.
func like(part string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(part) + "%"
}

// FindWebhooks implements [tocsin.Facts]. The index on names brings them in order; there are
// few enough webhooks to look at the other conditions row by row.
func (db *DB) FindWebhooks(ctx context.Context, q tocsin.WebhookQuery) ([]tocsin.Webhook, string, error) {
	f := filter{conditions: []string{"w.state <> 'deleted'"}}
	if q.Cursor != "" {
		after, err := base64.RawURLEncoding.DecodeString(q.Cursor)
		if err != nil || !isText(string(after)) {
			return nil, "", badCursor(q.Cursor)
		}
		f.add("w.name > $?", string(after))
	}
	if q.State != "" {
		f.add("w.state = $?", q.State)
	}
	if q.Channel != "" {
		f.add("w.settings ->> 'channel' = $?", q.Channel)
	}
	if q.Text != "" {
		f.add(`(w.name ILIKE $? OR w.id ILIKE $? OR EXISTS (SELECT FROM jsonb_each_text(w.settings -> 'labels') l WHERE l.value ILIKE $?))`, like(q.Text))
	}
	rows, _ := db.pool.Query(ctx, fmt.Sprintf(`SELECT %s FROM webhooks w%s ORDER BY w.name LIMIT %d`, webhookColumns, f.where(), q.Limit+1), f.args...)
	all, err := pgx.CollectRows(rows, scanWebhook) // it returns the query's error, too
	if err != nil {
		return nil, "", wrap("listing webhooks", err)
	}
	if len(all) <= q.Limit {
		return all, "", nil
	}
	all = all[:q.Limit]
	return all, base64.RawURLEncoding.EncodeToString([]byte(all[q.Limit-1].Name)), nil
}
