package webhook_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/webhook"
)

// signer is a key that is in force between two moments; the zero until is never.
func signer(id string, from, until time.Time) webhook.Signer {
	s := webhook.Signer{ID: id, Key: ed25519.NewKeyFromSeed([]byte(fmt.Sprintf("%-32s", id))), From: from}
	if !until.IsZero() {
		s.Until = &until
	}
	return s
}

// signing returns a sender for url whose installation has these keys.
func signing(t *testing.T, url string, signers webhook.Signers) tocsin.Sender {
	t.Helper()
	c := post.New(post.Options{AllowCIDRs: loopback})
	t.Cleanup(c.Close)
	s, err := webhook.New(c, catalog.Default(), signers).Open(json.RawMessage(`{"url":"` + url + `","signing_secret":"` + secret + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// verified lists the keys of whose signatures one verifies, in the order of the tokens.
func verified(t *testing.T, header http.Header, body []byte, keys ...webhook.Signer) []string {
	t.Helper()
	text := append([]byte(header.Get("webhook-id")+"."+header.Get("webhook-timestamp")+"."), body...)
	var by []string
	for _, token := range strings.Fields(header.Get("webhook-signature")) {
		encoded, ok := strings.CutPrefix(token, "v1a,")
		if !ok {
			continue
		}
		sig, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatalf("token %q: %v", token, err)
		}
		at := slices.IndexFunc(keys, func(s webhook.Signer) bool {
			return ed25519.Verify(s.Key.Public().(ed25519.PublicKey), text, sig)
		})
		if at < 0 {
			t.Errorf("token %q verifies with no key", token)
			continue
		}
		by = append(by, keys[at].ID)
	}
	return by
}

// TestKeysOfTheInstallation sends while one key takes over from another, and lets
// crypto/ed25519 judge v1a and the reference library v1.
func TestKeysOfTheInstallation(t *testing.T) {
	var header http.Header
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		header = r.Header.Clone()
		body, _ = io.ReadAll(r.Body)
	}))
	defer server.Close()
	now := time.Now().Truncate(time.Second)
	begins, ends := now.Add(time.Minute), now.Add(2*time.Minute)
	old, fresh := signer("old", time.Time{}, ends), signer("fresh", begins, time.Time{})
	s := signing(t, server.URL, func(context.Context) ([]webhook.Signer, error) { return []webhook.Signer{old, fresh}, nil })
	for _, row := range []struct {
		at   time.Time
		want []string
	}{
		{now, []string{"old"}}, {begins.Add(-1), []string{"old"}}, {begins, []string{"old", "fresh"}},
		{ends.Add(-1), []string{"old", "fresh"}}, {ends, []string{"fresh"}}, {ends.Add(time.Hour), []string{"fresh"}},
	} {
		n := integrationtest.Notify(integrationtest.Pick(t, "it-hostile")...)
		n.At = row.at
		if _, err := s.Send(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(row.want, verified(t, header, body, old, fresh)); diff != "" {
			t.Errorf("at %s the signatures verify with (-want +got):\n%s", row.at, diff)
		}
		wh, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := wh.VerifyIgnoringTimestamp(body, header); err != nil {
			t.Errorf("v1 beside v1a: %v", err)
		}
		if got := strings.Count(header.Get("webhook-signature"), "v1,"); got != 1 {
			t.Errorf("%d v1 signatures, want 1", got)
		}
		// The preview has what was sent.
		x, err := s.Preview(t.Context(), n)
		if err != nil || x[0].RequestHeaders["Webhook-Signature"] != header.Get("webhook-signature") {
			t.Errorf("preview: %v, %q; sent %q", err, x[0].RequestHeaders["Webhook-Signature"], header.Get("webhook-signature"))
		}
	}
	header.Set("Webhook-Id", "dlv_other")
	if by := strings.Fields(header.Get("webhook-signature")); len(by) != 2 {
		t.Fatalf("tokens %q", by)
	}
	sig, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(strings.Fields(header.Get("webhook-signature"))[1], "v1a,"))
	for _, text := range []string{"dlv_other." + header.Get("webhook-timestamp") + "." + string(body), string(body)} {
		if ed25519.Verify(fresh.Key.Public().(ed25519.PublicKey), []byte(text), sig) {
			t.Error("a changed delivery was verified")
		}
	}
}

// TestWithoutTheKeysNothingIsSent: a delivery without v1a could be refused for ever.
func TestWithoutTheKeysNothingIsSent(t *testing.T) {
	hits := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits++ }))
	defer server.Close()
	away := errors.New("the store is away, " + secret)
	signers := webhook.Signers(func(context.Context) ([]webhook.Signer, error) { return nil, away })
	n := integrationtest.Notify(integrationtest.Pick(t, "it-agent")...)
	for name, list := range map[string]webhook.Signers{
		"an error": func(ctx context.Context) ([]webhook.Signer, error) { return signers(ctx) },
		"a short key": func(context.Context) ([]webhook.Signer, error) {
			return []webhook.Signer{{ID: "k1", Key: []byte("short")}}, nil
		},
	} {
		s := signing(t, server.URL, list)
		_, sent := s.Send(t.Context(), n)
		_, shown := s.Preview(t.Context(), n)
		for _, err := range []error{sent, shown} {
			var class interface{ ErrorClass() string }
			if got := tocsin.Classify(err); got.Fault != tocsin.FaultRetry || got.Unsure || !asClass(err, &class) || class.ErrorClass() != post.ClassInternal {
				t.Errorf("%s: got %v (%+v), want a retry of class internal that nobody received", name, err, got)
			}
			if strings.Contains(fmt.Sprintf("%v %+v", err, err), secret) {
				t.Errorf("%s: the error shows the secret", name)
			}
		}
	}
	if hits != 0 {
		t.Errorf("%d requests, want none", hits)
	}
	// The keys are back: the same sender goes on.
	k := signer("k", time.Time{}, time.Time{})
	away = nil
	s := signing(t, server.URL, func(context.Context) ([]webhook.Signer, error) { return []webhook.Signer{k}, away })
	if _, err := s.Send(t.Context(), n); err != nil || hits != 1 {
		t.Errorf("with the keys back: %v, %d requests", err, hits)
	}
}

func TestSignerShowsNoKey(t *testing.T) {
	s := signer("k7", time.Now(), time.Time{})
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("a key", "key", s, "keys", []webhook.Signer{s})
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X"} {
		fmt.Fprintf(&out, verb+" "+verb+" "+verb+"\n", s, &s, []webhook.Signer{s})
	}
	for _, form := range []string{string(s.Key), base64.StdEncoding.EncodeToString(s.Key), fmt.Sprintf("%x", []byte(s.Key)), fmt.Sprintf("%X", []byte(s.Key)),
		strings.Trim(fmt.Sprint([]byte(s.Key)), "[]"), base64.StdEncoding.EncodeToString(s.Key.Seed())} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the key is shown as %q", form)
		}
	}
	if !strings.Contains(out.String(), "signing key k7") {
		t.Errorf("the key is not named: %s", out.String())
	}
}

// TestOldSecretUntil walks over the moment at which the old secret ceases to sign.
func TestOldSecretUntil(t *testing.T) {
	until := time.Date(2030, 5, 1, 12, 0, 0, 0, time.FixedZone("", 2*3600))
	s := open(t, "https://r.example.com", `,"old_secret_until":"`+until.Format(time.RFC3339)+`"`)
	for _, row := range []struct {
		at      time.Time
		old     bool
		comment string
	}{{until.Add(-time.Second), true, "before"}, {until, false, "at"}, {until.Add(time.Hour), false, "after"}} {
		n := integrationtest.Notify(integrationtest.Pick(t, "it-agent")...)
		n.At = row.at
		x, err := s.Preview(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		header := http.Header{}
		for name, value := range x[0].RequestHeaders {
			header.Set(name, value)
		}
		for text, want := range map[string]bool{secret: true, oldSecret: row.old} {
			wh, err := standardwebhooks.NewWebhook(text)
			if err != nil {
				t.Fatal(err)
			}
			if err := wh.VerifyIgnoringTimestamp([]byte(x[0].RequestBody), header); (err == nil) != want {
				t.Errorf("%s the moment: verifying: %v, want success %v (new secret: %v)", row.comment, err, want, text == secret)
			}
		}
		if got := header.Get("webhook-timestamp"); got != strconv.FormatInt(row.at.Unix(), 10) {
			t.Errorf("timestamp %s", got)
		}
	}
}

func TestCompleteDropsAnOldSecretThatIsOver(t *testing.T) {
	c := newChannel(t)
	past, future := time.Now().Add(-time.Minute).Format(time.RFC3339), time.Now().Add(time.Hour).Format(time.RFC3339)
	both := `["` + secret + `","` + oldSecret + `"]`
	for _, row := range []struct{ secrets, until, want string }{
		{both, past, `{"signing_secret":"` + secret + `"}`},
		{both, future, `{"old_secret_until":"` + future + `","signing_secret":` + both + `}`},
		{both, "soon", `{"old_secret_until":"soon","signing_secret":` + both + `}`},
		{`"` + secret + `"`, past, `{"old_secret_until":"` + past + `","signing_secret":"` + secret + `"}`},
	} {
		out, generated, err := c.Complete(json.RawMessage(`{"signing_secret":` + row.secrets + `,"old_secret_until":"` + row.until + `"}`))
		if err != nil || len(generated) != 0 {
			t.Fatalf("until %s: generated %q, %v", row.until, generated, err)
		}
		var got, want map[string]any
		if err := errors.Join(json.Unmarshal(out, &got), json.Unmarshal([]byte(row.want), &want)); err != nil {
			t.Fatal(err)
		}
		delete(got, "method")
		delete(got, "format")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("until %s (-want +got):\n%s", row.until, diff)
		}
	}
}
