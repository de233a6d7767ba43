package catalog

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin"
)

// judge asks the library alone, as Validate does after the shape.
func judge(c *Catalog, name string, data []byte) error {
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	return c.schemas[name].Validate(v)
}

// The examples are what producers send: they must go the quick way.
func TestShapesAcceptTheExamples(t *testing.T) {
	c := Default()
	for _, a := range c.Types() {
		var e tocsin.Event
		if err := json.Unmarshal(a.Example, &e); err != nil {
			t.Fatal(err)
		}
		if !c.shapes[a.Type].accepts(e.Data) {
			t.Errorf("%s: the example is left to the library", a.Type)
		}
	}
}

func TestShapesAreUnsureOfTheRest(t *testing.T) {
	for _, row := range []struct{ schema, data string }{
		{`{"type":"object"}`, `{`}, {`{"type":"object"}`, `{} {}`}, {`{"type":"object"}`, "{}\x00"}, {`{"type":"object"}`, `[]`},
		{`{"type":"integer"}`, `1.0`}, {`{"type":"integer"}`, `1e3`}, {`{"type":"integer"}`, `"1"`}, {`{"type":["integer","string"]}`, `null`},
		{`{"type":"integer","minimum":0}`, `-1`}, {`{"minimum":2.5}`, `2.4`}, {`{"type":"number"}`, `1e999`},
		{`{"type":"string","minLength":1}`, `""`}, {`{"enum":["a"]}`, `"b"`}, {`{"enum":["a"]}`, `"\u0061"`}, {`{"enum":["a"]}`, `1`},
		{`{"format":"date-time"}`, `"yesterday"`}, {`{"format":"date-time"}`, `"2026-02-28T1:00:00Z"`}, {`{"format":"date-time"}`, `"2026-02-28T01:00:00,5Z"`},
		{`{"format":"date-time"}`, `"2026-02-28T01:00:00.Z"`}, {`{"format":"date-time"}`, `"2026-02-28T01:00:00+24:00"`}, {`{"format":"date-time"}`, `"2026-02-28T01:00:00.5"`}, {`{"format":"date-time"}`, `"2026-02-30T00:00:00Z"`},
		{`{"type":"array","minItems":1}`, `[]`}, {`{"items":{"type":"string"}}`, `["a",1]`},
		{`{"required":["a"]}`, `{}`}, {`{"properties":{"a":{"type":"string"}}}`, `{"a":"x","a":1}`},
		{`{"properties":{"a":{"type":"string"}}}`, `{"a":"x","\u0061":1}`},
		{`{"anyOf":[{"required":["a"]},{"required":["b","c"]}]}`, `{"b":1}`},
		{`{}`, strings.Repeat("[", 200) + strings.Repeat("]", 200)}, {`{"items":{}}`, strings.Repeat("[", 200) + strings.Repeat("]", 200)},
	} {
		sh, err := newShape(json.RawMessage(row.schema))
		if err != nil {
			t.Errorf("%s: %v", row.schema, err)
			continue
		}
		if sh.accepts([]byte(row.data)) {
			t.Errorf("%s accepts %.60q", row.schema, row.data)
		}
	}
}

func TestShapesAccept(t *testing.T) {
	for _, row := range []struct{ schema, data string }{
		{`{}`, ` [1, {"a": null}] `}, {`{"type":["number","null"]}`, `null`}, {`{"type":"number"}`, `-1.5e3`}, {`{"type":"integer","minimum":0}`, `-0`},
		{`{"enum":["a","b"]}`, `"b"`}, {`{"format":"date-time"}`, `"2026-02-28T00:00:00.5+02:00"`}, {`{"type":"array","minItems":1}`, `[1]`},
		{`{"anyOf":[{"required":["a"]},{"required":["b","c"]}]}`, `{"b":1,"c":2}`}, {`{"required":["a"]}`, `{"x":"\\","a":1}`},
	} {
		sh, err := newShape(json.RawMessage(row.schema))
		if err != nil || !sh.accepts([]byte(row.data)) {
			t.Errorf("%s does not accept %s (%v)", row.schema, row.data, err)
		}
	}
}

// A keyword that is not understood must not be passed over.
func TestShapesOfUnknownSchemas(t *testing.T) {
	for _, schema := range []string{
		`{"maximum":1}`, `{"minLength":2}`, `{"format":"uri"}`, `{"type":"any"}`, `{"enum":[1]}`, `{"type":"string","enum":["a"]}`, `{"properties":{"a":{"pattern":"x"}}}`,
		`{"items":{"const":1}}`, `{"anyOf":[{"type":"string"}]}`, `true`, `{"type":7}`,
	} {
		if _, err := newShape(json.RawMessage(schema)); err == nil {
			t.Errorf("%s has a shape", schema)
		}
	}
}

// FuzzShape holds shapes against the library: what a shape accepts is valid.
func FuzzShape(f *testing.F) {
	types := Default().Types()
	for i, a := range types {
		var e struct{ Data json.RawMessage }
		if err := json.Unmarshal(a.Example, &e); err != nil {
			f.Fatal(err)
		}
		f.Add(i, []byte(e.Data))
		f.Add(i+1, []byte(e.Data)) // what another type makes of it
		f.Add(i, []byte(strings.Replace(string(e.Data), `":"`, `":"2026-12-31T23:59:60Z`, 1)))
		f.Add(i, []byte(strings.Replace(string(e.Data), `,"`, `,"\u0061`, 1)))
	}
	f.Fuzz(func(t *testing.T, i int, data []byte) {
		name := types[uint(i)%uint(len(types))].Type
		if !Default().shapes[name].accepts(data) {
			return
		}
		if err := judge(Default(), name, data); err != nil {
			t.Fatalf("%s: the shape accepts %q, the library does not: %v", name, data, err)
		}
	})
}
