package webhooks_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/webhooks"
)

func (k *kit) mustChange(t *testing.T, name, patch string) webhooks.Changed {
	t.Helper()
	changed, err := k.Change(t.Context(), name, json.RawMessage(patch), false)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func TestChangeIsAMergePatch(t *testing.T) {
	k := newKit(t)
	created := k.mustCreate(t, "soc", map[string]any{"batch_size": 50, "labels": map[string]any{"team": "red", "tier": "1"}})
	k.conductor.take()

	changed := k.mustChange(t, "soc", `{"batch_size": null, "events": ["threat"], "labels": {"team": null, "tier": "2"}}`)
	want := []webhooks.Change{
		{Field: "batch_size", From: json.Number("50"), To: json.Number("20")},
		{Field: "events", From: []any{}, To: []any{"threat"}},
		{Field: "labels.team", From: "red"},
		{Field: "labels.tier", From: "1", To: "2"},
	}
	if diff := cmp.Diff(want, changed.Changes); diff != "" {
		t.Error(diff)
	}
	stored, err := k.Get(t.Context(), created.Webhook.ID)
	if err != nil {
		t.Fatal(err)
	}
	if stored.BatchSize != 20 || stored.Version != 2 || stored.Labels["tier"] != "2" || len(stored.Labels) != 1 {
		t.Errorf("got %+v", stored)
	}
	if diff := cmp.Diff([]string{"configure " + stored.ID + " 2"}, k.conductor.take()); diff != "" {
		t.Error(diff)
	}
}

func TestChangingNothingWritesNothing(t *testing.T) {
	k := newKit(t)
	created := k.mustCreate(t, "soc", map[string]any{"config": map[string]any{"url": k.receiver.URL, "headers": map[string]any{"X-Token": "hush"}}})
	k.conductor.take()
	whole, err := json.Marshal(created.Webhook.Settings)
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`{"config": %s}`, created.Webhook.Config)
	for _, patch := range []string{`{}`, `{"batch_size": 20}`, `{"batch_size": null}`, `{"filter": ""}`, string(whole), config, `{"anchor": null}`} {
		changed := k.mustChange(t, "soc", patch)
		if len(changed.Changes) != 0 || changed.Webhook.Version != 1 {
			t.Errorf("%s: got %v, version %d", patch, changed.Changes, changed.Webhook.Version)
		}
	}
	if calls := k.conductor.take(); len(calls) != 0 {
		t.Errorf("told the workflow %v", calls)
	}
}

func TestChangeKeepsAndShowsNoSecrets(t *testing.T) {
	k := newKit(t)
	created := k.mustCreate(t, "soc", map[string]any{"config": map[string]any{
		"url": k.receiver.URL, "headers": map[string]any{"X-Token": "hush-one", "X-Other": "hush-two"},
	}})
	changed := k.mustChange(t, "soc", `{"config": {"method": "PUT", "headers": {"X-Token": "[redacted]", "X-Other": "hush-three"}}}`)
	want := []webhooks.Change{
		{Field: "config.headers.X-Other", From: tocsin.Redacted, To: tocsin.Redacted, Secret: true},
		{Field: "config.method", From: "POST", To: "PUT"},
	}
	if diff := cmp.Diff(want, changed.Changes); diff != "" {
		t.Error(diff)
	}
	if _, err := k.Test(t.Context(), "soc"); err != nil {
		t.Fatal(err)
	}
	_, heads := k.receiver.got()
	if got := heads[0].Get("X-Token") + " " + heads[0].Get("X-Other"); got != "hush-one hush-three" {
		t.Errorf("the receiver got %q", got)
	}

	// A rotation names the stored secret without knowing it.
	rotated := k.mustChange(t, "soc", `{"config": {"signing_secret": ["whsec_bmV3IHNlY3JldCBvZiB0aGlydHktdHdvIGJ5dGVzISE=", "[redacted]"]}}`)
	if diff := cmp.Diff([]webhooks.Change{{Field: "config.signing_secret", From: tocsin.Redacted, To: []any{tocsin.Redacted, tocsin.Redacted}, Secret: true}}, rotated.Changes); diff != "" {
		t.Error(diff)
	}
	if _, err := k.Test(t.Context(), "soc"); err != nil {
		t.Fatal(err)
	}
	_, heads = k.receiver.got()
	if got := strings.Fields(heads[1].Get("webhook-signature")); len(got) != 2 {
		t.Errorf("got signatures %q, want two", got)
	}

	// Removing the signing secret makes a fresh one, shown once.
	changed = k.mustChange(t, "soc", `{"config": {"signing_secret": null}}`)
	fresh := changed.Generated["signing_secret"]
	if fresh == "" || fresh == created.Generated["signing_secret"] {
		t.Errorf("got generated %v", changed.Generated)
	}
	if bytes.Contains(changed.Webhook.Config, []byte(fresh)) {
		t.Errorf("shown in %s", changed.Webhook.Config)
	}
}

func TestChangeRefuses(t *testing.T) {
	k := newKit(t)
	k.mustCreate(t, "other", nil)
	k.mustCreate(t, "soc", nil)
	for patch, field := range map[string]string{
		`{"channel": "slack"}`:                             "channel",
		`{"btch_size": 3}`:                                 "btch_size",
		`{"batch_size": 1001}`:                             "batch_size",
		`{"config": {"headers": {"X-New": "[redacted]"}}}`: "config.headers.X-New",
		`{"config": {"url": "http://169.254.169.254/"}}`:   "config.url",
		`{"config": "[redacted]"}`:                         "config",
		`{"version": 3}`:                                   "version",
		`{"name": null}`:                                   "name",
		`{"batch_sise": null}`:                             "batch_sise",
		`{"config": {"headers": {"X": 7}}}`:                "config.headers.X",
	} {
		_, err := k.Change(t.Context(), "soc", json.RawMessage(patch), false)
		if got := fields(t, err, tocsin.CodeInvalid); got[field] == "" {
			t.Errorf("%s: got %v, want something about %s", patch, got, field)
		}
	}
	if got := fields(t, func() error {
		_, err := k.Change(t.Context(), "soc", json.RawMessage(`{"name": "other"}`), false)
		return err
	}(), tocsin.CodeConflict); got["name"] == "" {
		t.Errorf("got %v", got)
	}
	if _, err := k.Change(t.Context(), "soc", json.RawMessage(`[1]`), false); tocsin.CodeOf(err) != tocsin.CodeMalformed {
		t.Errorf("got %v", err)
	}
	if _, err := k.Change(t.Context(), "nobody", json.RawMessage(`{}`), false); tocsin.CodeOf(err) != tocsin.CodeNotFound {
		t.Errorf("got %v", err)
	}
}

func TestDryRunOfAChangeWritesNothing(t *testing.T) {
	k := newKit(t)
	k.mustCreate(t, "soc", nil)
	changed, err := k.Change(t.Context(), "soc", json.RawMessage(`{"batch_size": 7, "config": {"signing_secret": null}}`), true)
	if err != nil {
		t.Fatal(err)
	}
	if changed.Webhook.BatchSize != 7 || len(changed.Changes) != 2 || len(changed.Generated) != 0 {
		t.Errorf("got %+v", changed)
	}
	if stored, err := k.Get(t.Context(), "soc"); err != nil || stored.BatchSize != 20 || stored.Version != 1 {
		t.Errorf("got %+v, %v", stored, err)
	}
}

// racing lets somebody else's change in just before the first few writes.
type racing struct {
	tocsin.Store
	mu    sync.Mutex
	times int
	meet  func()
}

func (r *racing) UpdateWebhook(ctx context.Context, w tocsin.Webhook) (tocsin.Webhook, error) {
	r.mu.Lock()
	r.times--
	first := r.times >= 0
	r.mu.Unlock()
	if first {
		r.meet()
	}
	return r.Store.UpdateWebhook(ctx, w)
}

func TestConcurrentChangesAreBothKept(t *testing.T) {
	for _, test := range []struct {
		times int
		want  tocsin.Code
	}{{1, ""}, {4, ""}, {100, tocsin.CodeConflict}} {
		race := &racing{times: test.times}
		k := newKit(t, func(c *webhooks.Config) { race.Store = c.Store; c.Store = race })
		created := k.mustCreate(t, "soc", nil)
		size := 100
		race.meet = func() {
			w, err := race.Store.Webhook(t.Context(), created.Webhook.ID)
			if err != nil {
				t.Fatal(err)
			}
			size++
			w.BatchSize = size
			if _, err := race.Store.UpdateWebhook(t.Context(), w); err != nil {
				t.Fatal(err)
			}
		}
		_, err := k.Change(t.Context(), "soc", json.RawMessage(`{"min_severity": "high"}`), false)
		if got := tocsin.CodeOf(err); got != test.want {
			t.Fatalf("met %d others: got %v, want code %q", test.times, err, test.want)
		}
		stored, err := k.Get(t.Context(), "soc")
		if err != nil {
			t.Fatal(err)
		}
		if test.want == "" && (stored.MinSeverity != tocsin.SeverityHigh || stored.BatchSize != size) {
			t.Errorf("got %+v, want both changes", stored.Settings)
		}
	}
}
