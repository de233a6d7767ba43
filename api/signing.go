package api

import (
	"encoding/base64"
	"net/http"
	"time"
)

// publicKey is a key that deliveries are signed with, as those who check them want it
// (https://github.com/standard-webhooks/standard-webhooks: whpk_ and base64).
type publicKey struct {
	ID         string     `json:"id"`
	Algorithm  string     `json:"algorithm"`
	PublicKey  string     `json:"public_key"`
	SignsFrom  time.Time  `json:"signs_from"`
	SignsUntil *time.Time `json:"signs_until,omitempty"`
}

// publicKeys publishes the installation's keys. A key is published a day before it
// signs, so an answer may be an hour old; that there are none yet may not, because the
// first signs at once.
func (s *server) publicKeys(w http.ResponseWriter, r *http.Request) error {
	keys, err := s.Webhooks.PublicKeys(r.Context())
	if err != nil {
		return err
	}
	view := struct {
		Keys []publicKey `json:"keys"`
	}{make([]publicKey, len(keys))}
	for i, k := range keys {
		view.Keys[i] = publicKey{k.ID, "ed25519", "whpk_" + base64.StdEncoding.EncodeToString(k.Public), k.SignsFrom, k.SignsUntil}
	}
	if len(keys) > 0 {
		w.Header().Set("Cache-Control", "max-age=3600")
	}
	return answer(w, http.StatusOK, view)
}

// rotatedView is a webhook with a new signing secret, which is among Generated.
type rotatedView struct {
	webhookView
	// OldSecretUntil is when the old one signs no more; absent when it does not already.
	OldSecretUntil *time.Time `json:"old_secret_until,omitempty"`
}

func (s *server) rotateSecret(w http.ResponseWriter, r *http.Request, c *change) (reply, error) {
	asked, err := object[struct {
		Overlap string `json:"overlap"`
	}](w, r)
	if err != nil {
		return reply{}, err
	}
	overlap, err := overlapOf(asked.Overlap)
	if err != nil {
		return reply{}, err
	}
	before, err := s.Webhooks.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		return reply{}, err
	}
	c.webhook(before)
	rotated, err := s.Webhooks.RotateSigningSecret(r.Context(), r.PathValue("id"), overlap)
	if err != nil {
		return reply{}, err
	}
	c.to(rotated.Webhook)
	view := rotatedView{webhookView: webhookView{Webhook: rotated.Webhook, Generated: map[string]string{"signing_secret": rotated.Secret}}}
	if !rotated.OldUntil.IsZero() {
		view.OldSecretUntil = &rotated.OldUntil
	}
	return reply{status: http.StatusOK, body: view}, nil
}
