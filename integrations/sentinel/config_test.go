package sentinel

import (
	"encoding/json"
	"testing"
)

// TestScope: it follows from where the token comes from, unless it is given.
func TestScope(t *testing.T) {
	const rest = `"endpoint":"https://e.example.com","rule_id":"dcr-1","stream":"Custom-A","tenant_id":"t","client_id":"c","client_secret":"s"`
	for more, want := range map[string]string{
		"": "https://monitor.azure.com/.default",
		`,"login_url":"https://login.microsoftonline.us"`:                            "https://monitor.azure.us/.default",
		`,"login_url":"https://login.partner.microsoftonline.cn/"`:                   "https://monitor.azure.cn/.default",
		`,"login_url":"https://login.microsoftonline.us","scope":"api://x/.default"`: "api://x/.default",
	} {
		full, err := complete(json.RawMessage("{" + rest + more + "}"))
		if err != nil {
			t.Fatal(err)
		}
		if c, err := parse(full); err != nil || c.scope != want {
			t.Errorf("%s: got %q, %v, want %q", more, c.scope, err, want)
		}
	}
}
