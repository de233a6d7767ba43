package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// canaries are secrets by what they are.
type canaries map[string]string

// formsOf are the spellings in which a secret could get out: as it is, for URLs, JSON and
// HTML, in hex, and in base64 wherever in a longer text it stands.
func formsOf(secret string) []string {
	quoted, _ := json.Marshal(secret) // a string always encodes
	forms := []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), string(quoted[1 : len(quoted)-1]), html.EscapeString(secret),
		hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))),
	}
	for before := range 3 {
		for _, code := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
			encoded := code.EncodeToString([]byte(strings.Repeat("x", before) + secret))
			// Only whole groups of the secret itself look the same wherever it stands.
			begin, end := (before*8+5)/6, (before+len(secret))*8/6
			forms = append(forms, encoded[begin:end])
		}
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}

// capture is everything that Tocsin let out, by where.
type capture struct {
	mu  sync.Mutex
	all map[string][]byte
}

func newCapture() *capture { return &capture{all: map[string][]byte{}} }

// add keeps what came out at a place.
func (c *capture) add(place string, content []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all[place] = append(append(c.all[place], content...), '\n')
}

// addFiles keeps all files of a folder but those whose names begin with but.
func (c *capture) addFiles(t *testing.T, folder, but string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(entry.Name(), but) {
			return err
		}
		content, err := os.ReadFile(path)
		c.add("file "+entry.Name(), content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// find returns the places where a text is, in any form, with some of what is before it.
func (c *capture) find(text string) (found []string) {
	for _, place := range slices.Sorted(maps.Keys(c.all)) {
		content := c.all[place]
		for _, form := range formsOf(text) {
			i := bytes.Index(content, []byte(form))
			if i < 0 {
				continue
			}
			around := content[max(0, i-120):min(len(content), i+len(form)+20)]
			found = append(found, fmt.Sprintf("%s: …%q…", place, around))
			break
		}
	}
	return found
}

// mustHide fails the test for each place where a secret is.
func (c *capture) mustHide(t *testing.T, secrets canaries) {
	t.Helper()
	for _, what := range slices.Sorted(maps.Keys(secrets)) {
		if len(secrets[what]) < 8 {
			t.Errorf("%s is too short to be looked for", what)
			continue
		}
		for _, place := range c.find(secrets[what]) {
			t.Errorf("%s is in %s", what, place)
		}
	}
}

// mustShow checks that the search works: it finds what is no secret at each of these
// places.
func (c *capture) mustShow(t *testing.T, text string, places ...string) {
	t.Helper()
	found := c.find(text)
	for _, place := range places {
		if !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, place) }) {
			t.Errorf("%q was not found in %q: what was captured there shows nothing", text, place)
		}
	}
}

// The search finds a secret in each form it is said to.
func TestCanarySearch(t *testing.T) {
	const secret = `CANARY/search+me "now" <&>`
	quoted, _ := json.Marshal(map[string]string{"a": secret})
	for name, text := range map[string]string{
		"plain": secret, "JSON": string(quoted), "query": "?x=" + url.QueryEscape(secret), "path": url.PathEscape(secret), "hex": hex.EncodeToString([]byte(secret)),
		"base64":   base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64+1": base64.StdEncoding.EncodeToString([]byte("u" + secret + "tail")), "base64+2": base64.RawURLEncoding.EncodeToString([]byte("us:" + secret + "t")),
		"base64+3": base64.StdEncoding.EncodeToString([]byte("user:" + secret)), "html": html.EscapeString(secret),
	} {
		c := newCapture()
		c.add("there", []byte("before "+text+" after"))
		c.add("elsewhere", []byte("nothing"))
		if found := c.find(secret); len(found) != 1 || !strings.HasPrefix(found[0], "there") {
			t.Errorf("%s: found %v", name, found)
		}
	}
}
