package teams

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/tocsin-alerts/tocsin/integrations/internal/settings"
)

// retired is what to do about a URL of the retired connectors.
const retired = "is an Office 365 connector, which Microsoft has retired: it takes no cards any more. " +
	"In Teams, open the channel's menu, Workflows, and set up “Send webhook alerts to a channel”; then give the URL that it shows"

// parse reads a configuration without looking at the address.
func parse(config json.RawMessage) (string, error) {
	o, err := settings.Parse(config)
	if err != nil {
		return "", err
	}
	var p settings.Problems
	o.Unknown(&p, "url")
	raw := o.String(&p, "url")
	if raw == "" && len(p) == 0 {
		p.Add("url", "required; want the URL of the workflow's trigger, https://….environment.api.powerplatform.com/…?…&sig=…")
	}
	if u, err := url.Parse(raw); err == nil && isConnector(u) {
		p.Add("url", "%s", retired)
	}
	return raw, p.Err()
}

// isConnector reports whether u is an incoming webhook of the kind that came before
// workflows: <tenant>.webhook.office.com/webhookb2/…, and outlook.office.com/webhook/… before
// that. https://devblogs.microsoft.com/microsoft365dev/retirement-of-office-365-connectors-within-microsoft-teams/
func isConnector(u *url.URL) bool {
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	for _, known := range []string{"webhook.office.com", "webhook.office365.com", "outlook.office.com", "outlook.office365.com"} {
		if host == known || strings.HasSuffix(host, "."+known) {
			return true
		}
	}
	return false
}

// minID is the length from which a part of the path is the workflow's id, and not a word
// of the format ("workflows", "triggers").
const minID = 16

// secrets are the forms in which a receiver may repeat the URL: whole, its path, its
// query, and the parts that alone would do.
func secrets(raw string) []string {
	out := []string{raw}
	u, err := url.Parse(raw)
	if err != nil {
		return out
	}
	out = append(out, strings.Trim(u.EscapedPath(), "/"), u.RawQuery, u.Query().Get("sig"))
	for _, part := range strings.Split(u.Path, "/") {
		if len(part) >= minID {
			out = append(out, part)
		}
	}
	return out
}
