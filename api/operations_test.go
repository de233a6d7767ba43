package api_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

func TestMutes(t *testing.T) {
	k := newKit(t)
	w := k.create("soc", "")
	type mute struct {
		tocsin.Mute
		Webhooks []string
		State    string
	}
	var m mute
	r := k.want(http.StatusCreated, &m, "POST", "/v1/mutes", `{"webhooks": ["soc"], "events": ["custom.trial"], "for": "2h", "reason": "load test"}`)
	if m.State != "active" || m.Author != "root" || len(m.WebhookIDs) != 1 || m.WebhookIDs[0] != w.ID || m.Webhooks[0] != "soc" || r.Header.Get("Location") != "/v1/mutes/"+m.ID {
		t.Errorf("got %+v, Location %s", m, r.Header.Get("Location"))
	}
	if e := k.entry("mute.create", tocsin.AuditDone); e.Object != m.ID || !strings.Contains(string(e.After), "load test") {
		t.Errorf("got %+v", e)
	}

	k.want(http.StatusAccepted, nil, "POST", "/v1/events", event("one", ""))
	var why struct{ Traces []tocsin.Trace }
	k.want(http.StatusOK, &why, "GET", "/v1/events/%2Fcollections%2Fsupport/one/why", "")
	if len(why.Traces) != 1 || why.Traces[0].Bucket != "suppressed" || !strings.Contains(why.Traces[0].Reason, m.ID) {
		t.Errorf("got %+v, want it suppressed by the mute", why.Traces)
	}

	var page struct {
		Items []mute
		Next  string
	}
	k.want(http.StatusOK, &page, "GET", "/v1/mutes", "")
	if len(page.Items) != 1 || page.Items[0].ID != m.ID {
		t.Errorf("got %+v", page)
	}
	k.want(http.StatusOK, &m, "DELETE", "/v1/mutes/"+m.ID, "")
	if m.State != "ended" {
		t.Errorf("got %+v", m)
	}
	if e := k.entry("mute.end", tocsin.AuditDone); e.Object != m.ID || e.Before == nil || e.After == nil {
		t.Errorf("got %+v", e)
	}
	k.want(http.StatusOK, &page, "GET", "/v1/mutes", "")
	if len(page.Items) != 0 {
		t.Errorf("got %+v after its end", page)
	}
	k.want(http.StatusOK, &page, "GET", "/v1/mutes?ended=true", "")
	if len(page.Items) != 1 {
		t.Errorf("got %+v with those that are over", page)
	}
	k.want(http.StatusOK, &m, "GET", "/v1/mutes/"+m.ID, "")

	k.refused(http.StatusNotFound, tocsin.CodeNotFound, "GET", "/v1/mutes/mute_none", "")
	k.refused(http.StatusNotFound, tocsin.CodeNotFound, "DELETE", "/v1/mutes/mute_none", "")
	k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", "/v1/mutes", `{"for": "2h", "reason": "everything"}`)
	k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", "/v1/mutes", `{"webhooks": ["nobody"], "for": "2h", "reason": "x"}`).says(t, "webhooks[0]")
	k.refused(http.StatusBadRequest, tocsin.CodeMalformed, "POST", "/v1/mutes", ``)
	k.key = k.newKey("see", "read")
	k.refused(http.StatusForbidden, tocsin.CodeForbidden, "POST", "/v1/mutes", `{}`)
}

func TestReplays(t *testing.T) {
	k := newKit(t)
	w := k.create("soc", "")
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", "["+event("one", "")+","+event("two", "")+"]")
	k.deliver(w.ID, func(tocsin.Claimed) tocsin.Outcome {
		return tocsin.Outcome{State: tocsin.DeliveryDead, Reason: "422", Attempt: tocsin.Attempt{Outcome: "permanent"}}
	})
	type replay struct {
		tocsin.Replay
		Webhook string
		Count   struct {
			Events, Deliveries int64
			Complete           bool
		}
		DryRun bool `json:"dry_run"`
	}
	var made replay
	const dead = `{"webhook": "soc", "what": "dead", "types": ["custom.trial"], "max_per_second": 5`
	for _, dry := range [][]string{{"/v1/replays?dry_run=true", dead + "}"}, {"/v1/replays", dead + `, "dry_run": true}`}} {
		k.want(http.StatusOK, &made, "POST", dry[0], dry[1])
		if made.ID != "" || !made.DryRun || made.Count.Events != 2 || made.Count.Deliveries != 1 || !made.Count.Complete {
			t.Errorf("got %+v", made)
		}
	}
	var page struct{ Items []replay }
	k.want(http.StatusOK, &page, "GET", "/v1/replays", "")
	if len(page.Items) != 0 {
		t.Errorf("a dry run made %+v", page)
	}

	r := k.want(http.StatusCreated, &made, "POST", "/v1/replays", dead+"}")
	if made.State != tocsin.ReplayRunning || made.Total != 2 || made.Webhook != "soc" || made.Author != "root" || r.Header.Get("Location") != "/v1/replays/"+made.ID {
		t.Errorf("got %+v", made)
	}
	if !k.conductor.has("replay " + made.ID) {
		t.Error("its workflow was not started")
	}
	if e := k.entry("replay.create", tocsin.AuditDone); e.Object != made.ID || e.Name != "soc" {
		t.Errorf("got %+v", e)
	}
	path := "/v1/replays/" + made.ID
	for verb, want := range map[string]tocsin.ReplayState{"pause": tocsin.ReplayPaused, "resume": tocsin.ReplayRunning} {
		var got replay
		k.want(http.StatusOK, &got, "POST", path+"/"+verb, "")
		if got.State != want || k.entry("replay."+verb, tocsin.AuditDone).Object != made.ID {
			t.Errorf("%s: got %+v", verb, got)
		}
	}
	var got replay
	k.want(http.StatusOK, &got, "POST", path+"/cancel", "")
	k.want(http.StatusOK, &got, "GET", path, "")
	if got.State != tocsin.ReplayCancelled || got.Reason == "" || got.FinishedAt == nil {
		t.Errorf("got %+v", got)
	}
	k.refused(http.StatusConflict, tocsin.CodeConflict, "POST", path+"/resume", "")
	k.entry("replay.resume", tocsin.AuditRefused)
	k.want(http.StatusOK, &page, "GET", "/v1/replays?limit=1", "")
	if len(page.Items) != 1 {
		t.Errorf("got %+v", page)
	}

	k.refused(http.StatusNotFound, tocsin.CodeNotFound, "GET", "/v1/replays/replay_none", "")
	k.refused(http.StatusNotFound, tocsin.CodeNotFound, "POST", "/v1/replays/replay_none/cancel", "")
	k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", "/v1/replays", `{"webhook": "soc", "what": "deed"}`).says(t, "what")
	k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", "/v1/replays?cursor=x", dead+"}").says(t, "cursor")
	k.key = k.newKey("see", "read")
	k.refused(http.StatusForbidden, tocsin.CodeForbidden, "POST", "/v1/replays", dead+"}")
	k.want(http.StatusOK, &page, "GET", "/v1/replays", "")
}

func TestRotateASigningSecret(t *testing.T) {
	k := newKit(t)
	first := k.create("soc", "").Generated["signing_secret"]
	var got struct {
		webhook
		OldSecretUntil *time.Time `json:"old_secret_until"`
	}
	k.want(http.StatusOK, &got, "POST", "/v1/webhooks/soc/rotate-secret", `{"overlap": "1h"}`)
	secret := got.Generated["signing_secret"]
	if !strings.HasPrefix(secret, "whsec_") || secret == first || got.OldSecretUntil == nil || time.Until(*got.OldSecretUntil) < 59*time.Minute || strings.Contains(string(got.Config), secret) {
		t.Errorf("got %+v", got)
	}
	e := k.entry("webhook.rotate_secret", tocsin.AuditDone)
	if e.Object != got.ID || e.Before == nil || strings.Contains(string(e.After), secret) || strings.Contains(string(e.Before), first) {
		t.Errorf("got %+v", e)
	}
	got.OldSecretUntil = nil
	k.want(http.StatusOK, &got, "POST", "/v1/webhooks/soc/rotate-secret", `{"overlap": "0s"}`)
	if got.OldSecretUntil != nil {
		t.Errorf("got %+v, want that the old one signs no more", got.OldSecretUntil)
	}
	k.want(http.StatusOK, &got, "POST", "/v1/webhooks/soc/rotate-secret", "")
	if got.OldSecretUntil == nil || time.Until(*got.OldSecretUntil) < 23*time.Hour {
		t.Errorf("got %v, want a day by default", got.OldSecretUntil)
	}
	if p := k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", "/v1/webhooks/soc/rotate-secret", `{"overlap": "31d"}`); !strings.Contains(p.says(t, "overlap"), "30d") && !strings.Contains(p.Detail, "720h") {
		t.Errorf("got %+v", p)
	}
	k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", "/v1/webhooks/soc/rotate-secret", `{"overlap": "soon"}`).says(t, "overlap")
	k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", "/v1/webhooks/soc/rotate-secret", `{"overlapp": "1h"}`).says(t, "overlapp")
	k.refused(http.StatusNotFound, tocsin.CodeNotFound, "POST", "/v1/webhooks/nobody/rotate-secret", "")
}

func TestPublicKeysArePublished(t *testing.T) {
	k := newKit(t)
	k.key = ""
	var got struct {
		Keys []struct {
			ID, Algorithm string
			PublicKey     string     `json:"public_key"`
			SignsFrom     time.Time  `json:"signs_from"`
			SignsUntil    *time.Time `json:"signs_until"`
		}
	}
	r := k.want(http.StatusOK, &got, "GET", "/.well-known/tocsin-keys", "")
	if len(got.Keys) != 0 || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("without keys: got %+v, %s", got, r.Header.Get("Cache-Control"))
	}
	for range 2 {
		_, err := k.webhooks.RotateSigningKey(t.Context(), true)
		must(t, err)
	}
	keys, err := k.webhooks.PublicKeys(t.Context())
	must(t, err)
	r = k.want(http.StatusOK, &got, "GET", "/.well-known/tocsin-keys", "")
	if r.Header.Get("Cache-Control") != "max-age=3600" || len(got.Keys) != 2 || got.Keys[0].SignsUntil == nil || got.Keys[1].SignsUntil != nil {
		t.Fatalf("got %+v, %s", got, r.Header.Get("Cache-Control"))
	}
	for i, key := range got.Keys {
		raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(key.PublicKey, "whpk_"))
		if err != nil || string(raw) != string(keys[i].Public) || key.ID != keys[i].ID || key.Algorithm != "ed25519" {
			t.Errorf("got %+v, want %+v", key, keys[i])
		}
	}
}
