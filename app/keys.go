package app

import (
	"context"
	"fmt"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/api"
	"github.com/tocsin-alerts/tocsin/internal/audit"
)

// CreateKey makes an API key, stores its hash, writes that down, and returns its text,
// which is to be shown once. Errors are those of api.CreateKey.
func CreateKey(ctx context.Context, store tocsin.Store, name string, scopes []string, expires *time.Time) (key tocsin.Key, text string, err error) {
	err = Audited(ctx, store, "key.create", func(e *tocsin.AuditEntry) error {
		if key, text, err = api.CreateKey(ctx, store, name, scopes, expires); err != nil {
			return err
		}
		e.Object, e.Name, e.After = key.ID, key.Name, audit.Public(key)
		return nil
	})
	return key, text, err
}

// RotateKey gives a key another text and returns it; the text it had works for overlap
// longer. Errors are those of api.RotateKey.
func RotateKey(ctx context.Context, store tocsin.Store, idOrName string, overlap time.Duration, expires *time.Time) (key tocsin.Key, text string, err error) {
	err = Audited(ctx, store, "key.rotate", func(e *tocsin.AuditEntry) error {
		before, err := noteKey(ctx, store, idOrName, e)
		if err != nil {
			return err
		}
		if key, text, err = api.RotateKey(ctx, store, before.ID, overlap, expires); err != nil {
			return err
		}
		e.After = audit.Public(key)
		return nil
	})
	return key, text, err
}

// DeleteKey deletes a key by id or name; an error with CodeNotFound when there is none.
func DeleteKey(ctx context.Context, store tocsin.Store, idOrName string) error {
	return Audited(ctx, store, "key.delete", func(e *tocsin.AuditEntry) error {
		key, err := noteKey(ctx, store, idOrName, e)
		if err != nil {
			return err
		}
		if err := store.DeleteKey(ctx, key.ID); err != nil {
			return fmt.Errorf("deleting key %q: %w", idOrName, err)
		}
		return nil
	})
}

// ParseExpiry reads when a key expires, as the API does: "90d", or an RFC 3339 time.
func ParseExpiry(text string) (*time.Time, error) { return api.ParseExpiry(text, time.Now()) }

// noteKey finds a key and puts it into an entry.
func noteKey(ctx context.Context, store tocsin.Store, idOrName string, e *tocsin.AuditEntry) (tocsin.Key, error) {
	key, err := api.FindKey(ctx, store, idOrName)
	if err == nil {
		e.Object, e.Name, e.Before = key.ID, key.Name, audit.Public(key)
	}
	return key, err
}
