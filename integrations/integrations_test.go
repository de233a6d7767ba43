package integrations_test

import (
	"context"
	"crypto/ed25519"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations"
	"github.com/tocsin-alerts/tocsin/integrations/webhook"
)

// TestEveryFolderIsAChannelUnderTest lists the folders: each but the suite and internal
// is a channel, is in the list, and has tests that run the suite.
func TestEveryFolderIsAChannelUnderTest(t *testing.T) {
	listed := map[string]bool{}
	for _, c := range integrations.Channels(integrations.Options{}) {
		if listed[c.Name()] {
			t.Errorf("channel %s is listed twice", c.Name())
		}
		listed[c.Name()] = true
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	folders := 0
	for _, e := range entries {
		if !e.IsDir() || e.Name() == "internal" || e.Name() == "integrationtest" || e.Name() == "testdata" {
			continue
		}
		folders++
		if !listed[e.Name()] {
			t.Errorf("folder %s has no channel of its name in the list", e.Name())
		}
		if !callsSuite(t, e.Name()) {
			t.Errorf("the tests of %s do not call integrationtest.Run", e.Name())
		}
	}
	if folders != len(listed) {
		t.Errorf("%d folders, %d channels listed", folders, len(listed))
	}
}

func callsSuite(t *testing.T, folder string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "integrationtest.Run(t, ") {
			return true
		}
	}
	return false
}

func TestAllowCIDRsReachEveryChannel(t *testing.T) {
	configs := map[string]string{
		"webhook":       `{"url":"http://127.0.0.1:9/hook","signing_secret":"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}`,
		"slack":         `{"url":"http://127.0.0.1:9/services/T/B/x"}`,
		"email":         `{"host":"127.0.0.1","tls":"none","from":"a@example.com","to":"b@example.com"}`,
		"teams":         `{"url":"http://127.0.0.1:9/workflows/x?sig=s"}`,
		"pagerduty":     `{"url":"http://127.0.0.1:9","routing_key":"0123456789abcdef0123456789abcdef"}`,
		"jira":          `{"url":"http://127.0.0.1:9","token":"t","project":"SEC"}`,
		"splunk":        `{"url":"http://127.0.0.1:9","token":"t"}`,
		"elasticsearch": `{"url":"http://127.0.0.1:9","api_key":"i:k"}`,
		"datadog":       `{"url":"http://127.0.0.1:9","api_key":"k"}`,
		"sentinel":      `{"endpoint":"http://127.0.0.1:9","login_url":"http://127.0.0.1:9","rule_id":"dcr-1","stream":"Custom-A","tenant_id":"t","client_id":"c","client_secret":"s"}`,
		"syslog":        `{"address":"127.0.0.1:9"}`,
	}
	open := integrations.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	for _, c := range integrations.Channels(open) {
		if err := c.Validate(t.Context(), []byte(configs[c.Name()])); err != nil {
			t.Errorf("%s, loopback allowed: %v", c.Name(), err)
		}
	}
	for _, c := range integrations.Channels(integrations.Options{}) {
		if err := c.Validate(t.Context(), []byte(configs[c.Name()])); err == nil {
			t.Errorf("%s, loopback not allowed: want an error", c.Name())
		}
	}
}

// TestSignersReachTheWebhookChannel: with them its requests carry v1 and v1a.
func TestSignersReachTheWebhookChannel(t *testing.T) {
	key := webhook.Signer{ID: "k1", Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
	o := integrations.Options{Signers: func(context.Context) ([]webhook.Signer, error) { return []webhook.Signer{key}, nil }}
	for _, c := range integrations.Channels(o) {
		if c.Name() != "webhook" {
			continue
		}
		s, err := c.Open([]byte(`{"url":"https://r.example.com/","signing_secret":"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}`))
		if err != nil {
			t.Fatal(err)
		}
		x, err := s.Preview(t.Context(), tocsin.Notification{DeliveryID: "dlv_1", At: time.Unix(1, 0), Events: []tocsin.Event{{ID: "1", Type: "custom.x"}}})
		if err != nil {
			t.Fatal(err)
		}
		tokens := strings.Fields(x[0].RequestHeaders["Webhook-Signature"])
		if len(tokens) != 2 || !strings.HasPrefix(tokens[0], "v1,") || !strings.HasPrefix(tokens[1], "v1a,") {
			t.Errorf("webhook-signature has the tokens %q, want v1 and v1a", tokens)
		}
		return
	}
	t.Error("there is no channel webhook")
}
