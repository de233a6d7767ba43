package chaos_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The places that have tests of their own.
const (
	pointAnnounced = "announce.submitted"
	pointReplayed  = "replay.stepped"
	pointEscalated = "incident.escalated"
	pointUntold    = "ingest.untold"
)

// Every place to die that the source marks is crossed, and none is crossed that is not
// there any more.
func TestEveryFailpointIsCrossed(t *testing.T) {
	crossed := []string{pointAnnounced, pointReplayed, pointEscalated, pointUntold}
	for _, c := range crossings() {
		crossed = append(crossed, c.point)
	}
	marks := marked(t)
	for _, m := range marks {
		if !slices.Contains(crossed, m) {
			t.Errorf("no test crosses %s", m)
		}
	}
	for _, c := range crossed {
		if !slices.Contains(marks, c) {
			t.Errorf("%s is crossed, but nothing marks it", c)
		}
	}
}

var hit = regexp.MustCompile(`failpoint\.Hit\("([^"]+)"\)`)

// marked are the names of the failpoints in the source, sorted.
func marked(t *testing.T) (names []string) {
	t.Helper()
	product := func(path string) bool {
		return !strings.HasSuffix(path, "_test.go") && !strings.HasPrefix(path, root+"/devserver/") && filepath.Base(filepath.Dir(path)) != "failpoint"
	}
	for _, path := range goFiles(t, product) {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := string(content)
		named := hit.FindAllStringSubmatch(text, -1)
		if strings.Count(text, "failpoint.Hit(") != len(named) {
			t.Errorf("%s marks a place without a plain name", path)
		}
		for _, m := range named {
			if slices.Contains(names, m[1]) {
				t.Errorf("%s gives the name %s again", path, m[1])
			}
			names = append(names, m[1])
		}
	}
	slices.Sort(names)
	return names
}

// root is the repository, as seen from this package.
const root = "../.."

// goFiles are the Go files of the repository that are wanted.
func goFiles(t *testing.T, want func(path string) bool) (files []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case !d.IsDir() && strings.HasSuffix(path, ".go") && want(path):
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
