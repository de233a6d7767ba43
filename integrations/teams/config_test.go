package teams_test

import (
	"encoding/json"
	"strings"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/teams"
)

func TestHosts(t *testing.T) {
	c := post.New(post.Options{Resolver: public{}})
	defer c.Close()
	const rest = "/workflows/x/triggers/manual/paths/invoke?api-version=1&sig=s"
	for url, want := range map[string]string{
		"https://0a.0f.environment.api.powerplatform.com:443/powerautomate" + rest: "",
		"https://prod-23.westeurope.logic.azure.com:443" + rest:                    "",
		"https://api.powerautomate.com" + rest:                                     "",
		"https://relay.example.org" + rest:                                         "",
		"https://webhook.office.com.example.org" + rest:                            "",
		"http://prod-23.westeurope.logic.azure.com" + rest:                         "want https",
		"https://acme.webhook.office.com/webhookb2/a@b/IncomingWebhook/c/d":        "retired",
		"https://ACME.Webhook.Office.com./webhookb2/a@b/IncomingWebhook/c/d":       "retired",
		"https://webhook.office.com/webhookb2/a":                                   "retired",
		"https://outlook.office.com/webhook/a@b/IncomingWebhook/c/d":               "retired",
		"https://outlook.office365.com/webhook/a":                                  "retired",
		"http://acme.webhook.office.com/webhookb2/a":                               "retired",
		"": "required",
	} {
		text, err := json.Marshal(map[string]string{"url": url})
		if err != nil {
			t.Fatal(err)
		}
		err = teams.New(c).Validate(t.Context(), text)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", url, err)
		case want != "" && (tocsin.CodeOf(err) != tocsin.CodeInvalid || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want invalid: %s", url, err, want)
		case want == "retired" && !strings.Contains(err.Error(), "Send webhook alerts to a channel"):
			t.Errorf("%s: %v does not say what to do", url, err)
		}
		if _, openErr := teams.New(c).Open(text); want == "retired" && openErr == nil {
			t.Errorf("%s: a stored connector can be opened", url)
		}
	}
}
