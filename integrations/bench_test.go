package integrations_test

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/tocsin-alerts/tocsin/integrations"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
)

// benchConfigs are small valid configurations of all channels.
var benchConfigs = map[string]string{
	"webhook":       `{"url":"https://hooks.example.com/tocsin","signing_secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}`,
	"slack":         `{"url":"https://hooks.slack.com/services/T/B/x"}`,
	"teams":         `{"url":"https://prod-1.westeurope.logic.azure.com/workflows/x?sig=s"}`,
	"pagerduty":     `{"routing_key":"0123456789abcdef0123456789abcdef"}`,
	"jira":          `{"url":"https://acme.atlassian.net","email":"bot@example.com","token":"t","project":"SEC"}`,
	"splunk":        `{"url":"https://splunk.example.com:8088","token":"11111111-2222-3333-4444-555555555555"}`,
	"elasticsearch": `{"url":"https://es.example.com:9200","api_key":"i:k"}`,
	"datadog":       `{"api_key":"0123456789abcdef0123456789abcdef"}`,
	"sentinel":      `{"endpoint":"https://x.westeurope-1.ingest.monitor.azure.com","rule_id":"dcr-1","stream":"Custom-A","tenant_id":"t","client_id":"c","client_secret":"s"}`,
	"email":         `{"host":"smtp.example.com","from":"alerts@example.com","to":["soc@example.com"]}`,
	"syslog":        `{"address":"logs.example.com:6514"}`,
}

// BenchmarkRender renders deliveries of 1 and 20 events on every channel.
func BenchmarkRender(b *testing.B) {
	for _, channel := range integrations.Channels(integrations.Options{Logger: slog.New(slog.DiscardHandler)}) {
		sender, err := channel.Open([]byte(benchConfigs[channel.Name()]))
		if err != nil {
			b.Fatalf("%s: %v", channel.Name(), err)
		}
		for _, n := range []int{1, 20} {
			b.Run(fmt.Sprintf("%s/%d", channel.Name(), n), func(b *testing.B) {
				agents := integrationtest.Pick(b, "it-agent")
				notification := integrationtest.Notify()
				for i := range n {
					e := agents[0]
					e.ID = fmt.Sprintf("%s-%d", e.ID, i)
					notification.Events = append(notification.Events, e)
				}
				b.ReportAllocs()
				for b.Loop() {
					if requests, err := sender.Preview(b.Context(), notification); err != nil || len(requests) == 0 {
						b.Fatalf("%d requests, %v", len(requests), err)
					}
				}
				b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}
