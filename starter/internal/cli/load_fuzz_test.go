package cli_test

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin/starter/internal/cli"
)

// Whatever a file holds: no panic, and what is wrong has a line that is in the file; what
// is right can be sent.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"", "#\n", "---\n---\n", "webhooks:\n", "webhooks: []\n", "webhooks: {}\n", "[]", "x-a: &a {b: 1}\nwebhooks: [*a]\n",
		"webhooks:\n  - {name: soc, channel: webhook, config: {url: \"${env:URL}/hook\"}}\n",
		"x-base: &base {channel: webhook, frequency: instant}\nwebhooks:\n  - <<: *base\n    name: a\n    config: {url: https://a.example}\n",
		"webhooks:\n  - name: a\n    max_per_second: .nan\n", "webhooks:\n  - name: a\n    config: {x: -.inf}\n", "webhooks:\n  - name: a\n    config: {1: 2, true: x}\n",
		"webhooks:\n  - name: a\n    anchor: 2026-01-01\n", "webhooks:\n  - name: [a\n", "webhooks:\n  - &a {name: a, config: *a}\n", "\tname: x\n",
		"webhooks:\n  - name: a\n    name: b\n", "webhooks: &w\n  - {name: a}\nwebhooks: *w\n", "%YAML 9\n---\n", "webhooks:\n  - !!binary aGk=\n", "\xff\xfe", "? ? ?\n",
		"webhooks:\n  - {name: a, config: !!set {x}}\n", "webhooks:\n  - {name: !!str 5, labels: {a: b}}\n---\nwebhooks:\n  - {name: b}\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		loaded := cli.Load(content)
		last := lines(content)
		for _, wrong := range loaded.Wrong {
			file, line, found := strings.Cut(wrong.Field, ":")
			if file != "hooks.yaml" || wrong.Message == "" {
				t.Errorf("got %q: %q", wrong.Field, wrong.Message)
			}
			if n, err := strconv.Atoi(line); found && (err != nil || n < 1 || n > last) {
				t.Errorf("line %s of %d: %s", line, last, wrong.Message)
			}
			if !found && wrong.Message != "is empty; want a list of webhooks under the key webhooks" {
				t.Errorf("names no line: %s", wrong.Message)
			}
		}
		for i, value := range loaded.Values {
			if _, err := json.Marshal(value); err != nil {
				t.Errorf("webhook %d cannot be sent: %v", i, err)
			}
			if name, _ := value["name"].(string); name == "" || loaded.Lines[i] < 1 || loaded.Lines[i] > last {
				t.Errorf("webhook %d has the name %v and the line %d", i, value["name"], loaded.Lines[i])
			}
		}
		if len(loaded.Values) == 0 && len(loaded.Wrong) == 0 && !bytes.Contains(content, []byte("webhooks")) {
			t.Errorf("%q is taken for an empty list", content)
		}
	})
}

// lines is how many lines a file has at most, as YAML counts them: it knows more breaks
// than one, and UTF-16.
func lines(content []byte) int {
	if bytes.HasPrefix(content, []byte("\xff\xfe")) || bytes.HasPrefix(content, []byte("\xfe\xff")) {
		return len(content) + 1
	}
	n := 1
	for _, lineBreak := range []string{"\n", "\r", "\u0085", "\u2028", "\u2029"} {
		n += bytes.Count(content, []byte(lineBreak))
	}
	return n
}
