package openapi

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Request is one that a Sampler made.
type Request struct {
	Method string
	// Target is the path with its query, as it goes over the wire.
	Target string
	Header http.Header
	Body   []byte
}

// Sampler makes requests of operations, from their schemas. It is for one goroutine.
type Sampler struct {
	Rand *rand.Rand
	// Known gives values that mean something to the server, by the id of the operation and the
	// name of the parameter or property; false for those that any value of the schema will
	// do for, and LeftOut for those that are better left out.
	Known func(operation, name string) (value any, ok bool)
}

// LeftOut is what Known returns for what is to be left out.
var LeftOut = new(int)

// ID is the operation's.
func (op Operation) ID() string {
	id, _ := mapOf(op.doc.at(op.pointer))["operationId"].(string)
	return id
}

// Bodies is how many content types a request may have, 0 where it has no body.
func (op Operation) Bodies() int {
	return len(mapOf(mapOf(op.doc.at(op.pointer + "/requestBody"))["content"]))
}

// draft is a request whose parts can still be changed.
type draft struct {
	op     Operation
	method string
	path   map[string]string
	query  []string // name=value, encoded
	header http.Header
	body   any // nil for none
	raw    []byte
}

// Valid makes a request that is as documented.
func (s *Sampler) Valid(op Operation) Request { return s.draft(op).request() }

func (s *Sampler) draft(op Operation) *draft {
	d := &draft{op: op, method: op.Method, path: map[string]string{}, header: http.Header{}}
	for _, p := range op.Parameters() {
		v, ok := s.known(op, p.Name)
		if !ok {
			v = s.value(op, op.doc.at(p.pointer), p.Name, 0)
		}
		text := plain(v)
		switch {
		case p.In == "path":
			d.path[p.Name] = text
		case p.In == "header":
			if v != LeftOut {
				d.header.Set(p.Name, text)
			}
		case v != LeftOut && s.Rand.IntN(3) == 0:
			d.query = append(d.query, p.Name+"="+url.QueryEscape(text))
		}
	}
	described := mapOf(op.doc.at(op.pointer + "/requestBody"))
	content := mapOf(described["content"])
	media := s.media(content)
	required, _ := described["required"].(bool)
	if media == "" || !required && s.Rand.IntN(4) == 0 {
		return d
	}
	d.header.Set("Content-Type", media)
	d.body = s.value(op, mapOf(content[media])["schema"], "", 0)
	return d
}

// media picks one of the JSON content types; "" when there is none.
func (s *Sampler) media(content map[string]any) string {
	var all []string
	for _, m := range slices.Sorted(maps.Keys(content)) {
		// What else is JSON has rules that are not in the schema.
		if m == "application/json" || m == "application/merge-patch+json" {
			all = append(all, m)
		}
	}
	if len(all) == 0 {
		return ""
	}
	return pick(s.Rand, all)
}

func pick[T any](r *rand.Rand, all []T) T { return all[r.IntN(len(all))] }

// plain writes a value as a parameter has it.
func plain(v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(raw)
}

func (d *draft) request() Request {
	parts := strings.Split(d.op.Path, "/")
	for i, part := range parts {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			parts[i] = url.PathEscape(d.path[strings.TrimSuffix(name, "}")])
		}
	}
	target := strings.Join(parts, "/")
	if len(d.query) > 0 {
		target += "?" + strings.Join(d.query, "&")
	}
	r := Request{Method: d.method, Target: target, Header: d.header, Body: d.raw}
	if d.raw == nil && d.body != nil {
		r.Body, _ = json.Marshal(d.body) // what a Sampler makes always encodes
	}
	return r
}

func (s *Sampler) known(op Operation, name string) (any, bool) {
	if s.Known == nil || name == "" {
		return nil, false
	}
	return s.Known(op.ID(), name)
}

// value makes a value of a schema; name is that of the property that it is for.
func (s *Sampler) value(op Operation, schema any, name string, depth int) any {
	if v, ok := s.known(op, name); ok {
		return v
	}
	sc := mapOf(schema)
	if ref, ok := sc["$ref"].(string); ok {
		return s.value(op, op.doc.at(ref), "", depth)
	}
	if all := listOf(sc["enum"]); len(all) > 0 {
		return pick(s.Rand, all)
	}
	if all := listOf(sc["examples"]); len(all) > 0 {
		return pick(s.Rand, all)
	}
	for _, key := range []string{"oneOf", "anyOf"} {
		if all := listOf(sc[key]); len(all) > 0 {
			return s.value(op, pick(s.Rand, all), "", depth)
		}
	}
	kind, _ := sc["type"].(string)
	switch {
	case kind == "object" || sc["properties"] != nil || sc["allOf"] != nil:
		return s.object(op, sc, depth)
	case kind == "array":
		list := []any{}
		for range s.Rand.IntN(3) {
			list = append(list, s.value(op, sc["items"], "", depth+1))
		}
		return list
	}
	return s.scalar(sc, kind)
}

func (s *Sampler) object(op Operation, sc map[string]any, depth int) any {
	out := map[string]any{}
	for _, part := range listOf(sc["allOf"]) {
		maps.Copy(out, mapOf(s.value(op, part, "", depth)))
	}
	required := listOf(sc["required"])
	for _, name := range slices.Sorted(maps.Keys(mapOf(sc["properties"]))) {
		if !slices.Contains(required, any(name)) && (depth > 3 || s.Rand.IntN(3) > 0) {
			continue
		}
		if v := s.value(op, mapOf(sc["properties"])[name], name, depth+1); v != LeftOut {
			out[name] = v
		}
	}
	// What is required may be named by a part of allOf.
	for _, name := range required {
		name, _ := name.(string)
		if v, ok := s.known(op, name); ok && out[name] == nil {
			out[name] = v
		}
	}
	if further := mapOf(sc["additionalProperties"]); further != nil {
		for range s.Rand.IntN(3) {
			out[s.word()] = s.value(op, further, "", depth+1)
		}
	}
	return out
}

func (s *Sampler) scalar(sc map[string]any, kind string) any {
	switch kind {
	case "boolean":
		return s.Rand.IntN(2) == 0
	case "integer", "number":
		low, high := number(sc["minimum"], 0), number(sc["maximum"], 1000)
		return low + s.Rand.Int64N(max(1, high-low+1))
	case "string":
		if sc["format"] == "date-time" {
			return time.Now().Add(time.Duration(s.Rand.IntN(48)-24) * time.Hour).UTC().Format(time.RFC3339)
		}
		if sc["format"] == "uri" {
			return "https://" + s.word() + ".example.com/" + s.word()
		}
		text := s.word()
		return text[:min(len(text), int(number(sc["maxLength"], 100)))]
	}
	return pick(s.Rand, []any{map[string]any{}, s.word(), 7, []any{}, true})
}

func number(v any, otherwise int64) int64 {
	if n, ok := v.(json.Number); ok {
		if i, err := n.Int64(); err == nil {
			return i
		}
	}
	return otherwise
}

// word is one that is hardly ever made twice.
func (s *Sampler) word() string {
	b := make([]byte, 8)
	for i := range b {
		b[i] = byte('a' + s.Rand.IntN(26)) // #nosec G115 -- a letter
	}
	return string(b)
}
