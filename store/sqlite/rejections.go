package sqlite

import (
	"context"

	"github.com/tocsin-alerts/tocsin"
)

// Reject implements tocsin.Rejections. Texts are made to fit: what is wrong with them may be
// why they are here.
func (db *DB) Reject(ctx context.Context, webhookID, batch string, all []tocsin.Rejection) error {
	all = all[max(0, len(all)-tocsin.MaxRejections):]
	return db.write(ctx, "storing rejections", func(t *tx) error {
		for i, r := range all {
			var event any
			if r.Index != nil {
				event = *r.Index
			}
			if _, err := t.exec(`INSERT INTO rejections (webhook_id, batch, place, at, event, field, message, source, event_id, type)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (webhook_id, batch, place) DO NOTHING`,
				webhookID, batch, i, micros(t.now), event, clean(r.Field), clean(r.Message), clean(r.Source), clean(r.ID), clean(r.Type)); err != nil {
				return err
			}
		}
		_, err := t.exec(`DELETE FROM rejections WHERE webhook_id = ?1 AND n <= (
			SELECT n FROM rejections WHERE webhook_id = ?1 ORDER BY n DESC LIMIT 1 OFFSET ?2)`, webhookID, tocsin.MaxRejections)
		return err
	})
}

// rejection is one as stored.
type rejection struct {
	tocsin.Rejection
	n int64
}

// Rejected implements tocsin.Rejections.
func (db *DB) Rejected(ctx context.Context, webhookID string, p tocsin.Page) (all []tocsin.Rejection, next string, err error) {
	var f filter
	f.add(true, "webhook_id = ?", webhookID)
	limit, err := f.page(p, "n")
	if err != nil {
		return nil, "", err
	}
	var found []rejection
	err = db.read(ctx, "listing rejections", func(t *tx) error {
		found, err = list(t, func(r row) (e rejection, err error) {
			err = r.Scan(&e.n, at{&e.At}, &e.Index, &e.Field, &e.Message, &e.Source, &e.ID, &e.Type)
			return e, err
		}, `SELECT n, at, event, field, message, source, event_id, type FROM rejections`+f.String()+` ORDER BY n DESC LIMIT ?`, append(f.args, limit)...)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	found, next = cut(found, p.Limit, func(e rejection) int64 { return e.n })
	for _, e := range found {
		all = append(all, e.Rejection)
	}
	return all, next, nil
}
