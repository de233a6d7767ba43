package inbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// Signature is what became of checking a Standard Webhooks signature.
type Signature string

// The results.
const (
	Unsigned  Signature = "unsigned"    // no such headers
	Unknown   Signature = "unknown"     // signed, and the inbox does not know the secret
	Verified  Signature = "verified"    // by the secret, and recent
	WrongKey  Signature = "wrong"       // not made with the secret, or altered on the way
	OutOfDate Signature = "out of date" // right, but its time is more than 5 minutes off
)

// tolerance is how far off a signature's time may be, against replays; 5 minutes as in
// the reference libraries of https://www.standardwebhooks.com.
const tolerance = 5 * time.Minute

// secrets are the keys by name.
type secrets struct {
	mu   sync.RWMutex
	keys map[string][]byte
}

func (s *secrets) set(name string, secret tocsin.Secret) error {
	encoded, ok := strings.CutPrefix(secret.Reveal(), "whsec_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil {
		return errors.New("signing secret: want whsec_ and base64")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		s.keys = map[string][]byte{}
	}
	s.keys[name] = key
	return nil
}

func (s *secrets) verify(name string, h http.Header, body []byte, now time.Time) Signature {
	id, stamp, signatures := h.Get("webhook-id"), h.Get("webhook-timestamp"), h.Get("webhook-signature")
	if id == "" || stamp == "" || signatures == "" {
		return Unsigned
	}
	s.mu.RLock()
	key, known := s.keys[name]
	s.mu.RUnlock()
	if !known {
		return Unknown
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + stamp + "."))
	mac.Write(body)
	want := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	for _, got := range strings.Fields(signatures) {
		if !hmac.Equal([]byte(got), want) {
			continue
		}
		seconds, err := strconv.ParseInt(stamp, 10, 64)
		if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > tolerance {
			return OutOfDate
		}
		return Verified
	}
	return WrongKey
}
