package openapi

import "strings"

// closer adds unevaluatedProperties: false to every schema that names properties and does
// not say whether there may be others. It goes where a schema describes a whole value, and
// not into the parts of an allOf, each of which would refuse what the others name.
type closer struct{ d *Document }

func (c closer) close() {
	components, _ := c.d.tree["components"].(map[string]any)
	for name, section := range components {
		if name == "schemas" {
			for _, s := range mapOf(section) {
				c.inside(s)
			}
			continue
		}
		c.find(section)
	}
	c.find(c.d.tree["paths"])
}

// find looks for schemas among what is none.
func (c closer) find(v any) {
	for key, item := range mapOf(v) {
		if key == "schema" {
			c.whole(item)
			continue
		}
		c.find(item)
	}
	for _, item := range listOf(v) {
		c.find(item)
	}
}

// whole is for a schema that describes a whole value.
func (c closer) whole(v any) {
	s := mapOf(v)
	if s == nil {
		return
	}
	c.inside(s)
	if c.names(s, nil) && !c.says(s) {
		s["unevaluatedProperties"] = false
	}
}

// inside closes what is in a schema, and leaves itself open.
func (c closer) inside(v any) {
	s := mapOf(v)
	for _, item := range mapOf(s["properties"]) {
		c.whole(item)
	}
	for _, key := range []string{"items", "additionalProperties"} {
		c.whole(s[key])
	}
	for _, key := range []string{"allOf", "anyOf", "oneOf"} {
		for _, item := range listOf(s[key]) {
			c.inside(item)
		}
	}
}

// names reports whether a schema names properties, itself or by what it is made of.
func (c closer) names(s map[string]any, seen []string) bool {
	if s["properties"] != nil {
		return true
	}
	if ref, ok := s["$ref"].(string); ok && !strings.Contains(strings.Join(seen, " "), ref) {
		if c.names(mapOf(c.d.at(ref)), append(seen, ref)) {
			return true
		}
	}
	for _, key := range []string{"allOf", "anyOf", "oneOf"} {
		for _, item := range listOf(s[key]) {
			if c.names(mapOf(item), seen) {
				return true
			}
		}
	}
	return false
}

func (c closer) says(s map[string]any) bool {
	return s["additionalProperties"] != nil || s["unevaluatedProperties"] != nil
}

func mapOf(v any) map[string]any { m, _ := v.(map[string]any); return m }
func listOf(v any) []any         { l, _ := v.([]any); return l }
