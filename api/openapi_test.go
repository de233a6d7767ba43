package api_test

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/tocsin-alerts/tocsin/api"
)

// document is openapi.yaml as plain JSON values.
var document = sync.OnceValue(func() map[string]any {
	var tree any
	if err := yaml.Unmarshal(api.Document(), &tree); err != nil {
		panic(err)
	}
	raw, err := json.Marshal(tree)
	if err != nil {
		panic(err)
	}
	plain, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		panic(err)
	}
	return plain.(map[string]any)
})

var methods = []string{"get", "post", "put", "patch", "delete"}

func TestDocumentAndRoutesAgree(t *testing.T) {
	var documented []string
	for path, item := range document()["paths"].(map[string]any) {
		for method := range item.(map[string]any) {
			if slices.Contains(methods, method) {
				documented = append(documented, strings.ToUpper(method)+" "+path)
			}
		}
	}
	routes := api.Routes()
	slices.Sort(documented)
	slices.Sort(routes)
	if diff := cmp.Diff(routes, documented); diff != "" {
		t.Errorf("routes (-) and openapi.yaml (+) differ:\n%s", diff)
	}
}

func TestDocumentIsSound(t *testing.T) {
	doc := document()
	if got := doc["openapi"]; got != "3.1.0" {
		t.Errorf("got version %v", got)
	}
	ids := map[string]bool{}
	for path, item := range doc["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			if !slices.Contains(methods, method) {
				continue
			}
			id, _ := op.(map[string]any)["operationId"].(string)
			if id == "" || ids[id] {
				t.Errorf("%s %s: operationId %q is missing or there twice", method, path, id)
			}
			ids[id] = true
		}
	}
	// Every reference leads somewhere, and every schema compiles.
	walk(doc, func(ref string) {
		if resolve(ref) == nil {
			t.Errorf("%s leads nowhere", ref)
		}
	})
	for name := range doc["components"].(map[string]any)["schemas"].(map[string]any) {
		if _, err := compiler().Compile("openapi.json#/components/schemas/" + name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func walk(v any, visit func(ref string)) {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			visit(ref)
		}
		for _, item := range v {
			walk(item, visit)
		}
	case []any:
		for _, item := range v {
			walk(item, visit)
		}
	}
}

func resolve(ref string) any {
	var at any = document()
	for _, part := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		m, _ := at.(map[string]any)
		at = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	return at
}

func compiler() *jsonschema.Compiler {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("openapi.json", document()); err != nil {
		panic(err)
	}
	return c
}

// schemas caches compiled schemas by their pointer in the document.
var schemas sync.Map

// checkAnswer holds an answer against what the document says about its route, status
// and content type.
func checkAnswer(t *testing.T, method, path string, resp *http.Response, body []byte) {
	t.Helper()
	pointer, media := documented(method, path, resp)
	if pointer == "" {
		if media != "" {
			t.Errorf("%s %s: %s", method, path, media)
		}
		return
	}
	if !strings.HasSuffix(media, "json") {
		return
	}
	cached, ok := schemas.Load(pointer)
	if !ok {
		compiled, err := compiler().Compile("openapi.json#" + pointer)
		if err != nil {
			t.Fatalf("%s: %v", pointer, err)
		}
		cached, _ = schemas.LoadOrStore(pointer, compiled)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%s %s: %v in %s", method, path, err, body)
	}
	if err := cached.(*jsonschema.Schema).Validate(value); err != nil {
		t.Errorf("%s %s: the answer is not what openapi.yaml says: %v\n%s", method, path, err, body)
	}
}

// documented returns the pointer of an answer's schema. Without one, the second value
// says what is wrong, or is "" when nothing is.
func documented(method, path string, resp *http.Response) (pointer, media string) {
	path, _, _ = strings.Cut(path, "?")
	template := "" // no two match: static segments tell them apart
	for candidate := range document()["paths"].(map[string]any) {
		if matches(candidate, path) {
			template = candidate
		}
	}
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	at := "/paths/" + escape.Replace(template) + "/" + strings.ToLower(method)
	if template == "" || resolve("#"+at) == nil {
		return "", "" // no such route: answered by 404 or 405
	}
	at += "/responses/" + strconv.Itoa(resp.StatusCode)
	response, _ := resolve("#" + at).(map[string]any)
	if response == nil {
		if resp.StatusCode == http.StatusInternalServerError {
			return "", "" // no route plans for that
		}
		return "", "status " + strconv.Itoa(resp.StatusCode) + " is not documented"
	}
	if ref, ok := response["$ref"].(string); ok {
		at = strings.TrimPrefix(ref, "#")
		response, _ = resolve(ref).(map[string]any)
	}
	content, _ := response["content"].(map[string]any)
	if content == nil {
		return "", ""
	}
	media, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if content[media] == nil {
		return "", "content type " + media + " is not documented"
	}
	return at + "/content/" + escape.Replace(media) + "/schema", media
}

func matches(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		if want[i] != got[i] && !strings.HasPrefix(want[i], "{") {
			return false
		}
	}
	return true
}
