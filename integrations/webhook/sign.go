package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
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

// signature is the value of webhook-signature: one v1 signature for each key, so that
// a receiver that has either verifies.
func signature(id string, at time.Time, body []byte, keys [][]byte) string {
	tokens := make([]string, len(keys))
	for i, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		tokens[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(tokens, " ")
}
