package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// maxFile bounds one file of webhooks.
const maxFile = 10 << 20

// wanted is one webhook as a file describes it.
type wanted struct {
	name  string
	value map[string]any // what the API takes
	file  string
	node  *yaml.Node // for line numbers
}

// complaints collects everything wrong with the files, each with file and line.
type complaints []tocsin.FieldError

func (c *complaints) add(file string, line int, format string, args ...any) {
	*c = append(*c, tocsin.FieldError{Field: place(file, line), Message: fmt.Sprintf(format, args...)})
}

// err is nil, or one error about all of them.
func (c complaints) err(message string) error {
	if len(c) == 0 {
		return nil
	}
	return &tocsin.Error{Code: tocsin.CodeInvalid, Message: message, Fields: c}
}

func place(file string, line int) string {
	if line == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d", file, line)
}

// loadWebhooks reads lists of webhooks from files, "-" being standard input. Everything
// wrong with any of them is one error.
func (p *program) loadWebhooks(files []string) ([]wanted, error) {
	var all []wanted
	var wrong complaints
	for _, file := range files {
		content, err := p.readInput(file, maxFile)
		if err != nil {
			return nil, err
		}
		if file == "-" {
			file = "standard input"
		}
		all = append(all, p.parseFile(file, content, &wrong)...)
	}
	first := map[string]wanted{}
	for _, w := range all {
		if earlier, twice := first[w.name]; twice {
			wrong.add(w.file, w.node.Line, "name: %q is there twice, first at %s", w.name, place(earlier.file, earlier.node.Line))
			continue
		}
		first[w.name] = w
	}
	return all, wrong.err("reading webhooks")
}

// readInput reads a file, or standard input for "-", of at most limit bytes.
func (p *program) readInput(file string, limit int64) ([]byte, error) {
	in := p.Stdin
	if file != "-" {
		f, err := os.Open(file) // #nosec G304 -- the file that the user names
		if err != nil {
			return nil, usagef("reading input: %w", err)
		}
		defer f.Close()
		in = f
	}
	content, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	if int64(len(content)) > limit {
		return nil, tocsin.Errorf(tocsin.CodeTooLarge, "reading %s: more than %d MiB", file, limit>>20)
	}
	return content, nil
}

// parseFile reads the documents of one file.
func (p *program) parseFile(file string, content []byte, wrong *complaints) []wanted {
	var all []wanted
	lines := &lineReader{rest: content}
	decoder := yaml.NewDecoder(lines)
	for documents := 0; ; documents++ {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			if documents == 0 {
				wrong.add(file, 0, "is empty; want a list of webhooks under the key webhooks")
			}
			return all
		}
		if err != nil {
			wrong.addSyntax(file, content, lines.read, err)
			return all
		}
		root := doc.Content[0]
		if root.Tag == "!!null" {
			root.Line = doc.Line // nothing may be said to be on the line after the last
		}
		for _, item := range listed(file, root, wrong) {
			if w, ok := p.parseWebhook(file, item, wrong); ok {
				all = append(all, w)
			}
		}
	}
}

// listed returns the items of the document's list of webhooks. Keys that begin with
// "x-" are the user's own, to put anchors under.
func listed(file string, root *yaml.Node, wrong *complaints) []*yaml.Node {
	if root.Kind != yaml.MappingNode {
		wrong.add(file, root.Line, "want a list of webhooks under the key webhooks")
		return nil
	}
	var items []*yaml.Node
	seen := map[string]int{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if line, twice := seen[key.Value]; twice {
			wrong.add(file, key.Line, "key %q is there twice, first at line %d", key.Value, line)
			continue
		}
		seen[key.Value] = key.Line
		switch {
		case strings.HasPrefix(key.Value, "x-"):
		case key.Value != "webhooks":
			wrong.add(file, key.Line, "unknown key %q; allowed: webhooks, and keys that begin with x-", key.Value)
		case value.Kind == yaml.SequenceNode:
			items = value.Content
		case value.Tag != "!!null":
			wrong.add(file, value.Line, "webhooks: want a list")
		}
	}
	if seen["webhooks"] == 0 {
		wrong.add(file, root.Line, "the key webhooks is missing")
	}
	return items
}

func (p *program) parseWebhook(file string, node *yaml.Node, wrong *complaints) (wanted, bool) {
	before := len(*wrong)
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind != yaml.MappingNode {
		wrong.add(file, node.Line, "want a webhook: an object with at least name, channel and config")
		return wanted{}, false
	}
	var value map[string]any
	if err := node.Decode(&value); err != nil {
		wrong.addYAML(file, node.Line, err)
		return wanted{}, false
	}
	value, _ = p.plain(value, func(format string, args ...any) { wrong.add(file, node.Line, format, args...) }, "").(map[string]any)
	name, _ := value["name"].(string)
	if name == "" {
		wrong.add(file, node.Line, "name: is required, as text")
	}
	return wanted{name: name, value: value, file: file, node: node}, len(*wrong) == before
}

var envReference = regexp.MustCompile(`\$\{env:([^}]*)\}`)

// plain turns what YAML decodes to into what JSON can hold, and replaces ${env:NAME}
// within config.
func (p *program) plain(value any, complain func(string, ...any), path string) any {
	switch v := value.(type) {
	case map[string]any:
		for key, item := range v {
			v[key] = p.plain(item, complain, join(path, key))
		}
	case map[any]any:
		complain("%s: every key must be text; put quotes around numbers, true, false and null", path)
	case []any:
		for i, item := range v {
			v[i] = p.plain(item, complain, fmt.Sprintf("%s[%d]", path, i))
		}
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			complain("%s: %v is not a number that can be sent", path, v)
		}
	case string:
		if path != "config" && !strings.HasPrefix(path, "config.") {
			return v
		}
		return envReference.ReplaceAllStringFunc(v, func(reference string) string {
			name := envReference.FindStringSubmatch(reference)[1]
			text := p.Getenv(name)
			if text == "" {
				complain("%s: the environment variable %q is not set", path, name)
			}
			return text
		})
	}
	return value
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)

// addYAML adds what the YAML package found, with its line numbers; line is for what it
// says without one.
func (c *complaints) addYAML(file string, line int, err error) {
	messages := []string{err.Error()}
	var typed *yaml.TypeError
	if errors.As(err, &typed) {
		messages = typed.Errors
	}
	for _, m := range messages {
		at, text := splitLine(m)
		if at == 0 {
			at = line
		}
		c.add(file, at, "%s", text)
	}
}

// splitLine takes a message of the YAML package apart; 0 is no line.
func splitLine(message string) (line int, text string) {
	if found := yamlLine.FindStringSubmatch(message); found != nil {
		line, _ = strconv.Atoi(found[1]) // digits, by the expression
		return line, found[2]
	}
	return 0, strings.TrimPrefix(message, "yaml: ")
}

// lineReader hands out one line at a time, and so knows how far a parser came.
type lineReader struct {
	rest []byte
	read int // lines
}

// Read implements io.Reader.
func (r *lineReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	end := bytes.IndexByte(r.rest, '\n') + 1
	if end == 0 {
		end = len(r.rest)
	}
	n := copy(p, r.rest[:end])
	if n == end {
		r.read++
	}
	r.rest = r.rest[n:]
	return n, nil
}

// maxTries bounds the search for the line of a syntax error.
const maxTries = 500

// addSyntax adds what is wrong with the YAML of a file whose parser stopped after so
// many lines. The parser names the line before the one at which the construct begins
// that it could not finish, which may be far from the mistake; the line that matters is
// the one without which those before it are sound.
func (c *complaints) addSyntax(file string, content []byte, stopped int, err error) {
	named, text := splitLine(err.Error())
	starts := []int{0} // of each line
	for line := range bytes.Lines(content) {
		starts = append(starts, starts[len(starts)-1]+len(line))
	}
	for line := min(stopped, len(starts)-1); line > max(stopped-maxTries, 0); line-- {
		if sound(content[:starts[line-1]]) {
			c.add(file, line, "%s", text)
			return
		}
	}
	c.add(file, max(named, 1), "%s", text)
}

// sound reports whether YAML can be parsed.
func sound(content []byte) bool {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var doc yaml.Node
		if err := decoder.Decode(&doc); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// line finds where a field of the API's answer ("config.headers", "events[0].type")
// stands in the file: the nearest line that exists.
func (w wanted) line(field string) int {
	node := w.node
	for _, step := range strings.FieldsFunc(field, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		next := child(node, step)
		if next == nil {
			break
		}
		node = next
	}
	return node.Line
}

// child is one step down: a key of an object or a place in a list.
func child(node *yaml.Node, step string) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == step {
				return node.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i]
		}
	}
	return nil
}
