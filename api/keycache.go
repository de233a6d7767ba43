package api

import (
	"context"
	"crypto/sha256"
	"maps"
	"sync"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

const (
	// keyFresh is how long a key is trusted without asking the store: so long does a
	// deleted key go on working at most.
	keyFresh = 10 * time.Second
	// maxCached bounds the cache; only keys that exist enter it.
	maxCached = 10_000
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

// cached returns the key with a hash as it was when it was last asked for, if it worked
// then.
func (c *keyCache) cached(hash [sha256.Size]byte) (cachedKey, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key, ok := c.byHash[hash]
	return key, ok
}

// ask returns the key with a hash from the store; ErrNotFound, which is not remembered, so
// that a new key works at once.
func (c *keyCache) ask(ctx context.Context, store tocsin.Keys, hash [sha256.Size]byte, now time.Time) (tocsin.Key, error) {
	key, err := store.KeyByHash(ctx, hash[:])
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		if tocsin.CodeOf(err) == tocsin.CodeNotFound {
			delete(c.byHash, hash)
		}
		return key, err
	}
	if c.byHash == nil || len(c.byHash) >= maxCached {
		c.byHash = map[[sha256.Size]byte]cachedKey{}
	}
	c.byHash[hash] = cachedKey{key, freshUntil(key, now)}
	return key, nil
}

// freshUntil is no later than any moment at which a text of the key stops working.
func freshUntil(key tocsin.Key, now time.Time) time.Time {
	until := now.Add(keyFresh)
	for _, end := range []*time.Time{key.ExpiresAt, key.OldExpiresAt} {
		if end != nil && end.Before(until) {
			until = *end
		}
	}
	return until
}

// forget makes this process ask the store again about a key.
func (c *keyCache) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.byHash, func(_ [sha256.Size]byte, cached cachedKey) bool { return cached.key.ID == id })
}
