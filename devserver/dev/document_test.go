package dev_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin/devserver/dev"
)

var update = flag.Bool("update", false, "write the part of docs/cli.md about tocsin-dev anew")

// TestDocumentIsFresh holds the part of docs/cli.md about tocsin-dev to its flags. The
// rest is held by the test of the same name in starter/internal/cli.
func TestDocumentIsFresh(t *testing.T) {
	const path, begins, ends = "../../docs/cli.md", "<!-- tocsin-dev: begin -->\n", "<!-- tocsin-dev: end -->\n"
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(have), begins)
	_, after, closed := strings.Cut(rest, ends)
	if !ok || !closed {
		t.Fatalf("%s has no place for tocsin-dev", path)
	}
	var help strings.Builder
	_, _ = dev.ParseFlags([]string{"--help"}, none, &help) // flag.ErrHelp
	want := before + begins + "```text\n" + strings.ReplaceAll(help.String(), "\t", "    ") + "```\n" + ends + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(have) {
		t.Errorf("%s is not what tocsin-dev --help says; write it with -update", path)
	}
}
