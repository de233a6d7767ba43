package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// keyPrefix marks our keys, for people and for scanners of leaked secrets.
const keyPrefix = "tk_"

// NewKey returns a new API key of 256 random bits, and the hash it is stored under.
// The text is to be shown once and kept nowhere.
func NewKey() (text string, hash []byte) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	text = keyPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	return text, HashKey(text)
}

// HashKey returns what a key is stored under. A key has 256 random bits, so a plain
// SHA-256 keeps it: there is nothing to guess.
func HashKey(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// ParseScopes checks the scopes of a new key: at least one of ingest, read and admin.
// The error is CodeInvalid about the field "scopes".
func ParseScopes(scopes []string) ([]string, error) {
	all := []string{ScopeIngest, ScopeRead, ScopeAdmin}
	if len(scopes) == 0 {
		return nil, tocsin.Invalid("scopes", "want at least one of %s", strings.Join(all, ", "))
	}
	var given []string
	for _, scope := range scopes {
		if !slices.Contains(all, scope) {
			hint := ""
			if near := catalog.Suggest(scope, all); near != "" {
				hint = "; did you mean " + near + "?"
			}
			return nil, tocsin.Invalid("scopes", "%q is not a scope%s; allowed: %s", scope, hint, strings.Join(all, ", "))
		}
		if !slices.Contains(given, scope) {
			given = append(given, scope)
		}
	}
	return given, nil
}

// authorize checks the request's key against the scope a route needs.
func (s *server) authorize(r *http.Request, scope string) error {
	if s.Open || scope == scopePublic {
		return nil
	}
	header := r.Header.Get("Authorization")
	if header == "" {
		return tocsin.Errorf(tocsin.CodeUnauthorized, `no API key; send "Authorization: Bearer tk_…"`)
	}
	kind, text, _ := strings.Cut(header, " ")
	if !strings.EqualFold(kind, "Bearer") || text == "" {
		return tocsin.Errorf(tocsin.CodeUnauthorized, `the Authorization header is not of the form "Bearer tk_…"`)
	}
	// Looked up by its hash: how long that takes says nothing about the key.
	key, err := s.keys.find(r.Context(), s.Store, [sha256.Size]byte(HashKey(strings.TrimSpace(text))), time.Now())
	if errors.Is(err, tocsin.ErrNotFound) {
		return tocsin.Errorf(tocsin.CodeUnauthorized, "the API key is not known, or has expired")
	}
	if err != nil {
		return err
	}
	if !slices.Contains(key.Scopes, scope) && !slices.Contains(key.Scopes, ScopeAdmin) {
		return tocsin.Errorf(tocsin.CodeForbidden, "key %q has the scopes %s; this needs %s", key.Name, strings.Join(key.Scopes, ", "), scope)
	}
	return nil
}

const (
	// keyFresh is how long a key is trusted without asking the store: so long does a
	// deleted key go on working at most.
	keyFresh = 10 * time.Second
	// maxKeys bounds the cache; only keys that exist enter it.
	maxKeys = 10_000
)

// keyCache spares ingest a query for each request. The zero value is ready.
type keyCache struct {
	mu     sync.Mutex
	byHash map[[sha256.Size]byte]cachedKey
}

type cachedKey struct {
	key   tocsin.Key
	until time.Time
}

// find returns the key with a hash; ErrNotFound, which is not remembered, so that a
// new key works at once.
func (c *keyCache) find(ctx context.Context, store tocsin.Keys, hash [sha256.Size]byte, now time.Time) (tocsin.Key, error) {
	c.mu.Lock()
	cached, ok := c.byHash[hash]
	c.mu.Unlock()
	if ok && now.Before(cached.until) {
		return cached.key, nil
	}
	key, err := store.KeyByHash(ctx, hash[:])
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		delete(c.byHash, hash)
		return key, err
	}
	until := now.Add(keyFresh)
	if key.ExpiresAt != nil && key.ExpiresAt.Before(until) {
		until = *key.ExpiresAt
	}
	if c.byHash == nil || len(c.byHash) >= maxKeys {
		c.byHash = map[[sha256.Size]byte]cachedKey{}
	}
	c.byHash[hash] = cachedKey{key, until}
	return key, nil
}
