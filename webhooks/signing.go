package webhooks

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// The life of a signing key: it is published for signingLead before it signs, so that
// receivers know it by then, and signs on for signingOverlap beside the next, so that
// those that are late have time.
const (
	signingLead    = 24 * time.Hour
	signingOverlap = 7 * 24 * time.Hour
	signingAge     = 90 * 24 * time.Hour // after which RotateSigningKey makes another
	// signingKept is how long a process works with the keys it has read.
	signingKept = time.Minute
)

// Signer is a signing key with its private half. It never prints it.
type Signer struct {
	ID  string
	Key ed25519.PrivateKey
	// From is when it begins to sign; Until ends it, nil for the newest.
	From  time.Time
	Until *time.Time
}

// String implements fmt.Stringer.
func (k Signer) String() string { return "signing key " + k.ID }

// Format keeps every verb from the private half.
func (k Signer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// LogValue implements slog.LogValuer.
func (k Signer) LogValue() slog.Value { return slog.StringValue(k.String()) }

// signing remembers what was read a moment ago.
type signing struct {
	mu      sync.Mutex
	read    time.Time
	keys    []tocsin.SigningKey
	signers []Signer // of keys, once opened
}

// RotateSigningKey makes the installation's next ed25519 key unless the newest is younger
// than 90 days, or with force in any case. The first signs at once; any other is
// published a day before it signs, and the one before signs beside it for a week. It
// returns all keys, oldest first. It is safe to call by many processes at once.
func (s *Service) RotateSigningKey(ctx context.Context, force bool) ([]tocsin.SigningKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a signing key: %w", err)
	}
	k := tocsin.SigningKey{ID: tocsin.NewID(tocsin.PrefixSigning), Public: public}
	k.Sealed = s.KeyRing.Seal(private.Seed(), k.ID)
	unless := signingAge
	if force {
		unless = 0
	}
	keys, err := s.Store.AddSigningKey(ctx, k, signingLead, signingOverlap, unless)
	if err != nil {
		return nil, fmt.Errorf("storing a signing key: %w", err)
	}
	s.signing.mu.Lock()
	defer s.signing.mu.Unlock()
	s.signing.read = time.Time{}
	return keys, nil
}

// PublicKeys returns the keys to publish, oldest first: those that sign, that do not yet,
// and that did not long ago. They are at most a minute old.
func (s *Service) PublicKeys(ctx context.Context) ([]tocsin.SigningKey, error) {
	s.signing.mu.Lock()
	defer s.signing.mu.Unlock()
	if err := s.readKeys(ctx); err != nil {
		return nil, err
	}
	return append([]tocsin.SigningKey{}, s.signing.keys...), nil
}

// Signers returns the keys that sign now or will, oldest first; the caller asks From and
// Until. They are at most a minute old. A key that does not open, because the ring lacks
// its key, is an error.
func (s *Service) Signers(ctx context.Context) ([]Signer, error) {
	s.signing.mu.Lock()
	defer s.signing.mu.Unlock()
	if err := s.readKeys(ctx); err != nil {
		return nil, err
	}
	if s.signing.signers == nil {
		signers := make([]Signer, 0, len(s.signing.keys))
		for _, k := range s.signing.keys {
			if k.SignsUntil != nil && !s.Now().Before(*k.SignsUntil) {
				continue
			}
			seed, err := s.KeyRing.Open(k.Sealed, k.ID)
			if err != nil {
				return nil, fmt.Errorf("opening signing key %s: %w", k.ID, err)
			}
			if len(seed) != ed25519.SeedSize {
				return nil, fmt.Errorf("opening signing key %s: got %d bytes, want %d", k.ID, len(seed), ed25519.SeedSize)
			}
			signers = append(signers, Signer{ID: k.ID, Key: ed25519.NewKeyFromSeed(seed), From: k.SignsFrom, Until: k.SignsUntil})
		}
		s.signing.signers = signers
	}
	return append([]Signer{}, s.signing.signers...), nil
}

// readKeys reads the keys unless they were read a moment ago. The caller holds the lock.
// That there are none is not remembered: the first key signs at once.
func (s *Service) readKeys(ctx context.Context) error {
	now := s.Now()
	if age := now.Sub(s.signing.read); len(s.signing.keys) > 0 && age >= 0 && age < signingKept {
		return nil
	}
	keys, err := s.Store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("reading signing keys: %w", err)
	}
	s.signing.read, s.signing.keys, s.signing.signers = now, keys, nil
	return nil
}
