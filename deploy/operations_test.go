package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	command = regexp.MustCompile("(?m)(?:`|^)tocsin ((?:[a-z][a-z-]* ?)+)")
	flagged = regexp.MustCompile("(?m)(?:`|^)tocsin [^`\n#]*?(--[a-z-]+)")
)

// A runbook is read in a hurry: its commands and their flags exist.
func TestOperationsNamesCommandsThatExist(t *testing.T) {
	files, err := filepath.Glob("../starter/internal/cli/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d sources of the command line (%v)", len(files), err)
	}
	var source strings.Builder
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(b)
	}
	text := read(t, "../docs/operations.md")
	named := command.FindAllStringSubmatch(text, -1)
	if len(named) < 10 {
		t.Fatalf("found %d commands in docs/operations.md", len(named))
	}
	for _, m := range named {
		for _, word := range strings.Fields(m[1])[:min(2, len(strings.Fields(m[1])))] {
			if !regexp.MustCompile(`"` + word + `[ "]`).MatchString(source.String()) {
				t.Errorf("docs/operations.md has `tocsin %s`, and there is no command %s", strings.TrimSpace(m[1]), word)
			}
		}
	}
	for _, m := range flagged.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(source.String(), `"`+strings.TrimPrefix(m[1], "--")+`"`) {
			t.Errorf("docs/operations.md has %s, which is no flag: %s", m[1], m[0])
		}
	}
}
