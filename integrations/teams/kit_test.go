package teams_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"os"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// validate holds a card against Microsoft's schema, an excerpt of which is in testdata. The
// schema knows no msteams, which is Teams' own addition.
func validate(t *testing.T, card json.RawMessage) {
	t.Helper()
	text, err := os.ReadFile("testdata/adaptive-card-1.4.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("card.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("card.json")
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(card))
	if err != nil {
		t.Fatal(err)
	}
	object, ok := value.(map[string]any)
	if !ok || object["type"] != "AdaptiveCard" || object["version"] != "1.4" {
		t.Errorf("not an Adaptive Card 1.4: %.200s", card)
		return
	}
	delete(object, "msteams")
	if err := schema.Validate(value); err != nil {
		t.Errorf("the card is not of the schema: %v\n%.2000s", err, card)
	}
}

// open returns a sender to a receiver of the test.
func open(t *testing.T, url string) tocsin.Sender {
	t.Helper()
	c := post.New(post.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	t.Cleanup(c.Close)
	s, err := newChannel(c, slog.New(slog.DiscardHandler)).Open(json.RawMessage(config(url)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// body is what would be sent.
func body(t *testing.T, n tocsin.Notification) string {
	t.Helper()
	x, err := open(t, "https://receiver.example.com").Preview(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return x[0].RequestBody
}

// public resolves every name to a public address.
type public struct{}

func (public) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("93.184.215.14")}, nil
}

// accepting starts a workflow and returns its address.
func accepting(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(workflow(t))
	t.Cleanup(server.Close)
	return server.URL
}
