package integrations_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin/integrations"
)

// TestEveryFolderIsAChannelUnderTest lists the folders: each but the suite and internal
// is a channel, is in the list, and has tests that run the suite.
func TestEveryFolderIsAChannelUnderTest(t *testing.T) {
	listed := map[string]bool{}
	for _, c := range integrations.Channels(integrations.Options{}) {
		if listed[c.Name()] {
			t.Errorf("channel %s is listed twice", c.Name())
		}
		listed[c.Name()] = true
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	folders := 0
	for _, e := range entries {
		if !e.IsDir() || e.Name() == "internal" || e.Name() == "integrationtest" || e.Name() == "testdata" {
			continue
		}
		folders++
		if !listed[e.Name()] {
			t.Errorf("folder %s has no channel of its name in the list", e.Name())
		}
		if !callsSuite(t, e.Name()) {
			t.Errorf("the tests of %s do not call integrationtest.Run", e.Name())
		}
	}
	if folders != len(listed) {
		t.Errorf("%d folders, %d channels listed", folders, len(listed))
	}
}

func callsSuite(t *testing.T, folder string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "integrationtest.Run(t, ") {
			return true
		}
	}
	return false
}

func TestAllowCIDRsReachEveryChannel(t *testing.T) {
	configs := map[string]string{
		"webhook": `{"url":"http://127.0.0.1:9/hook","signing_secret":"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}`,
		"slack":   `{"url":"http://127.0.0.1:9/services/T/B/x"}`,
	}
	open := integrations.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	for _, c := range integrations.Channels(open) {
		if err := c.Validate(t.Context(), []byte(configs[c.Name()])); err != nil {
			t.Errorf("%s, loopback allowed: %v", c.Name(), err)
		}
	}
	for _, c := range integrations.Channels(integrations.Options{}) {
		if err := c.Validate(t.Context(), []byte(configs[c.Name()])); err == nil {
			t.Errorf("%s, loopback not allowed: want an error", c.Name())
		}
	}
}
