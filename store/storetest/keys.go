package storetest

import (
	"crypto/sha256"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

var keyCases = []testCase{
	{"a key is found by its hash", keyByHash},
	{"names of keys are unique", keyNames},
	{"an expired key is not found", keyExpired},
	{"use is noted to the minute", keyUse},
	{"DeleteKey by id or name", keyDelete},
}

func hash(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

func (k *kit) key(name string) tocsin.Key {
	k.t.Helper()
	key, err := k.s.CreateKey(k.ctx, tocsin.Key{ID: tocsin.NewID(tocsin.PrefixKey), Name: name, Scopes: []string{"ingest", "read"}}, hash(name))
	k.ok(err)
	return key
}

func keyByHash(k *kit) {
	key := k.key("ci")
	if key.CreatedAt.IsZero() {
		k.t.Fatal("a key has no time of creation")
	}
	k.same("key", key, tocsin.Key{ID: key.ID, Name: "ci", Scopes: []string{"ingest", "read"}, CreatedAt: key.CreatedAt})
	got, err := k.s.KeyByHash(k.ctx, hash("ci"))
	k.ok(err)
	got.LastUsed = nil
	k.same("by hash", got, key)
	_, err = k.s.KeyByHash(k.ctx, hash("other"))
	k.is(err, tocsin.ErrNotFound)
}

func keyNames(k *kit) {
	k.key("b")
	k.key("a")
	_, err := k.s.CreateKey(k.ctx, tocsin.Key{ID: tocsin.NewID(tocsin.PrefixKey), Name: "a", Scopes: []string{"admin"}}, hash("another"))
	k.is(err, tocsin.ErrNameTaken)
	all, err := k.s.ListKeys(k.ctx)
	k.ok(err)
	var names []string
	for _, key := range all {
		names = append(names, key.Name)
	}
	k.same("names", names, []string{"a", "b"})
}

func keyExpired(k *kit) {
	now := k.key("clock").CreatedAt
	for name, until := range map[string]time.Time{"past": now.Add(-time.Second), "future": now.Add(time.Hour)} {
		_, err := k.s.CreateKey(k.ctx, tocsin.Key{ID: tocsin.NewID(tocsin.PrefixKey), Name: name, Scopes: []string{"read"}, ExpiresAt: &until}, hash(name))
		k.ok(err)
	}
	got, err := k.s.KeyByHash(k.ctx, hash("future"))
	k.ok(err)
	want := now.Add(time.Hour)
	k.same("expires", got.ExpiresAt, &want)
	_, err = k.s.KeyByHash(k.ctx, hash("past"))
	k.is(err, tocsin.ErrNotFound)
}

func keyUse(k *kit) {
	key := k.key("ci")
	for range 2 {
		_, err := k.s.KeyByHash(k.ctx, hash("ci"))
		k.ok(err)
	}
	all, err := k.s.ListKeys(k.ctx)
	k.ok(err)
	used := all[0].LastUsed
	if used == nil || !used.Equal(used.Truncate(time.Minute)) || used.Before(key.CreatedAt.Truncate(time.Minute)) {
		k.t.Fatalf("last used %v, created %v", used, key.CreatedAt)
	}
}

func keyDelete(k *kit) {
	a, b := k.key("a"), k.key("b")
	k.ok(k.s.DeleteKey(k.ctx, a.ID))
	k.ok(k.s.DeleteKey(k.ctx, b.Name))
	_, err := k.s.KeyByHash(k.ctx, hash("a"))
	k.is(err, tocsin.ErrNotFound)
	k.is(k.s.DeleteKey(k.ctx, a.ID), tocsin.ErrNotFound)
	k.key("a") // the name is free again
}
