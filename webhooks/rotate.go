package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// maxOverlap bounds how long an old signing secret goes on signing.
const maxOverlap = 30 * 24 * time.Hour

// The channel whose deliveries are signed with a secret of each webhook, and its keys.
const (
	signingChannel = "webhook"
	secretKey      = "signing_secret"
	oldSecretKey   = "old_secret_until"
)

// Rotated is a webhook with a new signing secret.
type Rotated struct {
	Webhook tocsin.Webhook
	// Secret is the new one, shown this once.
	Secret string
	// OldUntil is when the old one signs no more; zero when it does not already.
	OldUntil time.Time
}

// RotateSigningSecret gives a webhook of channel webhook a new signing secret. The one it
// signed with signs beside it for overlap longer, from zero (at once no more) to 30 days,
// so that the receiver can change at leisure. While an earlier overlap runs only an overlap of
// zero is taken: whoever asks twice, since the first answer was lost, would end the one
// secret that the receiver knows. Errors: CodeNotFound, CodeConflict for that and for another
// channel, CodeInvalid for the overlap.
func (s *Service) RotateSigningSecret(ctx context.Context, idOrName string, overlap time.Duration) (Rotated, error) {
	if overlap < 0 || overlap > maxOverlap {
		return Rotated{}, tocsin.Invalid("overlap", "%s is not allowed; want 0s to %s", tocsin.Duration(overlap), tocsin.Duration(maxOverlap))
	}
	for try := 1; ; try++ {
		r, err := s.rotateSecret(ctx, idOrName, overlap)
		if !errors.Is(err, tocsin.ErrVersion) || try == changeTries {
			return r, err
		}
	}
}

func (s *Service) rotateSecret(ctx context.Context, idOrName string, overlap time.Duration) (Rotated, error) {
	w, err := s.Get(ctx, idOrName)
	if err != nil {
		return Rotated{}, err
	}
	if w.Channel != signingChannel {
		return Rotated{}, tocsin.Errorf(tocsin.CodeConflict, "webhook %q is of channel %s, whose deliveries are not signed with a secret; only those of channel %s are", w.Name, w.Channel, signingChannel)
	}
	clear, err := s.open(w)
	if err != nil {
		return Rotated{}, err
	}
	if until := s.oldSecretUntil(clear); overlap > 0 && !until.IsZero() {
		return Rotated{}, tocsin.Errorf(tocsin.CodeConflict, "the secret of webhook %q was rotated before, and the old one still signs until %s; rotate again then, or now with an overlap of 0s, which ends all older ones at once",
			w.Name, until.Format(time.RFC3339))
	}
	r := Rotated{}
	if overlap > 0 {
		// RFC 3339 has seconds: rounded up, so that it is never less than was asked for.
		r.OldUntil = s.Now().UTC().Add(overlap + time.Second - 1).Truncate(time.Second)
	}
	config, err := s.newSecret(clear, &r)
	if err != nil {
		return Rotated{}, err
	}
	// The rest of the configuration is not checked again: an address that does not resolve
	// today must not stand in the way.
	w.Sealed = s.KeyRing.Seal(config, w.ID)
	if w.Config, err = s.channels[w.Channel].Public(config); err != nil {
		return Rotated{}, fmt.Errorf("redacting configuration: %w", err)
	}
	if r.Webhook, err = s.Store.UpdateWebhook(ctx, w); err != nil {
		return Rotated{}, storing(err, w.Name)
	}
	s.apply(ctx, r.Webhook, "configure")
	return r, nil
}

// oldSecretUntil is when the overlap of an earlier rotation ends; zero when none runs.
func (s *Service) oldSecretUntil(clear json.RawMessage) time.Time {
	var config struct {
		Secrets json.RawMessage `json:"signing_secret"`
		Until   time.Time       `json:"old_secret_until"`
	}
	var several []string
	if json.Unmarshal(clear, &config) != nil || json.Unmarshal(config.Secrets, &several) != nil || len(several) < 2 || !config.Until.After(s.Now()) {
		return time.Time{}
	}
	return config.Until
}

// newSecret puts a new secret, as the channel makes them, before the present one.
func (s *Service) newSecret(clear json.RawMessage, r *Rotated) (json.RawMessage, error) {
	var config map[string]json.RawMessage
	if err := json.Unmarshal(clear, &config); err != nil {
		return nil, fmt.Errorf("reading stored configuration: %w", err)
	}
	present := firstSecret(config[secretKey])
	delete(config, secretKey)
	delete(config, oldSecretKey)
	without, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("encoding configuration: %w", err)
	}
	complete, generated, err := s.channels[signingChannel].Complete(without)
	if err != nil {
		return nil, fmt.Errorf("making a signing secret: %w", err)
	}
	if r.Secret = reveal(complete, generated)[secretKey]; r.Secret == "" {
		return nil, errors.New("making a signing secret: the channel made none")
	}
	if present == "" || r.OldUntil.IsZero() {
		r.OldUntil = time.Time{}
		return complete, nil
	}
	target, err := tree(complete)
	if err != nil {
		return nil, fmt.Errorf("reading configuration: %w", err)
	}
	return json.Marshal(merge(target, map[string]any{
		secretKey: []any{r.Secret, present}, oldSecretKey: r.OldUntil.Format(time.RFC3339),
	}))
}

// firstSecret is the secret that signs: the first of several, "" for none.
func firstSecret(raw json.RawMessage) string {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return one
	}
	var several []string
	if json.Unmarshal(raw, &several) == nil && len(several) > 0 {
		return several[0]
	}
	return ""
}
