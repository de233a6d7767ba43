package integrations_test

import (
	"strings"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations"
)

// TestPlainHTTPIsCheckedAtSend: where a secret travels, an address on plain http that is no
// longer allowed gets no request, however the scheme is spelled.
func TestPlainHTTPIsCheckedAtSend(t *testing.T) {
	configs := map[string]string{
		"slack":         `{"url":"http://93.184.215.14/services/T/B/x"}`,
		"teams":         `{"url":"http://93.184.215.14/workflows/x?sig=s"}`,
		"pagerduty":     `{"url":"http://93.184.215.14","routing_key":"0123456789abcdef0123456789abcdef"}`,
		"jira":          `{"url":"http://93.184.215.14","token":"t","project":"SEC"}`,
		"splunk":        `{"url":"http://93.184.215.14","token":"t"}`,
		"elasticsearch": `{"url":"http://93.184.215.14","api_key":"i:k"}`,
		"datadog":       `{"url":"http://93.184.215.14","api_key":"k"}`,
		"sentinel":      `{"endpoint":"http://93.184.215.14","login_url":"http://93.184.215.14","rule_id":"dcr-1","stream":"Custom-A","tenant_id":"t","client_id":"c","client_secret":"s"}`,
	}
	n := tocsin.Notification{DeliveryID: "dlv_1", At: time.Unix(1, 0), Attempt: 1, Events: []tocsin.Event{{ID: "1", Source: "/s", Type: "custom.x", DedupKey: "k"}}}
	for _, c := range integrations.Channels(integrations.Options{Timeout: time.Nanosecond}) {
		config, secret := configs[c.Name()]
		if !secret {
			continue
		}
		for _, scheme := range []string{"http://", "HTTP://"} {
			s, err := c.Open([]byte(strings.ReplaceAll(config, "http://", scheme)))
			if err != nil {
				t.Errorf("%s: %v", c.Name(), err)
				continue
			}
			receipt, err := s.Send(t.Context(), n)
			if err == nil || tocsin.Classify(err).Fault != tocsin.FaultWebhook || !strings.Contains(err.Error(), "want https") || len(receipt.Exchanges) > 0 {
				t.Errorf("%s, %s: got %v and %d requests, want a refusal and none", c.Name(), scheme, err, len(receipt.Exchanges))
			}
		}
	}
}
