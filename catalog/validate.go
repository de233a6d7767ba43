package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"github.com/tocsin-alerts/tocsin"
)

// compile reads a type's schema. Formats (date-time) are checked, not only noted.
func compile(t AlertType) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(t.Schema))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	url := "catalog:///" + t.Type
	if err := compiler.AddResource(url, doc); err != nil {
		return nil, err
	}
	return compiler.Compile(url)
}

// Validate checks that the event's type is known and that its data is what the type's
// schema asks for. The fields are "type" and "data.…"; nil means all is well. What does
// not depend on the type (lengths, time, link) is checked by package ingest.
func (c *Catalog) Validate(e *tocsin.Event) []tocsin.FieldError {
	if IsCustom(e.Type) {
		return nil
	}
	schema, ok := c.schemas[e.Type]
	if !ok {
		return []tocsin.FieldError{{Field: "type", Message: c.unknownType(e.Type)}}
	}
	if len(e.Data) > 0 && c.shapes[e.Type].accepts(e.Data) {
		return nil
	}
	// Without data every required key is missing, and it says so one by one.
	var data any = map[string]any{}
	if len(e.Data) > 0 {
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return []tocsin.FieldError{{Field: "data", Message: fmt.Sprintf("is not JSON: %v", err)}}
		}
	}
	err := schema.Validate(data)
	if err == nil {
		return nil
	}
	invalid, ok := err.(*jsonschema.ValidationError)
	if !ok {
		return []tocsin.FieldError{{Field: "data", Message: err.Error()}}
	}
	var fields []tocsin.FieldError
	explain(invalid, data, &fields)
	// The validator walks a map; people want the same answer to the same question.
	slices.SortFunc(fields, func(a, b tocsin.FieldError) int {
		return strings.Compare(a.Field+"\x00"+a.Message, b.Field+"\x00"+b.Message)
	})
	return slices.CompactFunc(fields, func(a, b tocsin.FieldError) bool { return a.Field == b.Field && a.Message == b.Message })
}

func (c *Catalog) unknownType(name string) string {
	if name == "" {
		return "is required: an alert type of the catalog, or custom.*"
	}
	names := make([]string, len(c.types))
	for i, t := range c.types {
		names[i] = t.Type
	}
	if near := Suggest(name, names); near != "" {
		return fmt.Sprintf("%s is not an alert type; did you mean %q? GET /v1/alert-types lists them; types of your own begin with %q", Quote(name), near, CustomPrefix)
	}
	return fmt.Sprintf("%s is not an alert type; allowed: %s, or a type of your own beginning with %q", Quote(name), strings.Join(names, ", "), CustomPrefix)
}

// explain turns the validator's tree of causes into one line for each leaf.
func explain(e *jsonschema.ValidationError, data any, fields *[]tocsin.FieldError) {
	path := "data"
	for _, step := range e.InstanceLocation {
		path += "." + short(step, 64)
	}
	add := func(field, message string) {
		*fields = append(*fields, tocsin.FieldError{Field: field, Message: message})
	}
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			add(path+"."+name, "is required")
		}
	case *kind.AnyOf:
		if names := alternatives(e); len(names) > 0 {
			add(path, fmt.Sprintf("needs one of %s", strings.Join(names, ", ")))
			return
		}
		add(path, "matches none of the forms allowed")
	default:
		if len(e.Causes) > 0 {
			for _, cause := range e.Causes {
				explain(cause, data, fields)
			}
			return
		}
		add(path, describe(k, valueAt(data, e.InstanceLocation)))
	}
}

// alternatives lists the keys of an anyOf that asks for one of several.
func alternatives(e *jsonschema.ValidationError) []string {
	var names []string
	for _, cause := range e.Causes {
		k, ok := cause.ErrorKind.(*kind.Required)
		if !ok || len(k.Missing) != 1 {
			return nil
		}
		names = append(names, k.Missing[0])
	}
	return names
}

// describe says what is wrong with a value and what is allowed.
func describe(k jsonschema.ErrorKind, value string) string {
	switch k := k.(type) {
	case *kind.Type:
		return fmt.Sprintf("%s is %s; allowed: %s", value, article(k.Got), strings.Join(k.Want, " or "))
	case *kind.Enum:
		allowed := make([]string, len(k.Want))
		for i, w := range k.Want {
			allowed[i] = fmt.Sprint(w)
		}
		return fmt.Sprintf("%s is not allowed; allowed: %s", value, strings.Join(allowed, ", "))
	case *kind.Format:
		if k.Want == "date-time" {
			return fmt.Sprintf("%s is not a time; write RFC 3339, for example 2026-01-31T08:30:00Z", value)
		}
		return fmt.Sprintf("%s is not a %s", value, k.Want)
	case *kind.MinLength:
		if k.Got == 0 {
			return "is empty"
		}
		return fmt.Sprintf("%s has %d characters; at least %d are needed", value, k.Got, k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("has %d elements; at least %d are needed", k.Got, k.Want)
	case *kind.Minimum:
		return fmt.Sprintf("%s is too small; at least %s is needed", value, number(k.Want))
	default:
		return fmt.Sprintf("%s does not match the type's schema (%s)", value, strings.Join(k.KeywordPath(), "/"))
	}
}

func article(jsonType string) string {
	switch jsonType {
	case "null", "boolean":
		return jsonType
	case "object", "array", "integer":
		return "an " + jsonType
	}
	return "a " + jsonType
}

func number(r *big.Rat) string {
	f, _ := r.Float64()
	return fmt.Sprint(f)
}

// valueAt finds the value the validator speaks of, written as JSON and shortened.
func valueAt(data any, location []string) string {
	for _, step := range location {
		switch v := data.(type) {
		case map[string]any:
			data = v[step]
		case []any:
			var i int
			if _, err := fmt.Sscan(step, &i); err != nil || i < 0 || i >= len(v) {
				return "the value"
			}
			data = v[i]
		}
	}
	text, err := json.Marshal(data)
	if err != nil {
		return "the value"
	}
	return short(string(text), 80)
}

// Quote writes a value for an error message: in quotes, and cut when it is long.
func Quote(text string) string { return fmt.Sprintf("%q", short(text, 80)) }

// short cuts text to at most n bytes, on the border of a character.
func short(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && text[n]&0xC0 == 0x80 {
		n--
	}
	return text[:n] + "…"
}
