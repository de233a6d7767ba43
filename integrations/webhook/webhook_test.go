package webhook_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/webhook"
)

const (
	secret    = "whsec_c3VpdGUgc2VjcmV0IG9mIDMyIGJ5dGVzIGluIGFsbCE="
	oldSecret = "whsec_b2xkZXIgc2VjcmV0IG9mIDMyIGJ5dGVzIGluIGFsbCE="
)

func TestConformance(t *testing.T) {
	integrationtest.Run(t, integrationtest.Spec{
		New: func(c *post.Client, _ *slog.Logger) tocsin.Channel { return webhook.New(c, catalog.Default(), nil) },
		Config: func(url string) string {
			text, err := json.Marshal(map[string]any{
				"url": url + "/hooks/tocsin", "method": "PUT",
				"headers":        map[string]string{"Authorization": "Bearer hdr-s3cret/\"x\"", "content-type": "application/json", "X-Pin": "z9"},
				"query":          map[string]string{"token": "qry s3cret&<>", "v": "1"},
				"signing_secret": []string{secret, oldSecret}, "old_secret_until": "2999-01-01T00:00:00Z",
			})
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		},
		Secrets:        []string{`hdr-s3cret/\"x\"`, "qry s3cret", secret, oldSecret},
		Accept:         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		Statuses:       map[int]integrationtest.Outcome{200: {}, 201: {}, 202: {}, 204: {}, 299: {}},
		IdempotencyKey: func(sent []integrationtest.Received) string { return sent[0].Header.Get("webhook-id") },
	})
}
