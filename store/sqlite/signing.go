package sqlite

import (
	"bytes"
	"context"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// signingKept is for how long a signing key is known after its end.
const signingKept = 7 * 24 * time.Hour

func scanSigningKey(r row) (k tocsin.SigningKey, err error) {
	err = r.Scan(&k.ID, &k.Public, &k.Sealed, at{&k.CreatedAt}, at{&k.SignsFrom}, atMaybe{&k.SignsUntil})
	return k, err
}

func (t *tx) signingKeys() ([]tocsin.SigningKey, error) {
	return list(t, scanSigningKey, `SELECT id, public, sealed, created_at, signs_from, signs_until FROM signing_keys
		WHERE signs_until IS NULL OR signs_until >= ? ORDER BY n`, micros(t.now.Add(-signingKept)))
}

// SigningKeys implements tocsin.Sealing.
func (db *DB) SigningKeys(ctx context.Context) (all []tocsin.SigningKey, err error) {
	err = db.read(ctx, "reading signing keys", func(t *tx) error {
		all, err = t.signingKeys()
		return err
	})
	return all, err
}

// AddSigningKey implements tocsin.Sealing. Keys that SigningKeys returns no more are
// removed when one is added.
func (db *DB) AddSigningKey(ctx context.Context, k tocsin.SigningKey, lead, overlap, unless time.Duration) (all []tocsin.SigningKey, err error) {
	err = db.write(ctx, "adding signing key", func(t *tx) error {
		var newest *time.Time
		var there bool
		if err := t.get(`SELECT max(created_at), coalesce(max(id = ?), 0) FROM signing_keys`, []any{k.ID}, atMaybe{&newest}, &there); err != nil {
			return err
		}
		if !there && (newest == nil || t.now.Sub(*newest) >= unless) {
			from := t.now
			if newest != nil {
				from = t.now.Add(lead)
			}
			if err := t.addSigningKey(k, from, from.Add(overlap)); err != nil {
				return err
			}
		}
		all, err = t.signingKeys()
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// addSigningKey ends the others.
func (t *tx) addSigningKey(k tocsin.SigningKey, from, othersUntil time.Time) error {
	if _, err := t.exec(`UPDATE signing_keys SET signs_until = min(coalesce(signs_until, ?1), ?1)`, micros(othersUntil)); err != nil {
		return err
	}
	if _, err := t.exec(`DELETE FROM signing_keys WHERE signs_until < ?`, micros(t.now.Add(-signingKept))); err != nil {
		return err
	}
	_, err := t.exec(`INSERT INTO signing_keys (id, public, sealed, created_at, signs_from) VALUES (?, ?, ?, ?, ?)`,
		k.ID, k.Public, k.Sealed, micros(t.now), micros(from))
	return err
}

// SealedWebhooks implements tocsin.Sealing. Webhooks that nothing is sealed of are left
// out.
func (db *DB) SealedWebhooks(ctx context.Context) (map[string][]byte, error) {
	all := map[string][]byte{}
	err := db.read(ctx, "reading sealed configurations", func(t *tx) error {
		_, err := list(t, func(r row) (struct{}, error) {
			var id string
			var sealed []byte
			err := r.Scan(&id, &sealed)
			all[id] = sealed
			return struct{}{}, err
		}, `SELECT id, sealed FROM webhooks WHERE sealed IS NOT NULL`)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// ResealWebhook implements tocsin.Sealing.
func (db *DB) ResealWebhook(ctx context.Context, id string, old, sealed []byte) error {
	return db.reseal(ctx, "webhooks", id, old, sealed)
}

// ResealSigningKey implements tocsin.Sealing.
func (db *DB) ResealSigningKey(ctx context.Context, id string, old, sealed []byte) error {
	return db.reseal(ctx, "signing_keys", id, old, sealed)
}

// reseal finds it done when the value is the new one already, as when it is repeated.
func (db *DB) reseal(ctx context.Context, table, id string, old, sealed []byte) error {
	return db.write(ctx, "sealing again", func(t *tx) error {
		stored, err := one(t, func(r row) (b []byte, err error) {
			err = r.Scan(&b)
			return b, err
		}, `SELECT sealed FROM `+table+` WHERE id = ?`, id)
		switch {
		case err != nil:
			return err
		case bytes.Equal(stored, sealed):
			return nil
		case !bytes.Equal(stored, old):
			return tocsin.ErrVersion
		}
		_, err = t.exec(`UPDATE `+table+` SET sealed = ? WHERE id = ?`, sealed, id)
		return err
	})
}
