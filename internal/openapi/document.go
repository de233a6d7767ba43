package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// resource is what the document is called where its schemas refer to each other.
const resource = "openapi.json"

// Document is an OpenAPI 3.1 document. It is safe for concurrent use.
type Document struct {
	tree map[string]any
	// paths are the templates, those with the most fixed segments first.
	paths []string

	mu       sync.Mutex
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
}

// Parse reads a document, YAML or JSON. It returns an error when it cannot be read.
func Parse(raw []byte) (*Document, error) {
	var loose any
	if err := yaml.Unmarshal(raw, &loose); err != nil {
		return nil, fmt.Errorf("reading OpenAPI document: %w", err)
	}
	plain, err := json.Marshal(loose)
	if err != nil {
		return nil, fmt.Errorf("reading OpenAPI document: %w", err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(plain))
	if err != nil {
		return nil, fmt.Errorf("reading OpenAPI document: %w", err)
	}
	tree, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("reading OpenAPI document: got %T, want an object", value)
	}
	d := &Document{tree: tree, compiled: map[string]*jsonschema.Schema{}}
	closer{d}.close()
	d.compiler = jsonschema.NewCompiler()
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource(resource, d.tree); err != nil {
		return nil, fmt.Errorf("reading OpenAPI document: %w", err)
	}
	paths, _ := tree["paths"].(map[string]any)
	d.paths = slices.SortedFunc(maps.Keys(paths), func(a, b string) int {
		if n := strings.Count(a, "{") - strings.Count(b, "{"); n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	return d, nil
}

// Tree is the document as plain JSON values, with what is not said about further
// properties filled in. It must not be changed.
func (d *Document) Tree() map[string]any { return d.tree }

// Operation is one method of one path.
type Operation struct {
	doc *Document
	// Method and Path are the operation's, Path with its parameters in braces.
	Method, Path string
	// pointer leads to the operation in the document.
	pointer string
	// Values are the path's parameters as a request had them, unescaped.
	Values map[string]string
}

var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

// Operations returns all operations, by path and method.
func (d *Document) Operations() []Operation {
	var all []Operation
	for _, path := range slices.Sorted(slices.Values(d.paths)) {
		item, _ := d.at("#/paths/" + escape(path)).(map[string]any)
		for _, method := range slices.Sorted(maps.Keys(item)) {
			if slices.Contains(methods, method) {
				all = append(all, Operation{doc: d, Method: strings.ToUpper(method), Path: path, pointer: "#/paths/" + escape(path) + "/" + method})
			}
		}
	}
	return all
}

// at returns what a pointer ("#/components/…") leads to, following references; nil for
// nothing.
func (d *Document) at(pointer string) any {
	v := d.raw(d.canonical(pointer))
	for range 10 { // a circle of references leads nowhere
		ref, ok := mapOf(v)["$ref"].(string)
		if !ok {
			return v
		}
		v = d.raw(d.canonical(ref))
	}
	return nil
}

// schema compiles what a pointer leads to.
func (d *Document) schema(pointer string) (*jsonschema.Schema, error) {
	pointer = d.canonical(pointer)
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.compiled[pointer]; s != nil {
		return s, nil
	}
	s, err := d.compiler.Compile(resource + pointer)
	if err != nil {
		return nil, fmt.Errorf("compiling schema %s: %w", pointer, err)
	}
	d.compiled[pointer] = s
	return s, nil
}

// canonical is a pointer to the same that goes through no reference, which the compiler
// would not follow. The last step may be one.
func (d *Document) canonical(pointer string) string {
	so := "#"
	for _, part := range strings.Split(pointer, "/")[1:] {
		here := mapOf(d.raw(so))
		if ref, ok := here["$ref"].(string); ok && here[unescape(part)] == nil {
			so = d.canonical(ref)
		}
		so += "/" + part
	}
	return so
}

// raw returns what is at a pointer, nil for nothing.
func (d *Document) raw(pointer string) any {
	var at any = d.tree
	for _, part := range strings.Split(pointer, "/")[1:] {
		if list, ok := at.([]any); ok {
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(list) {
				return nil
			}
			at = list[i]
			continue
		}
		at = mapOf(at)[unescape(part)]
	}
	return at
}

func escape(part string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(part) }
func unescape(part string) string {
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
}
