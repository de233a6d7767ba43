package e2e_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/devserver/devtest"
	"github.com/tocsin-alerts/tocsin/devserver/temporalserver"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
)

// production is the real thing: PostgreSQL, a Temporal server, and the programs as
// processes of their own.
type production struct {
	t   *testing.T
	env []string
	key string
}

func newProduction(t *testing.T) *production {
	t.Helper()
	server := startTemporal(t, temporalserver.Options{DBFile: filepath.Join(t.TempDir(), "temporal.db"), FrontendAddr: "127.0.0.1:0"})
	return productionOn(t, pgtest.URL(t), server.Addr())
}

// productionOn prepares production on a fresh database and a Temporal server.
func productionOn(t *testing.T, databaseURL, temporalAddr string) *production {
	t.Helper()
	p := &production{t: t, env: []string{
		"TOCSIN_DATABASE_URL=" + databaseURL,
		"TOCSIN_SECRET_KEY=" + tocsin.GenerateKey("test"),
		"TOCSIN_EGRESS_ALLOW=127.0.0.0/8",
		"TEMPORAL_ADDRESS=" + temporalAddr,
	}}
	p.tocsin("migrate")
	var key struct{ Key string }
	if err := json.Unmarshal([]byte(p.tocsin("keys", "create", "test", "--scopes", "admin", "-o", "json")), &key); err != nil || key.Key == "" {
		t.Fatalf("creating a key: %v", err)
	}
	p.key = key.Key
	return p
}

// tocsin runs the command line and returns what it printed; a failure ends the test.
func (p *production) tocsin(args ...string) string {
	p.t.Helper()
	cmd := exec.Command(devtest.Tocsin(p.t), args...)
	cmd.Env = append(append(os.Environ(), p.env...), "TOCSIN_API_KEY="+p.key)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("tocsin %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// The whole production path: migrate, keys, two serves, two workers, webhooks by apply,
// an event of every alert type in, signed deliveries out, a worker killed on the way, and
// the ledger recounted.
func TestProductionProcesses(t *testing.T) {
	p := newProduction(t)
	receiver := devtest.NewReceiver(t)
	one, two := devtest.StartServe(t, p.key, p.env...), devtest.StartServe(t, p.key, p.env...)
	first, _ := devtest.StartWorker(t, p.env...), devtest.StartWorker(t, p.env...)

	p.env = append(p.env, "TOCSIN_API_URL="+one.URL)
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
	file := filepath.Join(t.TempDir(), "webhooks.yaml")
	yaml := `webhooks:
  - name: everything
    channel: webhook
    frequency: instant
    config: {url: "` + receiver.URL("everything") + `", signing_secret: "` + secret + `"}
  - name: threats
    channel: webhook
    frequency: instant
    events: [threat]
    config: {url: "` + receiver.URL("threats") + `", signing_secret: "` + secret + `"}
`
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	p.tocsin("webhooks", "apply", "-f", file, "--yes")
	if again := p.tocsin("webhooks", "apply", "-f", file, "--yes"); !strings.Contains(again, "nothing to change") {
		t.Errorf("applying the same file again says:\n%s", again)
	}

	// An event of every type to one process, a crowd of others to the other.
	accepted := sendCatalog(t, one.Client)
	ids := two.MustSend(devtest.Events("custom.test", 1000)...)
	receiver.MustCount(2)
	first.Kill9()
	ids = append(ids, one.MustSend(devtest.Events("custom.test", 500)...)...)
	receiver.MustGet(ids...)
	receiver.MustKeepIDs()
	if b := one.MustSettle("everything"); b.Delivered != int64(accepted+1500) {
		t.Errorf("the ledger says %+v, want %d delivered", b, accepted+1500)
	}
	two.MustSettle("threats")
	checkSignatures(t, receiver, secret)
	checkThreats(t, receiver)
	p.tocsin("ledger", "--verify")
	p.tocsin("events", "why", "/devtest", ids[0])
}

// sendCatalog sends the example of every alert type that webhooks get by default, and
// returns how many.
func sendCatalog(t *testing.T, c devtest.Client) int {
	t.Helper()
	var events []map[string]any
	for _, at := range catalog.Default().Types() {
		if at.Category == "pipeline" {
			continue
		}
		var e map[string]any
		if err := json.Unmarshal(at.Example, &e); err != nil {
			t.Fatalf("example of %s: %v", at.Type, err)
		}
		delete(e, "time")
		events = append(events, e)
	}
	c.MustSend(events...)
	return len(events)
}

func checkSignatures(t *testing.T, r *devtest.Receiver, secret string) {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range r.All() {
		if err := verifier.Verify(got.Body, got.Header); err != nil {
			t.Errorf("%s to %s: %v", got.WebhookID, got.Path, err)
		}
	}
}

// checkThreats holds threat deliveries against the contract's shape.
func checkThreats(t *testing.T, r *devtest.Receiver) {
	t.Helper()
	seen := 0
	for _, got := range r.All() {
		if got.Path != "/threats" || got.Status != http.StatusOK {
			continue
		}
		seen++
		var body struct {
			MaliciousEvents []map[string]any  `json:"maliciousEvents"`
			Overview        map[string]string `json:"overview"`
			Remediation     struct {
				Title string           `json:"title"`
				Steps []map[string]any `json:"steps"`
			} `json:"remediation"`
		}
		if err := json.Unmarshal(got.Body, &body); err != nil || len(body.MaliciousEvents) == 0 || body.Overview["description"] == "" || body.Remediation.Title == "" {
			t.Errorf("threat delivery is %s (%v)", got.Body, err)
		}
	}
	if seen == 0 {
		t.Error("no threat was delivered")
	}
}
