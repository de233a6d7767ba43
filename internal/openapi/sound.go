package openapi

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// keywords are what a schema may consist of: a misspelt one would say nothing, unnoticed.
var keywords = strings.Fields(`$ref type enum const properties required additionalProperties unevaluatedProperties items allOf anyOf oneOf
	minimum maximum exclusiveMinimum minLength maxLength minItems maxItems pattern format default description examples title`)

// Sound returns what is wrong with the document itself: references that lead nowhere,
// schemas that do not compile or hold unknown words, examples and defaults that are not
// what their schema says, operations without an id, or with that of another.
func (d *Document) Sound() error {
	var all []error
	if v, _ := d.tree["openapi"].(string); !strings.HasPrefix(v, "3.1.") {
		all = append(all, fmt.Errorf("openapi is %q, want 3.1", v))
	}
	ids := map[string]bool{}
	for _, op := range d.Operations() {
		o := mapOf(d.at(op.pointer))
		id, _ := o["operationId"].(string)
		if id == "" || ids[id] {
			all = append(all, fmt.Errorf("%s %s: operationId %q is missing or there twice", op.Method, op.Path, id))
		}
		ids[id] = true
		all = append(all, op.templated())
	}
	d.walk("#", d.tree, &all)
	return errors.Join(all...)
}

// templated checks that the path's parameters are those that are described.
func (op Operation) templated() error {
	var want, got []string
	for _, part := range strings.Split(op.Path, "/") {
		if strings.HasPrefix(part, "{") {
			want = append(want, strings.Trim(part, "{}"))
		}
	}
	for _, p := range op.Parameters() {
		if p.In == "path" {
			got = append(got, p.Name)
		}
	}
	if !slices.Equal(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))) {
		return fmt.Errorf("%s %s: describes the parameters %v", op.Method, op.Path, got)
	}
	return nil
}

// walk visits everything that is no schema.
func (d *Document) walk(pointer string, v any, all *[]error) {
	d.reference(pointer, v, all)
	for _, key := range slices.Sorted(maps.Keys(mapOf(v))) {
		at := pointer + "/" + escape(key)
		item := mapOf(v)[key]
		switch {
		case key == "schema":
			d.walkSchema(at, item, all)
		case pointer == "#/components" && key == "schemas":
			for name, s := range mapOf(item) {
				d.walkSchema(at+"/"+escape(name), s, all)
			}
		default:
			d.walk(at, item, all)
		}
	}
	for i, item := range listOf(v) {
		d.walk(fmt.Sprintf("%s/%d", pointer, i), item, all)
	}
}

func (d *Document) reference(pointer string, v any, all *[]error) {
	if ref, ok := mapOf(v)["$ref"].(string); ok && d.at(ref) == nil {
		*all = append(*all, fmt.Errorf("%s: %s leads nowhere", pointer, ref))
	}
}

func (d *Document) walkSchema(pointer string, v any, all *[]error) {
	s := mapOf(v)
	if s == nil {
		return
	}
	d.reference(pointer, s, all)
	for key := range s {
		if !slices.Contains(keywords, key) {
			*all = append(*all, fmt.Errorf("%s: %q is no keyword of schemas that is in use here", pointer, key))
		}
	}
	samples := listOf(s["examples"])
	if v, ok := s["default"]; ok {
		samples = append(samples, v)
	}
	if _, err := d.schema(pointer); err != nil {
		*all = append(*all, err)
		return
	}
	for _, sample := range samples {
		*all = append(*all, d.valid(fmt.Sprintf("%s: the sample %v", pointer, sample), pointer, sample))
	}
	for name, item := range mapOf(s["properties"]) {
		d.walkSchema(pointer+"/properties/"+escape(name), item, all)
	}
	for _, key := range []string{"items", "additionalProperties", "unevaluatedProperties"} {
		d.walkSchema(pointer+"/"+key, s[key], all)
	}
	for _, key := range []string{"allOf", "anyOf", "oneOf"} {
		for i, item := range listOf(s[key]) {
			d.walkSchema(fmt.Sprintf("%s/%s/%d", pointer, key, i), item, all)
		}
	}
}
