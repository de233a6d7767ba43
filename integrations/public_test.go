package integrations_test

import (
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin/integrations"
)

// TestNoChannelShowsAPrivateKey: every channel that takes certificates hides a text under
// their keys that holds a private key, as it may have been stored by hand.
func TestNoChannelShowsAPrivateKey(t *testing.T) {
	const combined = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nczNjcmV0\n-----END PRIVATE KEY-----\n"
	var with []string
	for _, ch := range integrations.Channels(integrations.Options{Logger: slog.New(slog.DiscardHandler)}) {
		for _, key := range []string{"ca_cert", "client_cert"} {
			if !strings.Contains(string(ch.Schema()), `"`+key+`"`) {
				continue
			}
			with = append(with, ch.Name()+" "+key)
			text, err := json.Marshal(map[string]string{key: combined})
			if err != nil {
				t.Fatal(err)
			}
			if public, err := ch.Public(text); err != nil || strings.Contains(string(public), "czNjcmV0") {
				t.Errorf("%s shows %s: %s (%v)", ch.Name(), key, public, err)
			}
		}
	}
	slices.Sort(with)
	if want := "elasticsearch ca_cert, email ca_cert, jira ca_cert, splunk ca_cert, syslog ca_cert, syslog client_cert"; strings.Join(with, ", ") != want {
		t.Errorf("the channels with certificates are %v, want %s", with, want)
	}
}
