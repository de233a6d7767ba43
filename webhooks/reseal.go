package webhooks

import (
	"context"
	"errors"
	"fmt"

	"github.com/tocsin-alerts/tocsin"
)

// Reseal seals every webhook's configuration, those of deleted webhooks too, and every
// signing key anew under the ring's first key; already counts those that were. Afterwards the
// other keys can leave the ring, once every process seals with the same first key. What does not open
// is left as it is and is part of the error; the others are resealed all the same.
func (s *Service) Reseal(ctx context.Context) (resealed, already int, err error) {
	sealed, err := s.Store.SealedWebhooks(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("reading sealed configurations: %w", err)
	}
	keys, err := s.Store.SigningKeys(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("reading signing keys: %w", err)
	}
	var wrong []error
	count := func(did bool, err error) {
		switch {
		case err != nil:
			wrong = append(wrong, err)
		case did:
			resealed++
		default:
			already++
		}
	}
	for _, id := range sortedKeys(sealed) {
		count(s.resealWebhook(ctx, id, sealed[id]))
	}
	for _, k := range keys {
		count(s.resealSigningKey(ctx, k))
	}
	return resealed, already, errors.Join(wrong...)
}

// resealWebhook reports whether it had to. When somebody changes the webhook meanwhile,
// it looks again.
func (s *Service) resealWebhook(ctx context.Context, id string, old []byte) (bool, error) {
	for try := 1; ; try++ {
		// Opened in any case: nobody should throw a key away on a wrong "already".
		plain, err := s.KeyRing.Open(old, id)
		if err != nil {
			return false, fmt.Errorf("opening configuration of webhook %s: %w", id, err)
		}
		if s.KeyRing.SealedBy(old) == s.KeyRing.First() {
			return false, nil
		}
		err = s.Store.ResealWebhook(ctx, id, old, s.KeyRing.Seal(plain, id))
		if !errors.Is(err, tocsin.ErrVersion) || try == changeTries {
			if err != nil {
				err = fmt.Errorf("resealing configuration of webhook %s: %w", id, err)
			}
			return true, err
		}
		w, err := s.Store.Webhook(ctx, id)
		if err != nil {
			return false, fmt.Errorf("reading webhook %s: %w", id, err)
		}
		old = w.Sealed
	}
}

func (s *Service) resealSigningKey(ctx context.Context, k tocsin.SigningKey) (bool, error) {
	plain, err := s.KeyRing.Open(k.Sealed, k.ID)
	if err != nil {
		return false, fmt.Errorf("opening signing key %s: %w", k.ID, err)
	}
	if s.KeyRing.SealedBy(k.Sealed) == s.KeyRing.First() {
		return false, nil
	}
	err = s.Store.ResealSigningKey(ctx, k.ID, k.Sealed, s.KeyRing.Seal(plain, k.ID))
	if errors.Is(err, tocsin.ErrVersion) {
		// Nothing changes a signing key but another reseal.
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("resealing signing key %s: %w", k.ID, err)
	}
	return true, nil
}
