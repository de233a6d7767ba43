package postgres

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
)

const newRejections = `
INSERT INTO rejections (webhook_id, batch, place, at, event, field, message, source, event_id, type)
SELECT $1, $2, r.place, clock_timestamp(), r.event, r.field, r.message, r.source, r.event_id, r.type
FROM unnest($3::integer[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
	WITH ORDINALITY AS r (event, field, message, source, event_id, type, place) ORDER BY r.place
ON CONFLICT (webhook_id, batch, place) DO NOTHING`

// trimRejections leaves the latest of a webhook.
const trimRejections = `
DELETE FROM rejections WHERE webhook_id = $1 AND number <= (
	SELECT number FROM rejections WHERE webhook_id = $1 ORDER BY number DESC OFFSET $2 LIMIT 1)`

// Reject implements [tocsin.Rejections]. Texts are made to fit: what is wrong with them may be
// why they are here.
func (db *DB) Reject(ctx context.Context, webhookID, batch string, all []tocsin.Rejection) error {
	all = all[max(0, len(all)-tocsin.MaxRejections):]
	var events []*int32
	var columns [5][]string
	for _, r := range all {
		var event *int32
		if r.Index != nil {
			n := int32(*r.Index) // #nosec G115 -- a place in a list of at most some thousands
			event = &n
		}
		events = append(events, event)
		for i, text := range [...]string{r.Field, r.Message, r.Source, r.ID, r.Type} {
			columns[i] = append(columns[i], clean(text))
		}
	}
	return db.transact(ctx, "storing rejections", func(t *tx) error {
		t.queue(newRejections, webhookID, batch, events, columns[0], columns[1], columns[2], columns[3], columns[4])
		t.queue(trimRejections, webhookID, tocsin.MaxRejections)
		return nil
	})
}

// Rejected implements [tocsin.Rejections].
func (db *DB) Rejected(ctx context.Context, webhookID string, p tocsin.Page) ([]tocsin.Rejection, string, error) {
	f := filter{}
	f.add("webhook_id = $?", webhookID)
	if p.Cursor != "" {
		before, err := strconv.ParseInt(p.Cursor, 10, 64)
		if err != nil {
			return nil, "", badCursor(p.Cursor)
		}
		f.add("number < $?", before)
	}
	var numbers []int64
	rows, _ := db.pool.Query(ctx, fmt.Sprintf(`SELECT number, at, event, field, message, source, event_id, type FROM rejections%s ORDER BY number DESC LIMIT %d`,
		f.where(), p.Limit+1), f.args...)
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r tocsin.Rejection, err error) {
		var number int64
		err = row.Scan(&number, &r.At, &r.Index, &r.Field, &r.Message, &r.Source, &r.ID, &r.Type)
		numbers = append(numbers, number)
		return r, err
	})
	if err != nil {
		return nil, "", wrap("listing rejections", err)
	}
	if len(all) <= p.Limit {
		return all, "", nil
	}
	return all[:p.Limit], strconv.FormatInt(numbers[p.Limit-1], 10), nil
}
