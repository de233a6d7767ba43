package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// schema is as much of JSON Schema as forms are made of. What it does not know of stays
// editable: as JSON.
type schema struct {
	Title       string      `json:"title"`
	Description string      `json:"description"`
	Type        words       `json:"type"`
	Enum        []string    `json:"-"`
	Default     any         `json:"default"`
	Examples    []any       `json:"examples"`
	WriteOnly   bool        `json:"writeOnly"`
	MaxLength   int         `json:"maxLength"`
	Required    []string    `json:"required"`
	Properties  properties  `json:"properties"`
	Additional  *additional `json:"additionalProperties"`
	Items       *schema     `json:"items"`
	OneOf       []*schema   `json:"oneOf"`

	// Choices are usual values of a text that may also be another one, Labels what the
	// choices of Enum or Choices are called: of our own schemas only.
	Choices []string          `json:"choices"`
	Labels  map[string]string `json:"labels"`
	// Long makes a text of several lines; Unset is what a choice of none is called.
	Long  bool   `json:"long"`
	Unset string `json:"unset"`
}

// UnmarshalJSON reads a schema; its numbers stay as they are written.
func (s *schema) UnmarshalJSON(b []byte) error {
	type plain schema
	one := struct {
		*plain
		Enum []any `json:"enum"`
	}{plain: (*plain)(s)}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&one); err != nil {
		return err
	}
	for _, v := range one.Enum {
		text, ok := v.(string)
		if !ok { // a choice of anything else is left to JSON
			s.Enum, s.Type = nil, words{"?"}
			return nil
		}
		s.Enum = append(s.Enum, text)
	}
	return nil
}

// words is a word or a list of words.
type words []string

// UnmarshalJSON reads either.
func (w *words) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*w = words{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(w))
}

// property is one member that a schema names.
type property struct {
	Name   string
	Schema *schema
}

// properties are in the order that the schema's author gave them.
type properties []property

// UnmarshalJSON reads an object and keeps its order.
func (p *properties) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		one := property{Name: fmt.Sprint(name), Schema: &schema{}}
		if err := d.Decode(one.Schema); err != nil {
			return err
		}
		*p = append(*p, one)
	}
	return nil
}

func (p properties) find(name string) *schema {
	for _, one := range p {
		if strings.EqualFold(one.Name, name) {
			return one.Schema
		}
	}
	return nil
}

// additional is what members have that a schema does not name; nil when there may be none.
type additional struct{ *schema }

// UnmarshalJSON reads true, false or a schema.
func (a *additional) UnmarshalJSON(b []byte) error {
	var yes bool
	if json.Unmarshal(b, &yes) == nil {
		if yes {
			a.schema = &schema{}
		}
		return nil
	}
	a.schema = &schema{}
	return json.Unmarshal(b, a.schema)
}

// The kinds of fields.
const (
	kindText   = "text"   // one line; of several with Long
	kindSecret = "secret" // a text that is never shown again
	kindNumber = "number"
	kindChoice = "choice" // one of a few
	kindPick   = "pick"   // usual values, or another
	kindYesNo  = "yesno"
	kindList   = "list"   // a row for each item
	kindMap    = "map"    // a row for each key and value
	kindObject = "object" // a field for each member
	kindAny    = "any"    // a text, or JSON where it is some
	kindJSON   = "json"   // whatever no other kind is for
)

// kind is the kind of field that a schema asks for.
func (s *schema) kind() string {
	switch {
	case len(s.Choices) > 0:
		return kindPick
	case len(s.Enum) > 0:
		return kindChoice
	case s.listItem() != nil:
		return kindList
	case len(s.Type) == 0 && len(s.OneOf) == 0 && len(s.Properties) == 0:
		return kindAny
	case len(s.Type) != 1:
		return kindJSON
	}
	switch s.Type[0] {
	case "string":
		if s.WriteOnly {
			return kindSecret
		}
		return kindText
	case "integer", "number":
		return kindNumber
	case "boolean":
		return kindYesNo
	case "object":
		switch {
		case s.Additional != nil && s.Additional.schema != nil:
			return kindMap
		case len(s.Properties) > 0:
			return kindObject
		}
	}
	return kindJSON
}

// listItem is what the items of a list are; nil for what is no list. A text that may as
// well be several of its kind is one.
func (s *schema) listItem() *schema {
	if slices.Contains(s.Type, "array") {
		for _, t := range s.Type {
			if t != "array" && t != "string" {
				return nil
			}
		}
		return s.Items
	}
	if len(s.OneOf) != 2 || len(s.Properties) > 0 {
		return nil
	}
	for i, one := range s.OneOf {
		other := s.OneOf[1-i]
		if slices.Equal(one.Type, words{"array"}) && one.Items != nil && one.Items.kind() == other.kind() {
			return one.Items
		}
	}
	return nil
}

// oneText reports whether a list of one is written as a text: where that form comes first.
func (s *schema) oneText() bool {
	if len(s.OneOf) > 0 {
		return s.OneOf[0].listItem() == nil
	}
	return len(s.Type) > 1 && s.Type[0] == "string"
}

// member is the schema of one entry of a map.
func (s *schema) member(key string) *schema {
	if known := s.Properties.find(key); known != nil {
		return known
	}
	return s.Additional.schema
}

// alternatives are the sets of members of which one is enough: of a schema whose oneOf says
// nothing else.
func (s *schema) alternatives() [][]string {
	var sets [][]string
	for _, one := range s.OneOf {
		if len(one.Required) == 0 || len(one.Properties) > 0 || len(one.Type) > 0 {
			return nil
		}
		sets = append(sets, one.Required)
	}
	return sets
}

// long reports whether a text needs several lines.
func (s *schema) long(text string) bool {
	if s.Long || s.MaxLength > 16<<10 || strings.Contains(s.Description, "PEM") || strings.Contains(text, "\n") {
		return true
	}
	return slices.ContainsFunc(s.Examples, func(v any) bool {
		text, ok := v.(string)
		return ok && strings.Contains(text, "\n")
	})
}
