package syslog_test

import (
	_ "embed"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
)

// TestFormats compares what each format makes of an event of every alert type with files
// of messages, one a line, as they go over UDP.
func TestFormats(t *testing.T) {
	events := integrationtest.Shared(t)
	for _, format := range []string{"json", "cef", "leef", "ocsf", "cloudevents"} {
		s := open(t, 0, map[string]any{"address": "127.0.0.1", "transport": "udp", "format": format})
		x, err := s.Preview(t.Context(), integrationtest.Notify(events...))
		if err != nil {
			t.Fatal(err)
		}
		got := x[0].RequestBody + "\n"
		path := filepath.Join("testdata", "golden-formats", format+".txt")
		if flag.Lookup("update").Value.String() == "true" {
			write(t, path, got)
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got; -update writes it anew):\n%s", path, diff)
		}
		all, err := lines(got)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range parseAll(t, all) {
			if m.params["id"] != events[i].ID {
				t.Errorf("%s: message %d is of %q", format, i, m.params["id"])
			}
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
