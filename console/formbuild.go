package console

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tocsin-alerts/tocsin"
)

// node is one field of a form that is made from a schema and a value; the template "node"
// draws it, and [formReader] reads it back.
type node struct {
	Kind string
	// Name is the input's, ID the field's path as the API has it, which problems name.
	Name, ID                 string
	Label, Help, Placeholder string
	// Hint is what another value looks like, where there are usual ones.
	Hint string
	// Text is the value, Key the key of a map's row.
	Text, Key string
	Error     string
	Required  bool
	// Long is a text of several lines; Kept a secret that is stored; Focus what was just
	// added.
	Long, Kept, Focus bool
	// Row is one of several, which is taken out as a whole.
	Row bool
	// Fallback says that the value is none of those the schema is for, and is shown as JSON.
	Fallback bool
	Options  []choice
	// Suggest are keys that a map's rows may have.
	Suggest []string
	// Children are rows of lists and maps, or members of objects; Rest is what an object has
	// beyond its schema.
	Children []*node
	Rest     *node
}

// Told reports whether somebody said something of it that is not the default, or is wrong.
func (n *node) Told() bool {
	if n.Error != "" || n.Focus || n.Key != "" || n.Rest != nil || n.Text != "" && n.Text != n.Placeholder {
		return true
	}
	return slices.ContainsFunc(n.Children, (*node).Told)
}

type choice struct {
	Value, Label string
	Selected     bool
}

// Rows is how many rows there are, for who reads them back.
func (n *node) Rows() int { return len(n.Children) }

// Filled reports whether anything in it is set, or wrong.
func (n *node) Filled() bool {
	if n.Error != "" || n.Kept || n.Focus || n.Text != "" || n.Key != "" || n.Rest != nil {
		return true
	}
	return slices.ContainsFunc(n.Children, (*node).Filled)
}

// place is where a field is: in the form, and in the API's document.
type place struct{ name, id string }

func (p place) member(key string) place {
	if p.name == "" {
		return place{key, key}
	}
	return place{p.name + "." + key, p.id + "." + key}
}

func (p place) item(i int) place {
	return place{fmt.Sprintf("%s.%d", p.name, i), fmt.Sprintf("%s[%d]", p.id, i)}
}

func (p place) entry(i int, key string) place {
	at := place{fmt.Sprintf("%s.%d", p.name, i), p.id + "." + key}
	if key == "" {
		at.id = at.name
	}
	return at
}

// builder makes nodes.
type builder struct {
	// errors are what is wrong, by the API's paths; more is how many blank rows were asked
	// for, by the name of the list or map.
	errors map[string]string
	more   map[string]int
	// focus is the name of the list or map whose last row gets the cursor.
	focus string
}

// badJSON is what somebody typed where JSON was asked for: kept until it is some.
type badJSON string

// build makes the field of a value; present is false where there is none.
func (b *builder) build(s *schema, at place, v any, present bool) *node {
	n := &node{Kind: s.kind(), Name: at.name, ID: at.id, Label: s.Title, Help: s.Description, Error: b.errors[at.id]}
	if n.Label == "" {
		n.Label = at.name[strings.LastIndexByte(at.name, '.')+1:]
	}
	if present && !s.fits(n.Kind, v) {
		n.Kind, n.Fallback = kindJSON, true
	}
	if !present {
		v = nil
	}
	n.Placeholder = s.placeholder()
	switch n.Kind {
	case kindText:
		n.Text, _ = v.(string)
		n.Long = s.long(n.Text)
	case kindNumber:
		if present {
			n.Text = fmt.Sprint(v)
		}
	case kindSecret:
		n.Text, _ = v.(string)
		if n.Kept = n.Text == tocsin.Redacted; n.Kept {
			n.Text = ""
		}
		n.Long = s.long(n.Text)
	case kindChoice, kindPick, kindYesNo:
		b.choices(n, s, v, present)
	case kindList:
		b.list(n, s, at, v)
	case kindMap:
		b.rows(n, s, at, v)
	case kindObject:
		b.object(n, s, at, v)
	case kindAny:
		if present {
			n.Text = anyText(v)
		}
	case kindJSON:
		if typed, ok := v.(badJSON); ok {
			n.Text = string(typed)
		} else if present {
			n.Text = jsonText(v)
		}
		n.Long = true
	}
	return n
}

// fits reports whether a value can be edited in a field of this kind without loss.
func (s *schema) fits(kind string, v any) bool {
	switch kind {
	case kindText, kindSecret, kindChoice:
		_, ok := v.(string)
		return ok
	case kindPick:
		_, isText := v.(string)
		_, isNumber := v.(json.Number)
		return isText || isNumber
	case kindNumber:
		if text, ok := v.(string); ok { // typed, and no number
			return !isNumber(text) && strings.TrimSpace(text) == text && !strings.Contains(text, "\n")
		}
		_, ok := v.(json.Number)
		return ok
	case kindYesNo:
		_, ok := v.(bool)
		return ok
	case kindList:
		item := s.listItem()
		if text, ok := v.(string); ok {
			return item.fits(item.kind(), text)
		}
		items, ok := v.([]any)
		return ok && !slices.ContainsFunc(items, func(one any) bool { return !item.fits(item.kind(), one) })
	case kindMap:
		entries, ok := v.(map[string]any)
		for key := range entries {
			ok = ok && key != "" && strings.TrimSpace(key) == key && !strings.ContainsAny(key, "\r\n")
		}
		return ok
	case kindObject:
		_, ok := v.(map[string]any)
		return ok
	case kindAny:
		_, bad := v.(badJSON)
		return !bad
	}
	return true
}

// choices fills in the options. A value that is none of them is one all the same.
func (b *builder) choices(n *node, s *schema, v any, present bool) {
	if present {
		n.Text = fmt.Sprint(v)
	}
	values, labels := s.Enum, s.Labels
	switch n.Kind {
	case kindPick:
		values, n.Hint = s.Choices, "for example 45m"
		if slices.Contains(s.Type, "integer") {
			n.Hint = "for example 500"
		}
		if !present {
			n.Text = defaultText(s.Default)
		}
	case kindYesNo:
		values, labels = []string{"true", "false"}, map[string]string{"true": "yes", "false": "no"}
	}
	unset := cmp.Or(s.Unset, "not set")
	if d := defaultText(s.Default); d != "" {
		unset = "default: " + labelOf(labels, d)
	}
	if n.Kind != kindPick {
		n.Options = append(n.Options, choice{"", unset, n.Text == ""})
	}
	for _, value := range values {
		n.Options = append(n.Options, choice{value, labelOf(labels, value), value == n.Text})
	}
	if n.Kind != kindPick && n.Text != "" && !slices.Contains(values, n.Text) {
		n.Options = append(n.Options, choice{n.Text, n.Text, true})
	}
}

func labelOf(labels map[string]string, value string) string {
	if label := labels[value]; label != "" {
		return label
	}
	return value
}

// Other is the value of a field with usual ones, when it is none of them.
func (n *node) Other() string {
	if slices.ContainsFunc(n.Options, func(o choice) bool { return o.Selected }) {
		return ""
	}
	return n.Text
}

// blanks is how many blank rows a list or map gets: one where there is none, and those that
// were asked for.
func (b *builder) blanks(name string, rows int, always bool) int {
	n := b.more[name]
	if rows == 0 && always {
		n = max(1, n)
	}
	return n
}

func (b *builder) list(n *node, s *schema, at place, v any) {
	items, isList := v.([]any)
	if !isList && v != nil {
		items = []any{v}
	}
	item := s.listItem()
	for i, one := range items {
		n.Children = append(n.Children, b.build(item, at.item(i), one, true))
	}
	for i := range b.blanks(at.name, len(items), item.kind() != kindObject) {
		n.Children = append(n.Children, b.build(item, at.item(len(items)+i), nil, false))
	}
	for i, c := range n.Children {
		c.Row = true
		c.Label = fmt.Sprintf("%s, %d", n.Label, i+1)
		if c.Placeholder == "" {
			c.Placeholder = n.Placeholder
		}
	}
	b.finish(n)
}

func (b *builder) rows(n *node, s *schema, at place, v any) {
	entries, _ := v.(map[string]any)
	for _, p := range s.Properties {
		n.Suggest = append(n.Suggest, p.Name)
	}
	keys := slices.Sorted(maps.Keys(entries))
	for i, key := range keys {
		row := s.member(key)
		c := b.build(row, at.entry(i, key), entries[key], true)
		c.Key, c.Label, c.Row = key, key, true
		n.Children = append(n.Children, c)
	}
	for i := range b.blanks(at.name, len(keys), true) {
		c := b.build(s.Additional.schema, at.entry(len(keys)+i, ""), nil, false)
		c.Label = fmt.Sprintf("%s, %d", n.Label, len(keys)+i+1)
		n.Children = append(n.Children, c)
	}
	b.finish(n)
}

// finish gives the cursor to a row that was asked for.
func (b *builder) finish(n *node) {
	if b.focus == n.Name && len(n.Children) > 0 {
		n.Children[len(n.Children)-1].Focus = true
	}
}

func (b *builder) object(n *node, s *schema, at place, v any) {
	members, _ := v.(map[string]any)
	rest := maps.Clone(members)
	for _, p := range s.Properties {
		value, present := members[p.Name]
		c := b.build(p.Schema, at.member(p.Name), value, present)
		c.Required = slices.Contains(s.Required, p.Name)
		n.Children = append(n.Children, c)
		delete(rest, p.Name)
	}
	if len(rest) > 0 {
		place := place{at.name + "!rest", at.id + "!rest"}
		n.Rest = &node{Kind: kindJSON, Name: place.name, ID: place.id, Label: "Further settings", Help: "Settings that this form has no fields for, as a JSON object.",
			Text: jsonText(rest), Long: true, Error: b.errors[place.id]}
		if typed, ok := rest[restKey].(badJSON); ok {
			n.Rest.Text = string(typed)
		}
	}
}

// restKey holds the rest of an object while it is no JSON.
const restKey = "!rest"

// placeholder is the default, or an example.
func (s *schema) placeholder() string {
	if d := defaultText(s.Default); d != "" {
		return d
	}
	if len(s.Examples) == 0 {
		return ""
	}
	switch first := s.Examples[0].(type) {
	case []any:
		if len(first) > 0 {
			return "for example " + defaultText(first[0])
		}
		return ""
	case map[string]any:
		return ""
	default:
		return "for example " + strings.ReplaceAll(defaultText(first), "\n", " ")
	}
}

func defaultText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool, json.Number:
		return fmt.Sprint(v)
	}
	return jsonText(v)
}

// jsonText is a value as JSON in lines.
func jsonText(v any) string { return encode(v, "  ") }

func encode(v any, indent string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return "" // it came from JSON
	}
	return strings.TrimSpace(b.String())
}

// anyText is a value as people type it: a text as it is, unless it would be read as JSON.
func anyText(v any) string {
	if text, ok := v.(string); ok && !json.Valid([]byte(text)) && text != "" && strings.TrimSpace(text) == text {
		return text
	}
	return encode(v, "")
}

func isNumber(text string) bool {
	v, err := decodeTree([]byte(text))
	_, ok := v.(json.Number)
	return err == nil && ok
}

// decodeTree reads JSON with its numbers as they are written.
func decodeTree(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, fmt.Errorf("it goes on after its end")
	}
	return v, nil
}
