package webhook

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

const (
	secretPrefix = "whsec_"
	// Bounds of a secret in bytes, from Standard Webhooks 1.0.0, "Signature scheme":
	// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
	minSecretBytes = 24
	maxSecretBytes = 64
	newSecretBytes = 32
	// maxSecrets is the old and the new one, while receivers are moved over.
	maxSecrets = 2
)

// newSecret returns a fresh signing secret.
func newSecret() string {
	var b [newSecretBytes]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return secretPrefix + base64.StdEncoding.EncodeToString(b[:])
}

// parseSecret returns the key in a secret. Its errors do not show the secret.
func parseSecret(text string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(text, secretPrefix)
	if !ok {
		return nil, fmt.Errorf("want %s followed by base64 of %d to %d bytes", secretPrefix, minSecretBytes, maxSecretBytes)
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("what follows %s is not standard base64 with padding", secretPrefix)
	}
	if len(key) < minSecretBytes || len(key) > maxSecretBytes {
		return nil, fmt.Errorf("the secret has %d bytes; want %d to %d", len(key), minSecretBytes, maxSecretBytes)
	}
	return key, nil
}

// Signer is an ed25519 key of the installation, which signs the deliveries of every
// webhook beside the webhook's own secret. Its public half is published, so that a
// receiver can verify without holding anything that could sign.
type Signer struct {
	// ID names the key in errors and logs.
	ID string
	// Key is the private half; required.
	Key ed25519.PrivateKey `json:"-"`
	// From is when the key begins to sign.
	From time.Time
	// Until is when it ceases to; nil for never.
	Until *time.Time
}

// Signers returns the keys of the installation. It is called for every request, so it
// should remember them.
type Signers func(ctx context.Context) ([]Signer, error)

// signs reports whether the key is in force.
func (s Signer) signs(at time.Time) bool {
	return !at.Before(s.From) && (s.Until == nil || at.Before(*s.Until))
}

// String names the key without showing it.
func (s Signer) String() string { return "signing key " + s.ID }

// Format implements fmt.Formatter: no verb shows the private half.
func (s Signer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue implements slog.LogValuer.
func (s Signer) LogValue() slog.Value { return slog.StringValue(s.String()) }

// inForce returns the keys that sign at a moment: several while receivers get to know
// a new one.
func (list Signers) inForce(ctx context.Context, at time.Time) ([]ed25519.PrivateKey, error) {
	if list == nil {
		return nil, nil
	}
	all, err := list(ctx)
	if err != nil {
		return nil, err
	}
	var keys []ed25519.PrivateKey
	for _, s := range all {
		if len(s.Key) != ed25519.PrivateKeySize {
			return nil, fmt.Errorf("%s has %d bytes; want %d", s, len(s.Key), ed25519.PrivateKeySize)
		}
		if s.signs(at) {
			keys = append(keys, s.Key)
		}
	}
	return keys, nil
}

// signature is the value of webhook-signature: one v1 signature for each secret and
// one v1a signature for each key, over the same text. A receiver takes the kind it
// knows, and verifies with whichever of the secrets or keys it has.
func signature(id string, at time.Time, body []byte, secrets [][]byte, keys []ed25519.PrivateKey) string {
	text := append([]byte(id+"."+strconv.FormatInt(at.Unix(), 10)+"."), body...)
	var tokens []string
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write(text)
		tokens = append(tokens, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	for _, key := range keys {
		tokens = append(tokens, "v1a,"+base64.StdEncoding.EncodeToString(ed25519.Sign(key, text)))
	}
	return strings.Join(tokens, " ")
}
