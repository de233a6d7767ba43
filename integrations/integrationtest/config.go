package integrationtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	tocsin "github.com/tocsin-alerts/tocsin"
)

func testConfig(t *testing.T, s Spec) {
	server := accepting(t, s)
	o := s.open(t, client(t, 0), server.URL)
	if err := o.Validate(bg(t), o.config); err != nil {
		t.Errorf("Validate of the spec's configuration: %v", err)
	}
	again, generated, err := o.Complete(o.config)
	if err != nil || len(generated) != 0 {
		t.Errorf("Complete of a complete configuration: generated %q, error %v; want none", generated, err)
	}
	if diff := cmp.Diff(decode(t, o.config), decode(t, again)); diff != "" {
		t.Errorf("Complete changes a complete configuration (-want +got):\n%s", diff)
	}
	for _, secret := range s.Secrets {
		if !bytes.Contains(o.config, []byte(secret)) {
			t.Errorf("the spec's configuration does not contain the secret %q: the suite would prove nothing", secret)
		}
	}
	for _, bad := range []string{`[]`, `"x"`, `3`, `true`, `{`} {
		_, _, err := o.Complete(json.RawMessage(bad))
		verr := o.Validate(bg(t), json.RawMessage(bad))
		if tocsin.CodeOf(err) != tocsin.CodeInvalid || tocsin.CodeOf(verr) != tocsin.CodeInvalid {
			t.Errorf("configuration %s: Complete: %v, Validate: %v; want both invalid", bad, err, verr)
		}
	}
	if err := o.Validate(bg(t), json.RawMessage(`{}`)); tocsin.CodeOf(err) != tocsin.CodeInvalid {
		t.Errorf("an empty configuration: got %v, want invalid", err)
	}
	if _, err := o.Open(json.RawMessage(`{}`)); err == nil {
		t.Error("Open of an empty configuration: want an error")
	}
}

func testSchema(t *testing.T, s Spec) {
	o := s.open(t, client(t, 0), s.somewhere())
	doc := decode(t, o.Schema())
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("channel.json", doc); err != nil {
		t.Fatalf("reading the schema: %v", err)
	}
	compiled, err := compiler.Compile("channel.json")
	if err != nil {
		t.Fatalf("compiling the schema: %v", err)
	}
	public, err := o.Public(o.config)
	if err != nil {
		t.Fatalf("Public: %v", err)
	}
	complete := decode(t, o.config)
	if err := compiled.Validate(complete); err != nil {
		t.Errorf("the complete configuration is not of the schema: %v", err)
	}
	hidden := compareRedacted(t, "config", doc.(map[string]any), complete, decode(t, public))
	if hidden == 0 {
		t.Error("the spec's configuration has no write-only value: the suite would prove nothing")
	}
	noSecret(t, s, "Public", string(public))
}

// compareRedacted checks that exactly what the schema calls writeOnly is redacted. It
// returns how many values were.
func compareRedacted(t *testing.T, path string, schema map[string]any, full, public any) int {
	t.Helper()
	if object, ok := full.(map[string]any); ok {
		shown, _ := public.(map[string]any)
		if len(shown) != len(object) {
			t.Errorf("%s: %d keys in public, want %d", path, len(shown), len(object))
		}
		n := 0
		for key, value := range object {
			n += compareRedacted(t, path+"."+key, property(schema, key), value, shown[key])
		}
		return n
	}
	writeOnly := schema["writeOnly"] == true
	redacted := public == tocsin.Redacted
	if list, ok := public.([]any); ok && writeOnly {
		redacted = !slices.ContainsFunc(list, func(v any) bool { return v != tocsin.Redacted })
	}
	switch {
	case writeOnly && !redacted:
		t.Errorf("%s is writeOnly in the schema and not redacted", path)
	case !writeOnly && !cmp.Equal(full, public):
		t.Errorf("%s is changed in public, and not writeOnly in the schema", path)
	}
	if writeOnly {
		return 1
	}
	return 0
}

// property is the schema of one key.
func property(schema map[string]any, key string) map[string]any {
	if properties, ok := schema["properties"].(map[string]any); ok {
		if p, ok := properties[key].(map[string]any); ok {
			return p
		}
	}
	p, _ := schema["additionalProperties"].(map[string]any)
	return p
}

func testUnknownKeys(t *testing.T, s Spec) {
	server := accepting(t, s)
	o := s.open(t, client(t, 0), server.URL)
	properties := decode(t, o.Schema()).(map[string]any)["properties"].(map[string]any)
	for key := range properties {
		config := decode(t, o.config).(map[string]any)
		config[key+"x"] = "v"
		wantField(t, o, config, "config."+key+"x", fmt.Sprintf("did you mean %q?", key))
	}
	config := decode(t, o.config).(map[string]any)
	config["zzzzzzzzzzzz"] = "v"
	wantField(t, o, config, "config.zzzzzzzzzzzz", "allowed: ")
	for key := range properties {
		config := decode(t, o.config).(map[string]any)
		config[key] = 3.5
		wantField(t, o, config, "config."+key, "got a number")
	}
}

// wantField checks that Validate complains about a field in certain words, and shows
// no secret while doing so.
func wantField(t *testing.T, o opened, config any, field, words string) {
	t.Helper()
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	err = o.Validate(bg(t), text)
	invalid, ok := err.(*tocsin.Error)
	if !ok || invalid.Code != tocsin.CodeInvalid {
		t.Errorf("%s: got %v, want an *Error with CodeInvalid", field, err)
		return
	}
	if !slices.ContainsFunc(invalid.Fields, func(f tocsin.FieldError) bool {
		return f.Field == field && strings.Contains(f.Message, words)
	}) {
		t.Errorf("got %v, want something about %s with %q", err, field, words)
	}
}

func decode(t *testing.T, text []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("reading JSON %.200q: %v", text, err)
	}
	return v
}
