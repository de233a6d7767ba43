package webhooks_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/webhooks"
)

// secrets opens what is stored of a webhook's configuration.
func (k *kit) secrets(t *testing.T, ring *tocsin.KeyRing, id string) (secrets []string, oldUntil string) {
	t.Helper()
	w, err := k.store.Webhook(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ring.Open(w.Sealed, id)
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Secret   json.RawMessage `json:"signing_secret"`
		OldUntil string          `json:"old_secret_until"`
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		t.Fatal(err)
	}
	var one string
	if json.Unmarshal(config.Secret, &one) == nil {
		return []string{one}, config.OldUntil
	}
	if err := json.Unmarshal(config.Secret, &secrets); err != nil {
		t.Fatal(err)
	}
	return secrets, config.OldUntil
}

func TestRotateSigningSecret(t *testing.T) {
	at := time.Now().UTC().Add(-2 * 49 * time.Hour)
	var ring *tocsin.KeyRing
	k := newKit(t, func(c *webhooks.Config) {
		ring, c.Now = c.KeyRing, func() time.Time { return at }
	})
	created := k.mustCreate(t, "soc", map[string]any{"config": map[string]any{"url": k.receiver.URL, "headers": map[string]any{"Authorization": "Bearer x"}}})
	id, last := created.Webhook.ID, created.Generated["signing_secret"]
	k.conductor.take()
	for i := range 3 {
		r, err := k.RotateSigningSecret(t.Context(), "soc", 48*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		version := created.Webhook.Version + int64(i) + 1
		if r.Webhook.Version != version || r.Secret == last || !strings.HasPrefix(r.Secret, "whsec_") {
			t.Errorf("got version %d, secret %q after %q", r.Webhook.Version, r.Secret, last)
		}
		if r.OldUntil.Before(at.Add(48*time.Hour)) || r.OldUntil.After(at.Add(48*time.Hour+time.Second)) {
			t.Errorf("the old one signs until %s", r.OldUntil)
		}
		secrets, until := k.secrets(t, ring, id)
		if !slices.Equal(secrets, []string{r.Secret, last}) || until != r.OldUntil.Format(time.RFC3339) {
			t.Errorf("stored %q until %q, want %q", secrets, until, []string{r.Secret, last})
		}
		if public := string(r.Webhook.Config); strings.Contains(public, "whsec_") || strings.Contains(public, "Bearer x") || !strings.Contains(public, until) {
			t.Errorf("public: %s", public)
		}
		if got, want := k.conductor.take(), []string{fmt.Sprintf("configure %s %d", id, version)}; !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
		last = r.Secret
		// Asked again at once, as after an answer that was lost, it leaves the receiver what it knows.
		if _, err := k.RotateSigningSecret(t.Context(), "soc", time.Hour); tocsin.CodeOf(err) != tocsin.CodeConflict || !strings.Contains(err.Error(), "still signs until "+until) {
			t.Errorf("rotating within the overlap: %v", err)
		}
		if again, _ := k.secrets(t, ring, id); !slices.Equal(again, secrets) {
			t.Errorf("stored %q after a refusal, want %q", again, secrets)
		}
		if i < 2 {
			at = at.Add(49 * time.Hour)
		}
	}
	// The channel takes it, also in the next change, and signs with both.
	if _, err := k.Change(t.Context(), id, json.RawMessage(`{"config":{"method":"PUT"}}`), false); err != nil {
		t.Errorf("changing it afterwards: %v", err)
	}
	if _, err := k.Test(t.Context(), id); err != nil {
		t.Error(err)
	}
	_, heads := k.receiver.got()
	if n := len(strings.Fields(heads[0].Get("Webhook-Signature"))); n != 2 {
		t.Errorf("%d signatures: %q", n, heads[0].Get("Webhook-Signature"))
	}
	// Without overlap the new one is alone.
	r, err := k.RotateSigningSecret(t.Context(), id, 0)
	if err != nil || !r.OldUntil.IsZero() {
		t.Fatalf("%+v, %v", r, err)
	}
	if secrets, until := k.secrets(t, ring, id); !slices.Equal(secrets, []string{r.Secret}) || until != "" {
		t.Errorf("stored %q until %q", secrets, until)
	}
}

func TestRotatingASecretIsRefused(t *testing.T) {
	k := newKit(t)
	k.mustCreate(t, "chat", map[string]any{"channel": "slack", "config": map[string]any{"url": "https://hooks.slack.com/services/T/B/x"}})
	k.mustCreate(t, "soc", nil)
	for _, tt := range []struct {
		name    string
		overlap time.Duration
		code    tocsin.Code
		want    string
	}{
		{"chat", time.Hour, tocsin.CodeConflict, `webhook "chat" is of channel slack`},
		{"none", time.Hour, tocsin.CodeNotFound, `"none"`},
		{"soc", -time.Second, tocsin.CodeInvalid, "overlap: -1s is not allowed; want 0s to 720h"},
		{"soc", 31 * 24 * time.Hour, tocsin.CodeInvalid, "overlap: 744h is not allowed"},
	} {
		if _, err := k.RotateSigningSecret(t.Context(), tt.name, tt.overlap); tocsin.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s, %s: %v", tt.name, tt.overlap, err)
		}
	}
}

// contested is a store where something happens just before an update.
type contested struct {
	tocsin.Store
	do func()
}

func (r *contested) UpdateWebhook(ctx context.Context, w tocsin.Webhook) (tocsin.Webhook, error) {
	if do := r.do; do != nil {
		r.do = nil
		do()
	}
	return r.Store.UpdateWebhook(ctx, w)
}

// Of two rotations at once one wins, and the other is told: the secret that the receiver
// knows goes on signing.
func TestRotationsOfASecretDoNotLoseEachOther(t *testing.T) {
	var race *contested
	var ring *tocsin.KeyRing
	k := newKit(t, func(c *webhooks.Config) {
		race = &contested{Store: c.Store}
		c.Store, ring = race, c.KeyRing
	})
	created := k.mustCreate(t, "soc", nil)
	id := created.Webhook.ID
	var other webhooks.Rotated
	race.do = func() {
		var err error
		if other, err = k.RotateSigningSecret(t.Context(), id, time.Hour); err != nil {
			t.Error(err)
		}
	}
	if _, err := k.RotateSigningSecret(t.Context(), id, time.Hour); tocsin.CodeOf(err) != tocsin.CodeConflict {
		t.Errorf("the slower one: %v", err)
	}
	if secrets, _ := k.secrets(t, ring, id); !slices.Equal(secrets, []string{other.Secret, created.Generated["signing_secret"]}) {
		t.Errorf("stored %q", secrets)
	}
}
