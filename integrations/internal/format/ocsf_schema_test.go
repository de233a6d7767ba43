package format_test

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
)

//go:embed testdata/ocsf-1.9.0.json
var ocsfSchema []byte

// definition is what the schema says of a class or an object.
type definition struct {
	Required   []string          `json:"required"`
	Attributes map[string]string `json:"attributes"`
	Enums      map[string]struct {
		Sibling string            `json:"sibling"`
		Values  map[string]string `json:"values"`
	} `json:"enums"`
	AtLeastOne []string `json:"at_least_one"`
	JustOne    []string `json:"just_one"`
}

// validator holds findings to the schema.
type validator struct {
	objects  map[string]definition
	problems []string
}

func newValidator(t testing.TB) *validator {
	t.Helper()
	var file struct {
		Objects map[string]definition `json:"objects"`
	}
	if err := json.Unmarshal(ocsfSchema, &file); err != nil || len(file.Objects) == 0 {
		t.Fatalf("reading the schema: %v", err)
	}
	return &validator{objects: file.Objects}
}

// check returns what is wrong with a finding.
func (v *validator) check(text []byte) []string {
	v.problems = nil
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var finding any
	if err := d.Decode(&finding); err != nil {
		return []string{err.Error()}
	}
	v.object("", "detection_finding", finding)
	return v.problems
}

func (v *validator) bad(path, format string, args ...any) {
	v.problems = append(v.problems, path+": "+fmt.Sprintf(format, args...))
}

func (v *validator) object(path, kind string, value any) {
	def, known := v.objects[kind]
	object, ok := value.(map[string]any)
	if !known || !ok {
		v.bad(path, "is %T, want an object of type %s", value, kind)
		return
	}
	for _, name := range def.Required {
		if _, there := object[name]; !there {
			v.bad(path, "%s is required", name)
		}
	}
	some := func(names []string) (n int) {
		for _, name := range names {
			if _, there := object[name]; there {
				n++
			}
		}
		return n
	}
	if len(def.AtLeastOne) > 0 && some(def.AtLeastOne) == 0 {
		v.bad(path, "has none of %v", def.AtLeastOne)
	}
	if len(def.JustOne) > 0 && some(def.JustOne) != 1 {
		v.bad(path, "wants just one of %v", def.JustOne)
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		v.attribute(path+"."+name, def.Attributes[name], object[name])
	}
	v.enums(path, def, object)
}

func (v *validator) enums(path string, def definition, object map[string]any) {
	for name, enum := range def.Enums {
		id, there := object[name].(json.Number)
		if !there {
			continue
		}
		caption, known := enum.Values[id.String()]
		if !known {
			v.bad(path, "%s has no value %s", name, id)
		}
		if sibling, there := object[enum.Sibling]; there && caption != "Other" && sibling != caption {
			v.bad(path, "%s is %q, want %q", enum.Sibling, sibling, caption)
		}
		if caption == "Other" && object[enum.Sibling] == nil {
			v.bad(path, "%s is missing beside Other", enum.Sibling)
		}
	}
}

// attribute checks a value of a type.
func (v *validator) attribute(path, kind string, value any) {
	if element, list := strings.CutPrefix(kind, "[]"); list {
		values, ok := value.([]any)
		if !ok || len(values) == 0 {
			v.bad(path, "is %v, want a list that is not empty", value)
		}
		for i, x := range values {
			v.attribute(fmt.Sprintf("%s[%d]", path, i), element, x)
		}
		return
	}
	text, isText := value.(string)
	number, isNumber := value.(json.Number)
	ok := true
	switch kind {
	case "":
		v.bad(path, "is not in the schema, or not to be used")
	case "string":
		ok = isText
	case "url":
		u, err := url.Parse(text)
		ok = isText && err == nil && u.Scheme != "" && u.Host != ""
	case "ip":
		_, err := netip.ParseAddr(text)
		ok = isText && err == nil
	case "boolean":
		_, ok = value.(bool)
	case "integer", "long", "timestamp":
		n, err := number.Int64()
		// Milliseconds: seconds would be in 1970, and nanoseconds far from now.
		ok = isNumber && err == nil && (kind != "timestamp" || n == 0 || n > 1e11 && n < 1e13)
	case "object":
		_, ok = value.(map[string]any)
	case "json":
	default:
		v.object(path, kind, value)
	}
	if !ok {
		v.bad(path, "is %v, want %s", value, kind)
	}
}
