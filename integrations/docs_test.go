package integrations_test

import (
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/tocsin-alerts/tocsin/integrations"
)

// example is a block of YAML in a document.
var example = regexp.MustCompile("(?s)```yaml\n(webhooks:.*?)```")

// nowhere knows no names, as a machine without a network.
type nowhere struct{}

func (nowhere) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// TestEveryChannelIsDocumented holds docs/channels to the channels: each has its page,
// which names every key, and whose examples are valid as they stand.
func TestEveryChannelIsDocumented(t *testing.T) {
	for _, ch := range integrations.Channels(integrations.Options{Resolver: nowhere{}}) {
		page, err := os.ReadFile(filepath.Join("..", "docs", "channels", ch.Name()+".md"))
		if err != nil {
			t.Errorf("channel %s: %v", ch.Name(), err)
			continue
		}
		var schema struct {
			Properties map[string]json.RawMessage `json:"properties"`
		}
		if err := json.Unmarshal(ch.Schema(), &schema); err != nil {
			t.Fatal(err)
		}
		for key := range schema.Properties {
			if !strings.Contains(string(page), "`"+key+"`") {
				t.Errorf("the page of %s does not name `%s`", ch.Name(), key)
			}
		}
		checked := 0
		for _, block := range example.FindAllStringSubmatch(string(page), -1) {
			var doc struct {
				Webhooks []struct {
					Name, Channel string
					Config        map[string]any
				}
			}
			if err := yaml.Unmarshal([]byte(block[1]), &doc); err != nil {
				t.Errorf("an example of %s: %v", ch.Name(), err)
			}
			for _, w := range doc.Webhooks {
				if w.Channel != ch.Name() {
					continue
				}
				checked++
				for key, value := range w.Config {
					if text, _ := value.(string); strings.HasPrefix(text, "-----BEGIN ") && strings.Contains(text, "…") {
						delete(w.Config, key) // a certificate nobody can read
					}
				}
				config, err := json.Marshal(w.Config)
				if err != nil {
					t.Fatal(err)
				}
				complete, _, err := ch.Complete(config)
				if err == nil {
					err = ch.Validate(t.Context(), complete)
				}
				if err != nil {
					t.Errorf("the example %s of %s: %v", w.Name, ch.Name(), err)
				}
			}
		}
		if checked < 2 {
			t.Errorf("the page of %s has %d examples; want a minimal and a full one", ch.Name(), checked)
		}
	}
}
