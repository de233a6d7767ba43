package webhooks_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/webhooks"
)

// again is a service over the kit's store with another ring.
func (k *kit) again(t *testing.T, config webhooks.Config, ring string) *webhooks.Service {
	t.Helper()
	var err error
	if config.KeyRing, err = tocsin.ParseKeyRing(ring); err != nil {
		t.Fatal(err)
	}
	s, err := webhooks.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rings returns a kit on a ring of one key, and makers of services with other rings.
func rings(t *testing.T, ring string, adjust ...func(*webhooks.Config)) (*kit, func(ring string) *webhooks.Service) {
	t.Helper()
	var config webhooks.Config
	k := newKit(t, append(adjust, func(c *webhooks.Config) {
		var err error
		if c.KeyRing, err = tocsin.ParseKeyRing(ring); err != nil {
			t.Fatal(err)
		}
		config = *c
	})...)
	return k, func(ring string) *webhooks.Service { return k.again(t, config, ring) }
}

func TestReseal(t *testing.T) {
	oldKey, newKey := tocsin.GenerateKey("2025"), tocsin.GenerateKey("2026")
	k, with := rings(t, oldKey)
	w := k.mustCreate(t, "soc", nil).Webhook
	gone := k.mustCreate(t, "gone", nil).Webhook
	if err := k.Delete(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := k.RotateSigningKey(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	before, err := k.Signers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	both := with(newKey + "," + oldKey)
	if _, err := both.Create(t.Context(), k.body("new", nil), false); err != nil {
		t.Fatal(err)
	}
	for i, want := range [][2]int{{3, 1}, {0, 4}} {
		if resealed, already, err := both.Reseal(t.Context()); err != nil || resealed != want[0] || already != want[1] {
			t.Errorf("time %d: %d resealed, %d already, %v", i, resealed, already, err)
		}
	}
	after, err := k.store.Webhook(t.Context(), w.ID)
	if err != nil || after.Version != w.Version || bytes.Equal(after.Sealed, w.Sealed) {
		t.Errorf("version %d, was %d, %v", after.Version, w.Version, err)
	}
	// The old key can go.
	alone := with(newKey)
	if _, err := alone.Sender(after); err != nil {
		t.Error(err)
	}
	signers, err := alone.Signers(t.Context())
	if err != nil || len(signers) != 1 || !signers[0].Key.Equal(before[0].Key) {
		t.Errorf("signers %v, %v", signers, err)
	}
}

// What does not open is told, and keeps nothing else from being resealed.
func TestResealTellsWhatDoesNotOpen(t *testing.T) {
	oldKey, newKey, lost := tocsin.GenerateKey("2025"), tocsin.GenerateKey("2026"), tocsin.GenerateKey("lost")
	k, with := rings(t, oldKey)
	k.mustCreate(t, "soc", nil)
	orphan, err := with(lost).Create(t.Context(), k.body("orphan", nil), false)
	if err != nil {
		t.Fatal(err)
	}
	resealed, already, err := with(newKey + "," + oldKey).Reseal(t.Context())
	if resealed != 1 || already != 0 || !errors.Is(err, tocsin.ErrNoKey) || !strings.Contains(err.Error(), orphan.Webhook.ID) || !strings.Contains(err.Error(), `"lost"`) {
		t.Errorf("%d, %d, %v", resealed, already, err)
	}
	// Another key under an id that sealed before is no "already".
	if _, already, err := with(tocsin.GenerateKey("2026")).Reseal(t.Context()); already != 0 || err == nil {
		t.Errorf("%d already, %v", already, err)
	}
}

// meanwhile is a store where something happens just before a reseal.
type meanwhile struct {
	tocsin.Store
	do func()
}

func (m *meanwhile) ResealWebhook(ctx context.Context, id string, old, sealed []byte) error {
	if do := m.do; do != nil {
		m.do = nil
		do()
	}
	return m.Store.ResealWebhook(ctx, id, old, sealed)
}

// A change between reading and resealing is not undone.
func TestResealKeepsAChangeMadeMeanwhile(t *testing.T) {
	oldKey, newKey := tocsin.GenerateKey("2025"), tocsin.GenerateKey("2026")
	var race *meanwhile
	k, with := rings(t, oldKey, func(c *webhooks.Config) {
		race = &meanwhile{Store: c.Store}
		c.Store = race
	})
	w := k.mustCreate(t, "soc", nil).Webhook
	url := k.receiver.URL + "/changed"
	race.do = func() {
		if _, err := k.Change(t.Context(), w.ID, json.RawMessage(`{"config":{"url":"`+url+`"}}`), false); err != nil {
			t.Error(err)
		}
	}
	both := with(newKey + "," + oldKey)
	if resealed, already, err := both.Reseal(t.Context()); resealed != 1 || already != 0 || err != nil {
		t.Errorf("%d, %d, %v", resealed, already, err)
	}
	requests, err := with(newKey).Preview(t.Context(), "soc")
	if err != nil || len(requests) != 1 || requests[0].URL != url {
		t.Errorf("requests %+v, %v, want one to %s", requests, err, url)
	}
}

func TestSigningKeysRotate(t *testing.T) {
	k := newKit(t)
	if keys, err := k.PublicKeys(t.Context()); err != nil || len(keys) != 0 {
		t.Errorf("at first: %+v, %v", keys, err)
	}
	if signers, err := k.Signers(t.Context()); err != nil || len(signers) != 0 {
		t.Errorf("at first: %v, %v", signers, err)
	}
	for i, want := range []int{1, 1, 2} {
		keys, err := k.RotateSigningKey(t.Context(), i == 2)
		if err != nil || len(keys) != want {
			t.Fatalf("time %d: %d keys, %v, want %d", i, len(keys), err, want)
		}
	}
	keys, err := k.PublicKeys(t.Context())
	if err != nil || len(keys) != 2 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	first, second := keys[0], keys[1]
	if lead := second.SignsFrom.Sub(second.CreatedAt); first.SignsFrom.After(first.CreatedAt) || lead != 24*time.Hour || second.SignsUntil != nil {
		t.Errorf("the first signs from %s (created %s), the second %s later, until %v", first.SignsFrom, first.CreatedAt, lead, second.SignsUntil)
	}
	if first.SignsUntil == nil || first.SignsUntil.Sub(second.SignsFrom) != 7*24*time.Hour {
		t.Errorf("the first signs until %v, the second from %s", first.SignsUntil, second.SignsFrom)
	}
	signers, err := k.Signers(t.Context())
	if err != nil || len(signers) != 2 {
		t.Fatalf("%v, %v", signers, err)
	}
	for i, s := range signers {
		message := []byte("signed content")
		if s.ID != keys[i].ID || !s.From.Equal(keys[i].SignsFrom) || !ed25519.Verify(keys[i].Public, message, ed25519.Sign(s.Key, message)) {
			t.Errorf("signer %s does not belong to key %s", s.ID, keys[i].ID)
		}
	}
	raw, err := json.Marshal(keys)
	if err != nil || bytes.Contains(raw, []byte("ealed")) {
		t.Errorf("published: %s, %v", raw, err)
	}
}

// counted is a store that counts how often keys are read.
type counted struct {
	tocsin.Store
	reads int
	err   error
}

func (c *counted) SigningKeys(ctx context.Context) ([]tocsin.SigningKey, error) {
	if c.reads++; c.err != nil {
		return nil, c.err
	}
	return c.Store.SigningKeys(ctx)
}

func TestSigningKeysAreReadOnceAMinute(t *testing.T) {
	at := time.Now()
	var store *counted
	k := newKit(t, func(c *webhooks.Config) {
		store = &counted{Store: c.Store}
		c.Store, c.Now = store, func() time.Time { return at }
	})
	signers := func(want, reads int) {
		t.Helper()
		got, err := k.Signers(t.Context())
		if err != nil || len(got) != want || store.reads != reads {
			t.Errorf("%v, %v after %d reads; want %d after %d", got, err, store.reads, want, reads)
		}
	}
	signers(0, 1)
	signers(0, 2) // that there are none is not remembered
	if _, err := k.RotateSigningKey(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	signers(1, 3)
	at = at.Add(59 * time.Second)
	signers(1, 3)
	if keys, err := k.PublicKeys(t.Context()); err != nil || len(keys) != 1 || store.reads != 3 {
		t.Errorf("%+v, %v after %d reads", keys, err, store.reads)
	}
	at = at.Add(time.Second)
	signers(1, 4)
	if _, err := k.RotateSigningKey(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	signers(2, 5)
	at = at.Add(9 * 24 * time.Hour) // the first has ended, and is published still
	signers(1, 6)
	if keys, err := k.PublicKeys(t.Context()); err != nil || len(keys) != 2 {
		t.Errorf("%+v, %v", keys, err)
	}
	at, store.err = at.Add(time.Hour), tocsin.Errorf(tocsin.CodeUnavailable, "away")
	if _, err := k.Signers(t.Context()); tocsin.CodeOf(err) != tocsin.CodeUnavailable {
		t.Errorf("without a store: %v", err)
	}
}

func TestSignersNeverPrintTheirKeys(t *testing.T) {
	oldKey := tocsin.GenerateKey("old")
	k, with := rings(t, oldKey)
	if _, err := k.RotateSigningKey(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	signers, err := k.Signers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		fmt.Fprintf(&out, verb+" "+verb+"\n", signers[0], signers)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("keys", "one", signers[0], "all", signers)
	seed := signers[0].Key.Seed()
	for _, form := range []string{string(seed), fmt.Sprintf("%x", seed), fmt.Sprintf("%d", seed[:4])[1:]} {
		if strings.Contains(out.String(), strings.TrimSuffix(form, "]")) {
			t.Errorf("printed: %s", out.String())
		}
	}
	if _, err := with(tocsin.GenerateKey("other")).Signers(t.Context()); !errors.Is(err, tocsin.ErrNoKey) || !strings.Contains(err.Error(), signers[0].ID) {
		t.Errorf("without the key: %v", err)
	}
}
