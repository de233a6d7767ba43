package pagerduty_test

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// public resolves every name to a public address.
type public struct{}

func (public) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("93.184.215.14")}, nil
}

func TestConfig(t *testing.T) {
	c := post.New(post.Options{Resolver: public{}})
	defer c.Close()
	ch := newChannel(c, nil)
	for text, want := range map[string]string{
		`{"routing_key":"` + routingKey + `"}`:                                               "",
		`{"routing_key":"` + routingKey + `","region":null,"url":null,"change_events":null}`: "",
		`{"routing_key":"R` + routingKey[1:] + `"}`:                                          "",
		`{"routing_key":"` + routingKey + `","url":"https://events.example.org/pd/"}`:        "",
		`{}`: "config.routing_key: required",
		`{"routing_key":"` + routingKey[1:] + `"}`:                                                 "config.routing_key: want 32",
		`{"routing_key":"` + routingKey + `0"}`:                                                    "config.routing_key: want 32",
		`{"routing_key":"` + routingKey[2:] + `-_"}`:                                               "config.routing_key: want 32",
		`{"routing_key":"` + routingKey + `","region":"EU"}`:                                       `config.region: is "EU"; allowed: us, eu`,
		`{"routing_key":"` + routingKey + `","change_events":"true"}`:                              "config.change_events: want true or false",
		`{"routing_key":"R` + routingKey[1:] + `","change_events":true}`:                           "config.change_events: cannot be true with the key of a ruleset",
		`{"routing_key":"` + routingKey + `","url":"http://events.example.org"}`:                   "config.url: the scheme is http; want https",
		`{"routing_key":"` + routingKey + `","url":"https://events.example.org/v2/enqueue?key=1"}`: "config.url: has a query",
		`{"routing_key":"` + routingKey + `","component":"` + strings.Repeat("名", 256) + `"}`:      "config.component: is 256 characters long; at most 255",
		`{"routing_key":"` + routingKey + `","client":"` + strings.Repeat("名", 255) + `"}`:         "",
		`{"routing_key":"` + routingKey + `","routingkey":"x"}`:                                    `config.routingkey: unknown key; did you mean "routing_key"?`,
	} {
		err := ch.Validate(t.Context(), json.RawMessage(text))
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want != "" && (tocsin.CodeOf(err) != tocsin.CodeInvalid || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want invalid: %s", text, err, want)
		case err != nil && strings.Contains(err.Error(), routingKey[2:]):
			t.Errorf("%s: the error shows the key: %v", text, err)
		}
	}
}

// TestAddresses: the region names the host, and an address of one's own stands in its place.
func TestAddresses(t *testing.T) {
	event := integrationtest.Pick(t, "it-agent")
	for text, want := range map[string]string{
		`{}`:              "https://events.pagerduty.com/v2/enqueue",
		`{"region":"us"}`: "https://events.pagerduty.com/v2/enqueue",
		`{"region":"eu"}`: "https://events.eu.pagerduty.com/v2/enqueue",
		`{"region":"eu","url":"https://events.example.org"}`:                   "https://events.example.org/v2/enqueue",
		`{"url":"https://events.example.org/v2/enqueue"}`:                      "https://events.example.org/v2/enqueue",
		`{"url":"https://events.example.org/pd/"}`:                             "https://events.example.org/pd/v2/enqueue",
		`{"region":"eu","change_events":true}`:                                 "https://events.eu.pagerduty.com/v2/change/enqueue",
		`{"url":"https://events.example.org/v2/enqueue","change_events":true}`: "https://events.example.org/v2/change/enqueue",
	} {
		config := strings.TrimSuffix(strings.Replace(text, "{", `{"routing_key":"`+routingKey+`",`, 1), ",}")
		if text == "{}" {
			config = `{"routing_key":"` + routingKey + `"}`
		}
		s, err := newChannel(post.New(post.Options{}), nil).Open(json.RawMessage(config))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		x, err := s.Preview(t.Context(), integrationtest.Notify(event...))
		if err != nil || x[0].URL != want {
			t.Errorf("%s: %s, %v; want %s", text, x[0].URL, err, want)
		}
	}
}

// TestConfiguredNames stand in place of the event's.
func TestConfiguredNames(t *testing.T) {
	x, err := open(t, `{"routing_key":"`+routingKey+`","component":"gateway","group":"emea","class":"ai","client":"Tocsin 2"}`).
		Preview(t.Context(), integrationtest.Notify(integrationtest.Pick(t, "it-agent")...))
	if err != nil {
		t.Fatal(err)
	}
	if e := read(t, x[0].RequestBody); e.Payload.Component != "gateway" || e.Payload.Group != "emea" || e.Payload.Class != "ai" || e.Client != "Tocsin 2" {
		t.Errorf("got %+v of client %q", e.Payload, e.Client)
	}
}
