package webhooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/ingest"
	"github.com/tocsin-alerts/tocsin/webhooks"
)

// fuzzStore holds one webhook and takes what it is given. Any other method panics.
type fuzzStore struct {
	tocsin.Store
	webhook tocsin.Webhook
	mute    tocsin.Mute
}

func (s *fuzzStore) ListWebhooks(context.Context) (int64, []tocsin.Webhook, error) {
	return 1, []tocsin.Webhook{s.webhook}, nil
}

func (s *fuzzStore) Configuration(context.Context, tocsin.Configuration) (tocsin.Configuration, error) {
	return tocsin.Configuration{Revision: 1, Webhooks: []tocsin.Webhook{s.webhook}}, nil
}

func (s *fuzzStore) WebhookByName(_ context.Context, name string) (tocsin.Webhook, error) {
	if name != s.webhook.Name {
		return tocsin.Webhook{}, tocsin.ErrNotFound
	}
	return s.webhook, nil
}

func (s *fuzzStore) Webhook(_ context.Context, id string) (tocsin.Webhook, error) {
	if id != s.webhook.ID {
		return tocsin.Webhook{}, tocsin.ErrNotFound
	}
	return s.webhook, nil
}

func (s *fuzzStore) CreateMute(_ context.Context, m tocsin.Mute) (tocsin.Mute, error) {
	m.CreatedAt = fuzzNow
	if m.From.IsZero() {
		m.From = fuzzNow
	}
	s.mute = m
	return m, nil
}

func (s *fuzzStore) ReplayCandidates(context.Context, tocsin.ReplaySelection, string, int) (tocsin.ReplayCandidates, error) {
	return tocsin.ReplayCandidates{Last: true}, nil
}

// anything is a channel that takes every configuration, so that no name is resolved.
type anything struct{ tocsin.Channel }

func (anything) Name() string                                      { return "webhook" }
func (anything) Validate(context.Context, json.RawMessage) error   { return nil }
func (anything) Public(c json.RawMessage) (json.RawMessage, error) { return c, nil }
func (anything) Complete(c json.RawMessage) (json.RawMessage, []string, error) {
	return c, nil, nil
}

var fuzzNow = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func fuzzService(f *testing.F) (*webhooks.Service, *fuzzStore) {
	ring, err := tocsin.ParseKeyRing(tocsin.GenerateKey("fuzz"))
	if err != nil {
		f.Fatal(err)
	}
	store := &fuzzStore{}
	s, err := webhooks.New(webhooks.Config{
		Store: store, KeyRing: ring, Channels: []tocsin.Channel{anything{}}, Now: func() time.Time { return fuzzNow },
		CheckFilter: func(expr string) error { _, err := ingest.CompileFilter(expr); return err },
		Matches:     func(tocsin.Webhook, *tocsin.Event) (string, bool, error) { return "", true, nil },
	})
	if err != nil {
		f.Fatal(err)
	}
	first, err := s.Create(f.Context(), json.RawMessage(`{"name":"first","channel":"webhook","config":{"url":"https://x.example"}}`), true)
	if err != nil {
		f.Fatal(err)
	}
	store.webhook = first.Webhook
	store.webhook.ID = "wh_first"
	store.webhook.Sealed = ring.Seal([]byte(`{"url":"https://x.example"}`), "wh_first")
	return s, store
}

// refused checks that an error is for whoever wrote the document.
func refused(t *testing.T, body []byte, err error) {
	t.Helper()
	var e *tocsin.Error
	if !errors.As(err, &e) {
		t.Fatalf("%q: error without a code: %v", body, err)
	}
	switch e.Code {
	case tocsin.CodeInvalid:
		if len(e.Fields) == 0 {
			t.Fatalf("%q: no field is named: %v", body, err)
		}
	case tocsin.CodeMalformed, tocsin.CodeConflict:
	default:
		t.Fatalf("%q: %s: %v", body, e.Code, err)
	}
}

// A webhook's document is refused with the field, or accepted, and then what it came to
// is accepted as the same.
func FuzzWebhookDocument(f *testing.F) {
	for _, seed := range []string{
		`{"name":"soc","channel":"webhook","config":{"url":"https://x.example/1","headers":{"A":"b"},"n":12345678901234567890}}`,
		`{"name":"soc","channel":"webhook","events":["threat",{"type":"discovery","collections":["1"]},"custom.x"],"min_severity":"high","collections":["1"],"filter":"level > 2"}`,
		`{"name":"soc","channel":"webhook","frequency":"instant","run_every":"1h30m","anchor":"2026-01-01T00:00:00+02:00","batch_size":100,"repeat_after":"1d","retry_for":"3d","disable_after":"5d","on_resume":"discard","max_per_second":0.5,"max_concurrent":4}`,
		`{"name":"soc","channel":"webhook","fallback":"first","escalate":[{"to":"first","after":"5m","min_severity":"high","unless":"acknowledged"}],"labels":{"team":"a"}}`,
		`{"name":null,"config":{"a":"[redacted]"}}`, `{"nam":"x","events":"threat","config":[]}`, `{"name":"\ud800","chanel":"slak"}`, `[]`, `null`, `{"name":`, `{"config":{"url":null,"headers":{"A":null}}}`,
		`{"run_every":"99999999999d"}`, `{"max_per_second":1e999}`, `{"escalate":[null],"events":[null,{}]}`, `{"channel":"webhook","name":"first"}`,
	} {
		f.Add([]byte(seed))
	}
	s, _ := fuzzService(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		// As a patch of another, too.
		if _, err := s.Change(t.Context(), "first", body, true); err != nil {
			refused(t, body, err)
		}
		created, err := s.Create(t.Context(), body, true)
		if err != nil {
			refused(t, body, err)
			return
		}
		again, err := s.Create(t.Context(), document(t, created.Webhook.Settings, created.Webhook.Config), true)
		if err != nil {
			t.Fatalf("%q was accepted, and what it came to is not: %v", body, err)
		}
		opts := cmp.Options{cmpopts.EquateEmpty(), cmpopts.IgnoreFields(tocsin.Webhook{}, "CreatedAt", "UpdatedAt", "StateSince")}
		if diff := cmp.Diff(created.Webhook, again.Webhook, opts); diff != "" {
			t.Fatalf("%q: %s", body, diff)
		}
	})
}

// document is what a user would write for these settings.
func document(t *testing.T, settings tocsin.Settings, config json.RawMessage) json.RawMessage {
	t.Helper()
	raw, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	maps.Copy(fields, map[string]json.RawMessage{"config": config})
	if raw, err = json.Marshal(fields); err != nil {
		t.Fatal(err)
	}
	return raw
}

// A mute's document is refused with the field, or what is stored is a mute by the words of
// tocsin.Mute, which can be written again.
func FuzzMuteDocument(f *testing.F) {
	for _, seed := range []string{
		`{"webhooks":["first","wh_first"],"events":["threat",{"type":"discovery","collections":["1"]}],"collections":["1"],"dedup_key":"k","filter":"level > 2","for":"2h","reason":"r","author":"a"}`,
		`{"dedup_key":"k","from":"2026-03-02T10:00:00+02:00","until":"2026-03-02T10:00:00Z","reason":"line 1\nline 2"}`, `{"webhooks":["frist"],"for":"90d","reason":" "}`,
		`{"events":["none"],"for":"-1s"}`, `{"filter":"(","until":"x"}`, `{"fro":1}`, `[]`, `null`, `{`, `{"for":"9999999h","dedup_key":"\u0000","reason":"\ud800"}`, `{"from":"9999-12-31T23:59:59Z","for":"1d"}`, `{"from":"0000-01-01T00:00:00Z"}`,
	} {
		f.Add([]byte(seed))
	}
	s, store := fuzzService(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := s.CreateMute(t.Context(), body, "actor")
		if err != nil {
			refused(t, body, err)
			return
		}
		m := store.mute
		if length := m.Until.Sub(m.From); length <= 0 || length > 90*24*time.Hour || !m.Until.After(fuzzNow) {
			t.Fatalf("%q: from %s until %s", body, m.From, m.Until)
		}
		if len(m.WebhookIDs)+len(m.Events)+len(m.Collections)+len(m.DedupKey)+len(m.Filter) == 0 || m.Author == "" || m.Reason == "" || v.State == webhooks.MuteEnded {
			t.Fatalf("%q: %+v", body, v)
		}
		raw, err := json.Marshal(map[string]any{
			"webhooks": v.Webhooks, "events": m.Events, "collections": m.Collections, "dedup_key": m.DedupKey, "filter": m.Filter,
			"from": m.From, "until": m.Until, "author": m.Author, "reason": m.Reason,
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.CreateMute(t.Context(), raw, ""); err != nil {
			t.Fatalf("%q was accepted, and %s is not: %v", body, raw, err)
		}
		if diff := cmp.Diff(m, store.mute, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(tocsin.Mute{}, "ID")); diff != "" {
			t.Fatalf("%q: %s", body, diff)
		}
	})
}

// A replay's document is refused with the field, or selects nothing that lies ahead.
func FuzzReplayDocument(f *testing.F) {
	for _, seed := range []string{
		`{"webhook":"first","what":"dead","types":["threat.detected","custom.x"],"since":"2026-01-01T00:00:00Z","until":"2026-02-01T00:00:00+02:00","max_per_second":2.5,"dry_run":true}`,
		`{"webhook":"wh_first","what":"missing"}`, `{"webhook":"frist","what":"mising","types":["threat"]}`, `{"until":"2027-01-01T00:00:00Z","max_per_second":-1}`, `{"max_per_second":1e999,"state":"done"}`, `[]`, `{`,
	} {
		f.Add([]byte(seed))
	}
	s, _ := fuzzService(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := s.CreateReplay(t.Context(), body, "actor", true)
		if err != nil {
			refused(t, body, err)
			return
		}
		if r.WebhookID != "wh_first" || r.What == "" || r.Until.After(fuzzNow) || r.MaxRate < 0 || !r.DryRun || r.ID != "" {
			t.Fatalf("%q: %+v", body, r)
		}
	})
}
