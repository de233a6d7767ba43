package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"net/url"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/integrations"
)

// channelSchemas are the schemas of every channel there is.
func channelSchemas(t testing.TB) map[string]*schema {
	t.Helper()
	all := map[string]*schema{}
	for _, c := range integrations.Channels(integrations.Options{Catalog: catalog.Default()}) {
		s := &schema{}
		if err := json.Unmarshal(c.Schema(), s); err != nil {
			t.Fatalf("%s: %v", c.Name(), err)
		}
		all[c.Name()] = s
	}
	return all
}

var pagesOnce = sync.OnceValues(func() (map[string]*template.Template, error) {
	a, err := loadAssets()
	if err != nil {
		return nil, err
	}
	return parsePages(a)
})

// drawn is what a browser would send of a form that shows a value.
func drawn(t *testing.T, s *schema, v any) url.Values {
	t.Helper()
	pages, err := pagesOnce()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := pages["webhookform"].ExecuteTemplate(&b, "node", (&builder{}).build(s, place{"config", "config"}, v, true)); err != nil {
		t.Fatal(err)
	}
	doc, err := html.Parse(&b)
	if err != nil {
		t.Fatal(err)
	}
	return sent(doc)
}

// sent collects the successful controls of a document, as HTML has it.
func sent(n *html.Node) url.Values {
	form := url.Values{}
	var walk func(*html.Node)
	attr := func(n *html.Node, name string) (string, bool) {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val, true
			}
		}
		return "", false
	}
	walk = func(n *html.Node) {
		name, _ := attr(n, "name")
		value, _ := attr(n, "value")
		_, checked := attr(n, "checked")
		kind, _ := attr(n, "type")
		switch {
		case name == "":
		case n.Data == "input" && (kind == "checkbox" || kind == "radio"):
			if checked {
				form.Add(name, value)
			}
		case n.Data == "input":
			form.Add(name, strings.NewReplacer("\r", "", "\n", "").Replace(value))
		case n.Data == "textarea":
			text := ""
			for c := n.FirstChild; c != nil; c = c.NextSibling {
				text += c.Data
			}
			form.Add(name, strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n"))
		case n.Data == "select":
			form.Add(name, selected(n, attr))
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(n)
	return form
}

func selected(n *html.Node, attr func(*html.Node, string) (string, bool)) string {
	first, found := "", false
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.Data != "option" {
			continue
		}
		value, _ := attr(c, "value")
		if _, is := attr(c, "selected"); is {
			return value
		}
		if !found {
			first, found = value, true
		}
	}
	return first
}

// roundTrip draws a value, sends it as it was drawn, and reads it back.
func roundTrip(t *testing.T, s *schema, v any) any {
	t.Helper()
	r := &formReader{form: drawn(t, s, v)}
	got, some := r.read(s, place{"config", "config"})
	if !some {
		got = map[string]any{}
	}
	if len(r.problems) > 0 {
		t.Errorf("reading it back: %v", r.problems)
	}
	return reconcile(v, got)
}

func parsed(t *testing.T, text string) any {
	t.Helper()
	v, err := decodeTree([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// sampleOf makes up a value that a schema allows.
func sampleOf(s *schema, at string) any {
	switch s.kind() {
	case kindChoice:
		return s.Enum[len(s.Enum)-1]
	case kindNumber:
		return json.Number("9007199254740993")
	case kindYesNo:
		return strings.Contains(at, "gzip")
	case kindList:
		return []any{sampleOf(s.listItem(), at), at + " & <second>"}
	case kindMap:
		return map[string]any{"X-<Odd> \"Name\".é": sampleOf(s.Additional.schema, at), "second": sampleOf(s.Additional.schema, at)}
	case kindObject:
		return objectOfSchema(s, at)
	case kindSecret:
		return tocsin.Redacted
	case kindAny:
		return map[string]any{"value": []any{json.Number("1.50"), "two", nil, true}}
	case kindText:
		if s.long("") {
			return " <first>\r\n\"second\" & third\n"
		}
		return " a <b>\"text\"</b> & ' of " + at
	}
	return map[string]any{"kind": s.kind()}
}

func objectOfSchema(s *schema, at string) map[string]any {
	members := map[string]any{}
	for _, p := range s.Properties {
		members[p.Name] = sampleOf(p.Schema, at+"."+p.Name)
	}
	return members
}

func TestEveryChannelsFormLosesNothing(t *testing.T) {
	for name, s := range channelSchemas(t) {
		t.Run(name, func(t *testing.T) {
			full := objectOfSchema(s, "config")
			full["a setting of <tomorrow>"] = parsed(t, `{"nested": [1, {"deep": null}], "big": 12345678901234567890}`)
			for what, v := range map[string]map[string]any{"full": full, "nothing": {}} {
				if diff := cmp.Diff(any(v), roundTrip(t, s, v)); diff != "" {
					t.Errorf("%s (-before +after):\n%s", what, diff)
				}
			}
			for _, p := range s.Properties {
				// Each alone, and each with what its schema does not allow.
				for _, v := range []any{
					sampleOf(p.Schema, p.Name), "", json.Number("7"), true, "7", []any{}, []any{"one"}, []any{"one", json.Number("2"), []any{}},
					map[string]any{}, map[string]any{"": "no name"}, map[string]any{" spaced": "x"}, map[string]any{"k": map[string]any{"deep": json.Number("1")}}, "[redacted]", "two\nlines", "true", "{}",
				} {
					one := map[string]any{p.Name: v}
					if diff := cmp.Diff(any(one), roundTrip(t, s, one)); diff != "" {
						t.Errorf("%s as %s (-before +after):\n%s", p.Name, encode(v, ""), diff)
					}
				}
			}
		})
	}
}

func TestEveryChannelsFieldsAreUsable(t *testing.T) {
	for name, s := range channelSchemas(t) {
		n := (&builder{}).build(s, place{"config", "config"}, map[string]any{}, true)
		for i, c := range n.Children {
			if c.Kind == kindJSON {
				t.Errorf("%s: %s can only be edited as JSON", name, c.Name)
			}
			if c.Label == "" || c.Label == s.Properties[i].Name {
				t.Errorf("%s: %s has no title", name, c.Name)
			}
			if want := hasSecret(s.Properties[i].Schema); want != (c.Kind == kindSecret || len(c.Children) > 0 && c.Children[0].Kind == kindSecret) {
				t.Errorf("%s: %s is a field of kind %s, want a secret: %v", name, c.Name, c.Kind, want)
			}
		}
	}
}

func hasSecret(s *schema) bool {
	if item := s.listItem(); item != nil && item.WriteOnly {
		return true
	}
	return s.WriteOnly || s.Additional != nil && s.Additional.schema != nil && s.Additional.WriteOnly
}

func TestASecretIsKeptReplacedOrRemoved(t *testing.T) {
	s := channelSchemas(t)["pagerduty"]
	form := drawn(t, s, map[string]any{"routing_key": tocsin.Redacted})
	if got := form.Get("config.routing_key"); got != "" {
		t.Fatalf("the form holds %q", got)
	}
	for _, c := range []struct {
		set, value string
		want       map[string]any
	}{
		{"", "", map[string]any{"routing_key": tocsin.Redacted}},
		{"config.routing_key", "new one", map[string]any{"routing_key": "new one"}},
		{"config.routing_key!drop", "1", map[string]any{}},
	} {
		changed := url.Values{}
		for name, values := range form {
			changed[name] = values
		}
		changed.Set(c.set, c.value)
		got, _ := (&formReader{form: changed}).read(s, place{"config", "config"})
		if diff := cmp.Diff(any(c.want), got); diff != "" {
			t.Errorf("%s=%s (-want +got):\n%s", c.set, c.value, diff)
		}
	}
}

func TestRowsThatCannotBeReadSaySo(t *testing.T) {
	s := channelSchemas(t)["webhook"]
	r := &formReader{form: url.Values{
		"config.headers!rows": {"3"}, "config.headers.0!key": {"a"}, "config.headers.0": {"1"}, "config.headers.1!key": {"a"}, "config.headers.1": {"2"}, "config.headers.2": {"nameless"},
	}}
	r.read(s, place{"config", "config"})
	var got []string
	for _, p := range r.problems {
		got = append(got, p.Field+" "+p.Message)
	}
	if diff := cmp.Diff([]string{`config.headers.a "a" is there twice`, "config.headers.2 has a value and no name"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnyNumberOfRowsIsBounded(t *testing.T) {
	r := &formReader{form: url.Values{"x!rows": {"999999999"}}}
	if got := r.rows(place{"x", "x"}); got != maxRows {
		t.Errorf("got %d", got)
	}
	if got := (&formReader{form: url.Values{"x!rows": {"-5"}}}).rows(place{"x", "x"}); got > 0 {
		t.Errorf("got %d", got)
	}
}

func TestAMergePatchIsWhatDiffers(t *testing.T) {
	from := parsed(t, `{"a": 1, "gone": "x", "config": {"headers": {"k": "[redacted]", "old": "1"}, "list": [1]}}`).(map[string]any)
	to := parsed(t, `{"a": 1, "new": true, "config": {"headers": {"k": "[redacted]", "n": "2"}, "list": [1, 2]}}`).(map[string]any)
	patch := mergePatch(from, to)
	want := parsed(t, `{"gone": null, "new": true, "config": {"headers": {"old": null, "n": "2"}, "list": [1, 2]}}`)
	if diff := cmp.Diff(want, any(patch)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(to, patched(from, patch)); diff != "" {
		t.Errorf("patched (-want +got):\n%s", diff)
	}
}

func TestAListOnOneLine(t *testing.T) {
	for _, list := range [][]string{{"a"}, {"a", "b c"}, {"a,b", "c"}, {" a"}, {"[x"}, {""}} {
		var got []string
		for _, v := range textList(listText(list)) {
			got = append(got, fmt.Sprint(v))
		}
		if diff := cmp.Diff(list, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", listText(list), diff)
		}
	}
}

// FuzzForm reads whatever a browser, or somebody else, may send: what is read is drawn, and
// reads back as itself.
func FuzzForm(f *testing.F) {
	for _, q := range []string{
		"", "config.url=x", "config.headers!rows=2&config.headers.0!key=a&config.headers.0=b&config.headers.1=c", "config!rest={", "config!rest=[1]",
		"config.url!json=1&config.url={", "config.signing_secret!rows=1&config.signing_secret.0!kept=1", "config.custom_fields!rows=1&config.custom_fields.0!key=k&config.custom_fields.0={}",
		"config.priority!json=1&config.priority=7", "config.port=08", "config.gzip=maybe", "config.to!rows=2&config.to.0=&config.to.1=x",
	} {
		f.Add(q)
	}
	schemas := channelSchemas(f)
	f.Fuzz(func(t *testing.T, text string) {
		form, err := url.ParseQuery(text)
		if err != nil || !utf8.ValidString(fmt.Sprint(form)) || strings.ContainsFunc(fmt.Sprint(form), unicode.IsControl) {
			t.Skip() // which HTML does not carry as they are
		}
		for name, s := range schemas {
			r := &formReader{form: form}
			v, some := r.read(s, place{"config", "config"})
			if !some || len(r.problems) > 0 {
				continue
			}
			again := &formReader{form: drawn(t, s, v)}
			got, _ := again.read(s, place{"config", "config"})
			if diff := cmp.Diff(v, reconcile(v, got)); diff != "" {
				t.Errorf("%s (-read +read again):\n%s", name, diff)
			}
		}
	})
}
