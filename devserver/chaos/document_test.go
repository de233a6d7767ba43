package chaos_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const document = root + "/docs/reliability.md"

var (
	testName  = regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]*)`")
	placeName = regexp.MustCompile("(?m)^\\| `([a-z]+\\.[a-z]+)` \\|")
)

// The document on reliability names tests that there are, and every failpoint.
func TestDocument(t *testing.T) {
	content, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, path := range goFiles(t, func(path string) bool { return strings.HasSuffix(path, "_test.go") }) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(text)
	}
	for _, m := range testName.FindAllStringSubmatch(string(content), -1) {
		if !strings.Contains(tests.String(), "func "+m[1]+"(t *testing.T)") {
			t.Errorf("%s names %s, which is no test", document, m[1])
		}
	}
	var listed []string
	for _, m := range placeName.FindAllStringSubmatch(string(content), -1) {
		listed = append(listed, m[1])
	}
	if want := marked(t); !slices.Equal(slices.Sorted(slices.Values(listed)), want) {
		t.Errorf("%s lists the failpoints %v, want %v", document, listed, want)
	}
}
