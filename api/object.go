package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// object reads a body of one JSON object into a struct; an empty body is one without
// fields. Fields that the struct does not have are refused, with a suggestion.
func object[T any](w http.ResponseWriter, r *http.Request) (v T, err error) {
	raw, err := document(w, r, "application/json")
	if err != nil || len(bytes.TrimSpace(raw)) == 0 {
		return v, err
	}
	if string(bytes.TrimSpace(raw)) == "null" { // which would decode, as nothing
		return v, tocsin.Errorf(tocsin.CodeMalformed, "reading JSON: got null; want an object")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, unreadable(err, fieldNames(reflect.TypeFor[T]()))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return v, tocsin.Errorf(tocsin.CodeMalformed, "the body goes on after its JSON object")
	}
	return v, exact(raw, reflect.TypeFor[T]())
}

// exact refuses names that are a field's but for their case, which the decoder has taken for
// it: an object could hold both, and mean the other.
func exact(raw json.RawMessage, t reflect.Type) error {
	switch t.Kind() {
	case reflect.Slice:
		var items []json.RawMessage
		if t.Elem().Kind() != reflect.Struct || json.Unmarshal(raw, &items) != nil {
			return nil
		}
		for _, item := range items {
			if err := exact(item, t.Elem()); err != nil {
				return err
			}
		}
	case reflect.Struct:
		var members map[string]json.RawMessage
		if json.Unmarshal(raw, &members) != nil {
			return nil // a time, or another that is written as a text
		}
		names := fieldNames(t)
		for _, name := range slices.Sorted(maps.Keys(members)) {
			i := slices.Index(names, name)
			if i < 0 {
				return unknownField(name, names)
			}
			if err := exact(members[name], t.Field(i).Type); err != nil {
				return err
			}
		}
	}
	return nil
}

func unknownField(name string, names []string) error {
	hint := ""
	if near := catalog.Suggest(name, names); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
	}
	return tocsin.Invalid(cut(name), "unknown field%s", hint)
}

// unreadable says what is wrong with an object, by what its decoder said.
func unreadable(err error, names []string) error {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		if kind.Field == "" {
			return tocsin.Errorf(tocsin.CodeMalformed, "want a JSON object, not %s", article(kind.Value))
		}
		return tocsin.Invalid(kind.Field, "want %s, not %s", wanted(kind.Type), article(kind.Value))
	}
	if quoted, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return unknownField(strings.Trim(quoted, `"`), names)
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF) {
		return tocsin.Errorf(tocsin.CodeMalformed, "reading JSON: %w", err)
	}
	return tocsin.Errorf(tocsin.CodeInvalid, "%w", err) // a text that is no duration, no time
}

func article(word string) string {
	if strings.ContainsRune("aeiou", rune(word[0])) {
		return "an " + word
	}
	return "a " + word
}

// wanted names a type as JSON does.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return wanted(t.Elem())
	case reflect.Slice:
		return "a list"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Float64:
		return "a number"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "a text"
}

// fieldNames returns the JSON names of a struct's fields.
func fieldNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}
