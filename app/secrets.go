package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations"
	"github.com/tocsin-alerts/tocsin/internal/audit"
	"github.com/tocsin-alerts/tocsin/webhooks"
)

// Resealed counts what Reseal found.
type Resealed struct {
	Resealed int `json:"resealed"`
	// Already counts what the ring's first key had sealed before.
	Already int `json:"already"`
}

// Reseal seals everything in the store anew with the first key of a ring (the text of
// TOCSIN_SECRET_KEY), and writes that down. What no key of the ring opens stays as it is
// and is part of the error.
func Reseal(ctx context.Context, store tocsin.Store, ring tocsin.Secret) (Resealed, error) {
	var n Resealed
	service, err := keeper(store, ring)
	if err != nil {
		return n, err
	}
	err = Audited(ctx, store, "secrets.reseal", func(e *tocsin.AuditEntry) (err error) {
		n.Resealed, n.Already, err = service.Reseal(ctx)
		e.After = audit.Public(n)
		return err
	})
	return n, err
}

// RotateSigningKey makes the installation's next ed25519 key, whatever the age of the
// newest, and writes that down. All keys are returned, oldest first.
func RotateSigningKey(ctx context.Context, store tocsin.Store, ring tocsin.Secret) ([]tocsin.SigningKey, error) {
	service, err := keeper(store, ring)
	if err != nil {
		return nil, err
	}
	var keys []tocsin.SigningKey
	err = Audited(ctx, store, "secrets.rotate_signing_key", func(e *tocsin.AuditEntry) (err error) {
		if keys, err = service.RotateSigningKey(ctx, true); err != nil {
			return err
		}
		e.After = audit.Public(keys)
		if len(keys) > 0 {
			e.Object = keys[len(keys)-1].ID
		}
		return nil
	})
	return keys, err
}

// keeper is a service for what is about secrets alone: it delivers nothing and wakes
// nobody.
func keeper(store tocsin.Store, text tocsin.Secret) (*webhooks.Service, error) {
	if text.IsZero() {
		return nil, tocsin.Errorf(tocsin.CodeInvalid, "TOCSIN_SECRET_KEY is not set; it is the key ring that every process of this installation has")
	}
	ring, err := tocsin.ParseKeyRing(text.Reveal())
	if err != nil {
		return nil, tocsin.Errorf(tocsin.CodeInvalid, "TOCSIN_SECRET_KEY: %w", err)
	}
	service, err := webhooks.New(webhooks.Config{
		Store: store, KeyRing: ring, Channels: integrations.Channels(integrations.Options{}), CheckFilter: checkFilter,
		Matches: func(tocsin.Webhook, *tocsin.Event) (string, bool, error) {
			return "", false, errors.New("nothing is matched here")
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, fmt.Errorf("setting up webhooks: %w", err)
	}
	return service, nil
}
