// Package doctest holds the documents against the tree: what they name must be there.
package doctest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// documents are all Markdown files of the tree, as path → text.
func documents(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	walk(t, func(path string) bool { return strings.HasSuffix(path, ".md") }, func(path, text string) { docs[path] = text })
	if len(docs) < 4 {
		t.Fatalf("found %d documents", len(docs))
	}
	return docs
}

func walk(t *testing.T, want func(string) bool, do func(path, text string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "bin" || d.Name() == "tocsin-data"):
			return filepath.SkipDir
		case d.IsDir() || !want(path):
			return nil
		}
		b, err := os.ReadFile(path)
		do(path, string(b))
		return err
	})
	if err != nil {
		t.Fatalf("reading the tree: %v", err)
	}
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	for path, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", path, m[1], err)
			}
		}
	}
}

// inCode are words in backticks that are a path of the tree (they end in / or in a
// known ending), a setting, or a make target.
var inCode = regexp.MustCompile("`([^`\n]+)`")

func TestWhatDocumentsNameExists(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	walk(t, func(p string) bool { return strings.HasSuffix(p, ".go") && !strings.HasSuffix(p, "_test.go") }, func(_, text string) { source.WriteString(text) })
	for path, text := range documents(t) {
		for _, m := range inCode.FindAllStringSubmatch(text, -1) {
			word := strings.TrimSuffix(m[1], "_…")
			switch {
			case strings.HasPrefix(word, "make "):
				target, _, _ := strings.Cut(strings.TrimPrefix(word, "make "), " ")
				if !strings.Contains(string(makefile), "\n"+target+":") {
					t.Errorf("%s names %q, which the Makefile does not have", path, word)
				}
			case strings.HasPrefix(word, "TOCSIN_") && !strings.ContainsAny(word, " ="):
				if !strings.Contains(source.String(), word) {
					t.Errorf("%s names %s, which nothing reads", path, word)
				}
			case isPath(word):
				if _, err := os.Stat(filepath.Join(root, word)); err != nil {
					t.Errorf("%s names %s: %v", path, word, err)
				}
			}
		}
	}
}

func isPath(word string) bool {
	if strings.ContainsAny(word, " *:<>{}$…") || strings.HasPrefix(word, "/") || strings.HasPrefix(word, "~") {
		return false
	}
	return strings.HasSuffix(word, "/") || strings.HasSuffix(word, ".go") || word == "docker-compose.yml"
}
