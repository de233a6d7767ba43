package webhooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/ingest"
	"github.com/tocsin-alerts/tocsin/webhooks"
)

func (k *kit) mustMute(t *testing.T, body string) webhooks.MuteView {
	t.Helper()
	v, err := k.CreateMute(t.Context(), json.RawMessage(body), "key ops")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestCreateMute(t *testing.T) {
	k := newKit(t)
	a, b := k.mustCreate(t, "soc", nil).Webhook, k.mustCreate(t, "on-call", nil).Webhook
	v := k.mustMute(t, `{"webhooks":["on-call","`+a.ID+`","soc"],"events":["discovery",{"type":"threat","collections":["1"]}],
		"collections":["1","2"],"dedup_key":"k","filter":"level > 2","for":"2h","reason":"load test","author":null}`)
	want := webhooks.MuteView{Webhooks: []string{"on-call", "soc"}, State: "active", Mute: tocsin.Mute{
		ID: v.ID, WebhookIDs: []string{b.ID, a.ID}, Events: []tocsin.Selector{{Type: "discovery"}, {Type: "threat", Collections: []string{"1"}}},
		Collections: []string{"1", "2"}, DedupKey: "k", Filter: "level > 2", From: v.From, Until: v.Until, Author: "key ops", Reason: "load test", CreatedAt: v.CreatedAt,
	}}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Error(diff)
	}
	if length := v.Until.Sub(v.From).Round(time.Minute); length != 2*time.Hour {
		t.Errorf("it lasts %s", length)
	}
	got, err := k.GetMute(t.Context(), v.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v, got); diff != "" {
		t.Errorf("read back: %s", diff)
	}
	// What is stored reaches ingest.
	conf, err := k.store.Configuration(t.Context(), tocsin.Configuration{})
	if err != nil || len(conf.Mutes) != 1 || conf.Mutes[0].ID != v.ID {
		t.Errorf("configuration %+v, %v", conf, err)
	}
	raw, err := json.Marshal(k.mustMute(t, `{"dedup_key":"x","until":"`+time.Now().Add(time.Hour).Format(time.RFC3339)+`","reason":"r","author":"dana"}`))
	if err != nil || !strings.Contains(string(raw), `"webhook_ids":[],"events":[],"collections":[],"dedup_key":"x"`) || !strings.Contains(string(raw), `"author":"dana"`) || !strings.Contains(string(raw), `"webhooks":[],"state":"active"`) {
		t.Errorf("got %s, %v", raw, err)
	}
}

func TestMuteIsRefused(t *testing.T) {
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	k := newKit(t, func(c *webhooks.Config) { c.Now = func() time.Time { return at } })
	k.mustCreate(t, "on-call", nil)
	ok := func(more string) string { return `{"dedup_key":"k","for":"1h","reason":"r",` + more + `}` }
	for _, tt := range []struct{ body, field, want string }{
		{`{"for":"1h","reason":"r"}`, "webhooks", "at least one of webhooks, events, collections, dedup_key and filter"},
		{ok(`"webhooks":["on-cal"]`), "webhooks[0]", `no webhook has the id or name "on-cal"; did you mean "on-call"?`},
		{ok(`"webhooks":"on-call"`), "webhooks", `got "on-call"; want a list of names or ids of webhooks`},
		{ok(`"events":["agent.discoverd"]`), "events[0]", `"agent.discoverd" is neither an alert type nor a category; did you mean "agent.discovered"?`},
		{ok(`"events":["none"]`), "events[0]", `"none" selects nothing`},
		{ok(`"events":[{"type":"threat","collection":["1"]}]`), "events[0].collection", `unknown field; did you mean "collections"?`},
		{ok(`"collections":[""]`), "collections[0]", "want 1 to 1024 bytes"},
		{ok(`"dedup_key":"a\u0000"`), "dedup_key", "want at most 255 bytes without control characters"},
		{ok(`"filter":"level >"`), "filter", "line 1, column 8"},
		{ok(`"filter":"` + strings.Repeat("!", 4097) + `"`), "filter", "is 4097 bytes; at most 4096 are allowed"},
		{ok(`"from":"tomorrow"`), "from", `"tomorrow" is not an RFC 3339 time`},
		{ok(`"until":"2026-03-02T10:00:00Z"`), "for", "is given together with until"},
		{`{"dedup_key":"k","reason":"r"}`, "until", "is required"},
		{`{"dedup_key":"k","reason":"r","until":"2026-03-02T09:00:00Z"}`, "until", "the mute would end at 2026-03-02T09:00:00Z, and it is 2026-03-02T09:00:00Z now"},
		{`{"dedup_key":"k","reason":"r","from":"2026-03-03T09:00:00Z","until":"2026-03-02T10:00:00Z"}`, "until", "is not after from, 2026-03-03T09:00:00Z"},
		{`{"dedup_key":"k","reason":"r","until":"2026-05-31T09:00:01Z"}`, "until", "at most 2160h are allowed"},
		{`{"dedup_key":"k","reason":"r","for":"91d"}`, "for", "2184h is not allowed; want more than 0s and at most 2160h"},
		{`{"dedup_key":"k","reason":"r","for":"-1h"}`, "for", "-1h is not allowed"},
		{`{"dedup_key":"k","reason":"r","for":90}`, "for", `got 90; want a duration in quotes`},
		{`{"dedup_key":"k","reason":"r","from":"2026-03-01T09:00:00Z","for":"1h"}`, "for", "would end at 2026-03-01T10:00:00Z"},
		{`{"dedup_key":"k","reason":"r","from":"9999-12-31T23:00:00Z","for":"2h"}`, "from", "out of range"},
		{`{"dedup_key":"k","for":"1h"}`, "reason", "is required: 1 to 1000 characters"},
		{ok(`"reason":"` + strings.Repeat("é", 1001) + `"`), "reason", "has 1001 characters; at most 1000 are allowed"},
		{ok(`"author":"` + strings.Repeat("é", 201) + `"`), "author", "has 201 characters; at most 200 are allowed"},
		{ok(`"author":"a\u202eb"`), "author", "want printable characters"},
		{ok(`"reson":"r"`), "reson", `unknown field; did you mean "reason"?`},
		{ok(`"id":"mute_1"`), "id", "Tocsin sets it"},
	} {
		_, err := k.CreateMute(t.Context(), json.RawMessage(tt.body), "ops")
		if got := fields(t, err, tocsin.CodeInvalid); !strings.Contains(got[tt.field], tt.want) {
			t.Errorf("%.100s: got %q, want %s: %s", tt.body, got, tt.field, tt.want)
		}
	}
	for _, body := range []string{`[]`, `null`, `{"for":`} {
		if _, err := k.CreateMute(t.Context(), json.RawMessage(body), "ops"); tocsin.CodeOf(err) != tocsin.CodeMalformed {
			t.Errorf("%s: %v", body, err)
		}
	}
	if _, err := k.CreateMute(t.Context(), json.RawMessage(ok(`"filter":"true"`)), ""); fields(t, err, tocsin.CodeInvalid)["author"] == "" {
		t.Errorf("without an author: %v", err)
	}
	mutes, _, err := k.ListMutes(t.Context(), tocsin.MuteQuery{Page: tocsin.Page{Limit: 10}, Ended: true})
	if err != nil || len(mutes) != 0 {
		t.Errorf("stored: %+v, %v", mutes, err)
	}
}

func TestEndMute(t *testing.T) {
	k := newKit(t)
	w := k.mustCreate(t, "soc", nil).Webhook
	active := k.mustMute(t, `{"webhooks":["soc"],"for":"1h","reason":"r"}`)
	pending := k.mustMute(t, `{"webhooks":["soc"],"from":"`+time.Now().Add(time.Hour).Format(time.RFC3339)+`","for":"1h","reason":"r"}`)
	if pending.State != "pending" || active.State != "active" {
		t.Errorf("got %s and %s", pending.State, active.State)
	}
	if err := k.Delete(t.Context(), w.ID); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{active.ID, pending.ID, active.ID} {
		v, err := k.EndMute(t.Context(), id)
		if err != nil || v.State != "ended" || len(v.Webhooks) != 1 || v.Webhooks[0] != "soc" {
			t.Errorf("ending %s: %+v, %v", id, v, err)
		}
		if again, err := k.GetMute(t.Context(), id); err != nil || again.State != "ended" || !again.Until.Equal(v.Until) {
			t.Errorf("read back: %+v, %v", again, err)
		}
	}
	for ended, want := range map[bool]int{false: 0, true: 2} {
		mutes, next, err := k.ListMutes(t.Context(), tocsin.MuteQuery{Page: tocsin.Page{Limit: 10}, Ended: ended})
		if err != nil || len(mutes) != want || next != "" {
			t.Errorf("ended %v: %d mutes, %q, %v", ended, len(mutes), next, err)
		}
	}
	for name, f := range map[string]func() error{
		"get": func() error { _, err := k.GetMute(t.Context(), "mute_x"); return err },
		"end": func() error { _, err := k.EndMute(t.Context(), "mute_x"); return err },
	} {
		if err := f(); !errors.Is(err, tocsin.ErrNotFound) || err.Error() != `no mute has the id "mute_x"` {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// From the document to the ledger: what a mute covers is accepted and suppressed, the
// rest is owed, and after its end everything is.
func TestAMuteSuppresses(t *testing.T) {
	k := newKit(t)
	w := k.mustCreate(t, "soc", nil).Webhook
	in, err := ingest.New(ingest.Config{Store: k.store, Conductor: k.conductor})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	submit := func(id string, want tocsin.Balance) {
		t.Helper()
		e := example(t, "agent.discovered")
		e.ID, e.Raw = id, nil
		if _, err := in.Submit(t.Context(), []tocsin.Event{e}); err != nil {
			t.Fatal(err)
		}
		want.WebhookID, want.Webhook = w.ID, "soc"
		if got := k.balance(t, w.ID); got != want {
			t.Errorf("after %s: %+v, want %+v", id, got, want)
		}
	}
	submit("1", tocsin.Balance{Accepted: 1, Pending: 1})
	m := k.mustMute(t, `{"events":["discovery"],"for":"1h","reason":"r"}`)
	submit("2", tocsin.Balance{Accepted: 2, Pending: 1, Suppressed: 1})
	if _, err := k.EndMute(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	submit("3", tocsin.Balance{Accepted: 3, Pending: 2, Suppressed: 1})
	e, err := k.store.Event(t.Context(), example(t, "agent.discovered").Source, "2")
	if err != nil {
		t.Fatal(err)
	}
	traces, err := k.store.Traces(t.Context(), e.Seq)
	if err != nil || len(traces) != 1 || traces[0].Reason != tocsin.MutedBy(m.ID) {
		t.Errorf("traces %+v, %v", traces, err)
	}
}

// muted is a store with as many mutes as are allowed.
type muted struct{ tocsin.Store }

func (muted) Configuration(context.Context, tocsin.Configuration) (tocsin.Configuration, error) {
	return tocsin.Configuration{Mutes: make([]tocsin.Mute, 1000)}, nil
}

func TestMutesAreBounded(t *testing.T) {
	k := newKit(t, func(c *webhooks.Config) { c.Store = muted{c.Store} })
	_, err := k.CreateMute(t.Context(), json.RawMessage(`{"dedup_key":"k","for":"1h","reason":"r"}`), "a")
	if tocsin.CodeOf(err) != tocsin.CodeConflict || !strings.Contains(err.Error(), "at most 1000 are allowed") {
		t.Errorf("got %v", err)
	}
}
