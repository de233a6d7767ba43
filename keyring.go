package tocsin

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// KeyRing seals secrets at rest with AES-256-GCM. Each sealed value names its key,
// so a new key can be put first while values sealed by older ones still open.
type KeyRing struct {
	first string
	keys  map[string]cipher.AEAD
	raw   map[string][]byte
}

// ErrNoKey says that a sealed value names a key that is not on the ring.
var ErrNoKey = errors.New("no key on the ring with this id")

// GenerateKey returns one new entry for a ring: "id:base64 of 32 random bytes".
func GenerateKey(id string) string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return id + ":" + base64.StdEncoding.EncodeToString(b[:])
}

// ParseKeyRing reads "id:base64 of 32 bytes,…"; the first key seals. An empty text,
// an entry of another form, a key that is not 32 bytes, and an id given twice are
// errors that name the entry by its place and never show the key.
func ParseKeyRing(text string) (*KeyRing, error) {
	ring := &KeyRing{keys: map[string]cipher.AEAD{}, raw: map[string][]byte{}}
	for i, entry := range strings.Split(text, ",") {
		id, encoded, ok := strings.Cut(strings.TrimSpace(entry), ":")
		if !ok || id == "" || strings.ContainsAny(id, " .") {
			return nil, fmt.Errorf("key %d: want id:base64 of 32 bytes", i+1)
		}
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(raw) != 32 {
			return nil, fmt.Errorf("key %d (%s): want base64 of 32 bytes", i+1, id)
		}
		if ring.keys[id] != nil {
			return nil, fmt.Errorf("key %d (%s): this id is there twice", i+1, id)
		}
		if err := ring.add(id, raw); err != nil {
			return nil, fmt.Errorf("key %d (%s): %w", i+1, id, err)
		}
	}
	return ring, nil
}

// add puts a key of 32 bytes at the end of a ring.
func (r *KeyRing) add(id string, raw []byte) error {
	block, err := aes.NewCipher(raw)
	if err != nil {
		return err
	}
	if r.keys[id], err = cipher.NewGCM(block); err != nil {
		return err
	}
	r.raw[id] = raw
	if r.first == "" {
		r.first = id
	}
	return nil
}

// For returns a ring with keys of its own for another purpose, derived from r's by HKDF:
// what is sealed often, such as sessions, does not use up the keys that seal secrets. The
// ids are the same, so that both are rotated together.
func (r *KeyRing) For(purpose string) (*KeyRing, error) {
	derived := &KeyRing{first: r.first, keys: map[string]cipher.AEAD{}, raw: map[string][]byte{}}
	for id, raw := range r.raw {
		key, err := hkdf.Key(sha256.New, raw, nil, "tocsin "+purpose, 32)
		if err != nil {
			return nil, fmt.Errorf("deriving key %s for %s: %w", id, purpose, err)
		}
		if err := derived.add(id, key); err != nil {
			return nil, fmt.Errorf("deriving key %s for %s: %w", id, purpose, err)
		}
	}
	return derived, nil
}

// First returns the id of the key that seals.
func (r *KeyRing) First() string { return r.first }

// SealedBy returns the id of the key that sealed a value, also when it is not on the
// ring; "" for what is not a sealed value.
func (r *KeyRing) SealedBy(sealed []byte) string {
	id, _, ok := strings.Cut(string(sealed), "\x00")
	if !ok {
		return ""
	}
	return id
}

// Seal encrypts plain under the first key. bound is authenticated but not stored:
// a value sealed for one webhook does not open as another's.
func (r *KeyRing) Seal(plain []byte, bound string) []byte {
	aead := r.keys[r.first]
	out := append([]byte(r.first), 0)
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce)
	return aead.Seal(append(out, nonce...), nonce, plain, []byte(bound))
}

// Open decrypts what Seal returned for the same bound. It returns ErrNoKey when the
// key is not on the ring, and another error when the value is damaged or was sealed
// for something else.
func (r *KeyRing) Open(sealed []byte, bound string) ([]byte, error) {
	id, rest, ok := strings.Cut(string(sealed), "\x00")
	if !ok {
		return nil, errors.New("opening secret: not a sealed value")
	}
	aead := r.keys[id]
	if aead == nil {
		return nil, fmt.Errorf("opening secret sealed by %q: %w", id, ErrNoKey)
	}
	if len(rest) < aead.NonceSize() {
		return nil, errors.New("opening secret: value cut short")
	}
	plain, err := aead.Open(nil, []byte(rest[:aead.NonceSize()]), []byte(rest[aead.NonceSize():]), []byte(bound))
	if err != nil {
		return nil, fmt.Errorf("opening secret sealed by %q: %w", id, err)
	}
	return plain, nil
}
