package sqlite

import (
	"context"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

const keyColumns = `id, name, scopes, created_at, expires_at, last_used, old_expires_at`

// scanKey leaves out when the text from before stops working once it has.
func (t *tx) scanKey(r row) (k tocsin.Key, err error) {
	err = r.Scan(&k.ID, &k.Name, inJSON{&k.Scopes}, at{&k.CreatedAt}, atMaybe{&k.ExpiresAt}, atMaybe{&k.LastUsed}, atMaybe{&k.OldExpiresAt})
	if k.OldExpiresAt != nil && !k.OldExpiresAt.After(t.now) {
		k.OldExpiresAt = nil
	}
	return k, err
}

// free finds out whether a hash works for a key with another id, or did before its last
// rotation.
func (t *tx) free(id string, hash []byte) error {
	var taken bool
	err := t.get(`SELECT EXISTS (SELECT 1 FROM api_keys WHERE hash = ?2 AND id <> ?1 OR old_hash = ?2)`, []any{id, hash}, &taken)
	if err != nil || !taken {
		return err
	}
	return tocsin.Errorf(tocsin.CodeConflict, "this key is there already, or was")
}

// CreateKey implements tocsin.Keys. The same key under two names is a conflict, too.
func (db *DB) CreateKey(ctx context.Context, k tocsin.Key, hash []byte) (tocsin.Key, error) {
	if k.ID == "" {
		k.ID = tocsin.NewID(tocsin.PrefixKey)
	}
	err := db.write(ctx, "creating key", func(t *tx) error {
		var names int
		if err := t.get(`SELECT count(*) FROM api_keys WHERE name = ?`, []any{k.Name}, &names); err != nil {
			return err
		}
		if names > 0 {
			return tocsin.ErrNameTaken
		}
		if err := t.free("", hash); err != nil {
			return err
		}
		scopes, err := asJSON(k.Scopes)
		if err != nil {
			return err
		}
		k, err = one(t, t.scanKey, `INSERT INTO api_keys (id, name, hash, scopes, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?) RETURNING `+keyColumns,
			k.ID, k.Name, hash, scopes, micros(t.now), maybe(k.ExpiresAt))
		return err
	})
	if err != nil {
		return tocsin.Key{}, err
	}
	return k, nil
}

// KeyByHash implements tocsin.Keys.
func (db *DB) KeyByHash(ctx context.Context, hash []byte) (k tocsin.Key, err error) {
	var now time.Time
	err = db.read(ctx, "looking up key", func(t *tx) error {
		now = t.now
		k, err = one(t, t.scanKey, `SELECT `+keyColumns+` FROM api_keys
			WHERE (hash = ?1 OR old_hash = ?1 AND old_expires_at > ?2) AND (expires_at IS NULL OR expires_at > ?2)`, hash, micros(t.now))
		return err
	})
	minute := now.Truncate(time.Minute)
	if err != nil || (k.LastUsed != nil && !k.LastUsed.Before(minute)) {
		return k, err
	}
	k.LastUsed = &minute
	err = db.write(ctx, "noting use of key", func(t *tx) error {
		_, err := t.exec(`UPDATE api_keys SET last_used = ? WHERE id = ?`, micros(minute), k.ID)
		return err
	})
	return k, err
}

// ListKeys implements tocsin.Keys, by name.
func (db *DB) ListKeys(ctx context.Context) (all []tocsin.Key, err error) {
	err = db.read(ctx, "listing keys", func(t *tx) error {
		all, err = list(t, t.scanKey, `SELECT `+keyColumns+` FROM api_keys ORDER BY name`)
		return err
	})
	return all, err
}

// DeleteKey implements tocsin.Keys.
func (db *DB) DeleteKey(ctx context.Context, idOrName string) error {
	return db.write(ctx, "deleting key", func(t *tx) error {
		n, err := t.exec(`DELETE FROM api_keys WHERE id = ?1 OR (name = ?1 AND NOT EXISTS (SELECT 1 FROM api_keys WHERE id = ?1))`, idOrName)
		if err == nil && n == 0 {
			err = tocsin.ErrNotFound
		}
		return err
	})
}

// RotateKey implements tocsin.Keys.
func (db *DB) RotateKey(ctx context.Context, idOrName string, hash []byte, overlap time.Duration, expires *time.Time) (k tocsin.Key, err error) {
	err = db.write(ctx, "rotating key", func(t *tx) error {
		k, err = one(t, t.scanKey, `SELECT `+keyColumns+` FROM api_keys WHERE id = ?1 OR name = ?1 ORDER BY id = ?1 DESC`, idOrName)
		if err != nil {
			return err
		}
		if err := t.free(k.ID, hash); err != nil {
			return err
		}
		var same bool
		if err := t.get(`SELECT hash = ? FROM api_keys WHERE id = ?`, []any{hash, k.ID}, &same); err != nil {
			return err
		}
		if k.OldExpiresAt != nil && overlap > 0 && !same { // somebody still works by the text that would end
			return tocsin.Errorf(tocsin.CodeConflict, "the key from before the last rotation works until %s: rotate after that, or without overlap to end it now",
				k.OldExpiresAt.Format(time.RFC3339))
		}
		if _, err := t.exec(`UPDATE api_keys SET hash = ?2, old_hash = hash, old_expires_at = ?3, expires_at = coalesce(?4, expires_at)
			WHERE id = ?1 AND hash <> ?2`, k.ID, hash, micros(t.now.Add(overlap)), maybe(expires)); err != nil {
			return err
		}
		k, err = one(t, t.scanKey, `SELECT `+keyColumns+` FROM api_keys WHERE id = ?`, k.ID)
		return err
	})
	if err != nil {
		return tocsin.Key{}, err
	}
	return k, nil
}
