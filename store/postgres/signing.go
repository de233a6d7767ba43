package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
)

// signingKept is for how long a signing key is known after its end.
const signingKept = 7 * 24 * time.Hour

// signingLock is an arbitrary number that only AddSigningKey locks ("sign").
const signingLock = 0x7369676e

const readSigningKeys = `SELECT id, public, sealed, created_at, signs_from, signs_until FROM signing_keys
	WHERE signs_until IS NULL OR signs_until >= clock_timestamp() - $1::interval ORDER BY number`

func scanSigningKey(row pgx.CollectableRow) (k tocsin.SigningKey, err error) {
	err = row.Scan(&k.ID, &k.Public, &k.Sealed, &k.CreatedAt, &k.SignsFrom, &k.SignsUntil)
	return k, err
}

// SigningKeys implements [tocsin.Sealing].
func (db *DB) SigningKeys(ctx context.Context) ([]tocsin.SigningKey, error) {
	rows, _ := db.pool.Query(ctx, readSigningKeys, signingKept) // CollectRows returns its error
	all, err := pgx.CollectRows(rows, scanSigningKey)
	return all, wrap("reading signing keys", err)
}

// AddSigningKey implements [tocsin.Sealing]. The lock comes in a statement of its own,
// so that what is read after it was committed by whoever held it before. Keys that
// SigningKeys returns no more are removed when one is added.
func (db *DB) AddSigningKey(ctx context.Context, k tocsin.SigningKey, lead, overlap, unless time.Duration) ([]tocsin.SigningKey, error) {
	var all []tocsin.SigningKey
	err := db.transact(ctx, "adding signing key", func(t *tx) error {
		var now time.Time
		var newest *time.Time
		var there bool
		t.queue(`SELECT pg_advisory_xact_lock($1)`, int64(signingLock))
		t.one(nil, `SELECT clock_timestamp(), max(created_at), coalesce(bool_or(id = $1), false) FROM signing_keys`, []any{k.ID}, &now, &newest, &there)
		if err := t.flush(ctx); err != nil {
			return err
		}
		if !there && (newest == nil || now.Sub(*newest) >= unless) {
			from := now
			if newest != nil {
				from = now.Add(lead)
			}
			t.queue(`UPDATE signing_keys SET signs_until = least(signs_until, $1)`, from.Add(overlap))
			t.queue(`DELETE FROM signing_keys WHERE signs_until < $1`, now.Add(-signingKept))
			t.queue(`INSERT INTO signing_keys (id, public, sealed, created_at, signs_from) VALUES ($1, $2, $3, $4, $5)`,
				k.ID, k.Public, k.Sealed, now, from)
		}
		collect(t.queue(readSigningKeys, signingKept), &all, scanSigningKey)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// SealedWebhooks implements [tocsin.Sealing]. Webhooks that nothing is sealed of are
// left out.
func (db *DB) SealedWebhooks(ctx context.Context) (map[string][]byte, error) {
	all := map[string][]byte{}
	var id string
	var sealed []byte
	rows, _ := db.pool.Query(ctx, `SELECT id, sealed FROM webhooks WHERE sealed IS NOT NULL`) // ForEachRow returns its error
	_, err := pgx.ForEachRow(rows, []any{&id, &sealed}, func() error {
		all[id] = append([]byte{}, sealed...)
		return nil
	})
	if err != nil {
		return nil, wrap("reading sealed configurations", err)
	}
	return all, nil
}

// ResealWebhook implements [tocsin.Sealing].
func (db *DB) ResealWebhook(ctx context.Context, id string, old, sealed []byte) error {
	return db.reseal(ctx, "webhooks", id, old, sealed)
}

// ResealSigningKey implements [tocsin.Sealing].
func (db *DB) ResealSigningKey(ctx context.Context, id string, old, sealed []byte) error {
	return db.reseal(ctx, "signing_keys", id, old, sealed)
}

// reseal finds it done when the value is the new one already, as after a commit whose
// answer was lost.
func (db *DB) reseal(ctx context.Context, table, id string, old, sealed []byte) error {
	var found, done bool
	err := db.transact(ctx, "sealing again", func(t *tx) error {
		t.one(&found, `SELECT sealed IS NOT DISTINCT FROM $2 OR sealed IS NOT DISTINCT FROM $3 FROM `+table+` WHERE id = $1 FOR UPDATE`,
			[]any{id, old, sealed}, &done)
		t.queue(`UPDATE `+table+` SET sealed = $3 WHERE id = $1 AND sealed IS NOT DISTINCT FROM $2`, id, old, sealed)
		return nil
	})
	switch {
	case err != nil:
		return err
	case !found:
		return tocsin.ErrNotFound
	case !done:
		return tocsin.ErrVersion
	}
	return nil
}
