package app_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin/app"
)

// Names that end in _ are how sources speak of several at once.
var variable = regexp.MustCompile(`TOCSIN_[A-Z_]+`)

// Variables that are no settings of an installation.
var forTests = []string{"TOCSIN_FAILPOINT", "TOCSIN_TEST_DATABASE_URL"}

func TestVariablesAreThoseOfTheSources(t *testing.T) {
	var found, listed []string
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "variables.go") {
			return err
		}
		text, err := os.ReadFile(path)
		found = append(found, variable.FindAllString(string(text), -1)...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	found = slices.DeleteFunc(slices.Compact(found), func(name string) bool { return strings.HasSuffix(name, "_") || slices.Contains(forTests, name) })
	for _, v := range app.Variables() {
		listed = append(listed, v.Name)
	}
	slices.Sort(listed)
	if diff := cmp.Diff(found, listed); diff != "" {
		t.Errorf("variables in the sources (-) and in Variables (+) differ:\n%s", diff)
	}
}
