package format_test

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/format"
)

// TestGolden shows what receivers get; -update, which the suite defines, writes it anew.
func TestGolden(t *testing.T) {
	update := flag.Lookup("update").Value.String() == "true"
	for name, render := range map[string]func(*tocsin.Event) (json.RawMessage, error){"json": format.JSON, "ocsf": format.OCSF, "cloudevents": format.CloudEvent} {
		var all []json.RawMessage
		for _, e := range integrationtest.Shared(t) {
			text, err := render(&e)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, text)
		}
		var got bytes.Buffer
		enc := json.NewEncoder(&got)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(all); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", "golden", name+".json")
		if update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("reading the golden file (write it with -update): %v", err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s (-want +got; -update writes it anew):\n%s", path, diff)
		}
	}
}
