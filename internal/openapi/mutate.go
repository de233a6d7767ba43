package openapi

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Mutated makes a request that is as documented but for one thing, or a few.
func (s *Sampler) Mutated(op Operation) Request {
	d := s.draft(op)
	for range 1 + s.Rand.IntN(2) {
		pick(s.Rand, mutations)(s, d)
	}
	return d.request()
}

// mutations are what can be wrong with a request. Those of values come several times, as
// there are the most of them.
var mutations = []func(*Sampler, *draft){
	(*Sampler).mutateValue, (*Sampler).mutateValue, (*Sampler).mutateValue, (*Sampler).mutateValue,
	(*Sampler).mutateQuery, (*Sampler).mutateQuery, (*Sampler).mutatePath, (*Sampler).mutateText, (*Sampler).mutateHeader, (*Sampler).mutateMethod,
}

// texts are odd ones: empty, blank, invisible, right to left, split characters, of other
// types, of other languages, durations and times out of range, long.
var texts = []string{
	"", " ", "\x00", "a\x00b", "\u202e\u2066x", "\ufeffx", "a\nb\r\nc", "\t", "\x1b[31m", "\u00e9\u0301", "🧨🏳️‍🌈", "\ufffd", "null", "true", "-1", "[redacted]", "none", "all",
	"../../etc/passwd", "%00", "%2F", "' OR 1=1 --", "{{.}}", "{{", "${env:HOME}", "<script>", "1e999", "0x10", "NaN", "9999999999h", "-5m", "15", "0001-01-01T00:00:00Z",
	"9999-12-31T23:59:59Z", "2026-13-45T99:99:99Z", "2026-01-01", "2026-01-01T00:00:00,5+99:00", "wh_x", "tk_x", "custom.", "custom.\u0000", "pipeline", "severity ==", "data.a.b.c > 1",
	strings.Repeat("x", 300), strings.Repeat("é", 5000), strings.Repeat("[", 3000), strings.Repeat("(", 200) + strings.Repeat(")", 200),
}

// values are odd ones that are no texts, as JSON.
var values = []string{
	"null", "true", "false", "0", "-1", "1.5", "1e3", "1e999", "-0", "9223372036854775808", "99999999999999999999999999", "0.1e-400", "[]", "{}", "[null]", `[[]]`, `{"":null}`, `{"a":{"a":{"a":1}}}`,
	`"\ud800"`, `"\u0000"`, `[1,"1",true,null,{},[]]`, `{"type":"threat","type":7}`, strings.Repeat("[", 500) + strings.Repeat("]", 500), `{"__proto__":{}}`,
}

func (s *Sampler) odd() any {
	if s.Rand.IntN(2) == 0 {
		return pick(s.Rand, texts)
	}
	return json.RawMessage(pick(s.Rand, values))
}

// mutateValue changes one place in the body: its value, whether it is there, its name.
func (s *Sampler) mutateValue(d *draft) {
	if d.body == nil {
		d.body = s.odd()
		d.header.Set("Content-Type", "application/json")
		return
	}
	d.body = s.change(d.body, s.Rand.IntN(size(d.body)))
}

// size is how many values there are in one.
func size(v any) int {
	n := 1
	for _, item := range mapOf(v) {
		n += size(item)
	}
	for _, item := range listOf(v) {
		n += size(item)
	}
	return n
}

// change returns v with the nth value in it changed.
func (s *Sampler) change(v any, nth int) any {
	if nth == 0 {
		return s.changed(v)
	}
	nth--
	switch v := v.(type) {
	case map[string]any:
		out := maps.Clone(v)
		for _, key := range slices.Sorted(maps.Keys(v)) {
			n := size(v[key])
			switch {
			case nth == 0 && s.Rand.IntN(4) == 0:
				delete(out, key)
				return out
			case nth < n:
				out[key] = s.change(v[key], nth)
				return out
			}
			nth -= n
		}
	case []any:
		out := slices.Clone(v)
		for i := range v {
			n := size(v[i])
			if nth < n {
				out[i] = s.change(v[i], nth)
				return out
			}
			nth -= n
		}
	}
	return v
}

// changed is another value, or the same with more in it.
func (s *Sampler) changed(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if s.Rand.IntN(2) == 0 {
			out := maps.Clone(v)
			out[pick(s.Rand, append(texts[:8:8], "extra", "id", "version", "Name"))] = s.odd()
			return out
		}
	case []any:
		if len(v) > 0 && s.Rand.IntN(2) == 0 {
			return slices.Repeat(v, 1+s.Rand.IntN(1200)/len(v))
		}
	}
	return s.odd()
}

func (s *Sampler) mutateQuery(d *draft) {
	name := "extra"
	if all := d.op.Parameters(); len(all) > 0 && s.Rand.IntN(4) > 0 {
		name = pick(s.Rand, all).Name
	}
	switch s.Rand.IntN(5) {
	case 0:
		d.query = append(d.query, name+"=1", name+"=2")
	case 1:
		d.query = append(d.query, pick(s.Rand, []string{name + "=%zz", "%ff=%ff", "&&", ";", "=", name, name + "=%00", name + "=" + strings.Repeat("y", 3000)}))
	default:
		d.query = append(d.query, name+"="+url.QueryEscape(pick(s.Rand, texts)))
	}
}

func (s *Sampler) mutatePath(d *draft) {
	for name := range d.path {
		if text := pick(s.Rand, texts); text != "" && len(text) < 5000 {
			d.path[name] = text
		}
	}
}

// mutateText breaks the text of the body.
func (s *Sampler) mutateText(d *draft) {
	raw := d.request().Body
	cut := 0
	if len(raw) > 0 {
		cut = s.Rand.IntN(len(raw))
	}
	d.raw = slices.Clone(pick(s.Rand, [][]byte{
		raw[:cut], slices.Concat(raw, []byte("}")), slices.Concat([]byte("\xef\xbb\xbf"), raw), slices.Concat(raw[:cut], []byte("\xff\xfe"), raw[cut:]),
		slices.Concat(raw, raw), []byte("null"), []byte("[]"), []byte(`""`), []byte("7"), []byte("\n\n"), []byte(strings.Repeat(`{"a":`, 20_000)), []byte("name: x"),
	}))
	if s.Rand.IntN(20) == 0 {
		d.raw = []byte(`{"name": "` + strings.Repeat("x", 2<<20) + `"}`)
	}
}

func (s *Sampler) mutateHeader(d *draft) {
	name := pick(s.Rand, []string{"Content-Type", "Content-Type", "Content-Encoding", "Authorization", "Accept", "Origin", "Ce-Id", "Ce-Specversion", "Idempotency-Key", "X-Http-Method-Override"})
	d.header.Set(name, pick(s.Rand, []string{
		"", "x", "application/json; charset=utf-16", "application/json; charset", "text/plain", "application/xml", "application/x-ndjson", "application/cloudevents+json",
		"application/cloudevents-batch+json", "application/merge-patch+json", "multipart/form-data; boundary=x", "gzip", "Bearer ", "Bearer tk_wrong", "Basic eDp5", "1.0", "*/*;q=0",
		"https://evil.example.com", "null", "DELETE", strings.Repeat("z", 4000),
	}))
}

func (s *Sampler) mutateMethod(d *draft) {
	d.method = pick(s.Rand, []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, "TRACE", "FROB"})
}

// Rand makes a source of randomness of a seed.
func Rand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, seed)) } // #nosec G404 -- made again from the seed
