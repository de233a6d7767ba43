package catalog

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/tocsin-alerts/tocsin"
)

//go:embed types/*.json
var typeFiles embed.FS

// CustomPrefix begins the alert types that users make up.
const CustomPrefix = "custom."

// The categories that code outside the catalog speaks of.
const (
	// CategoryPipeline holds what Tocsin says about its own webhooks. It reaches only
	// webhooks that name it, or a type of it.
	CategoryPipeline = "pipeline"
	// CategoryCustom holds every type that begins with [CustomPrefix].
	CategoryCustom = "custom"
)

// categories in the order people read them.
var categories = []string{"discovery", "security", "operational", "threat", "inventory", "testing", CategoryPipeline, CategoryCustom}

// AlertType is one kind of event. Its JSON form is that of GET /v1/alert-types.
type AlertType struct {
	Type            string          `json:"type"`
	Category        string          `json:"category"`
	Title           string          `json:"title"` // in users' words
	Description     string          `json:"description"`
	DefaultSeverity tocsin.Severity `json:"default_severity"`
	Schema          json.RawMessage `json:"schema"`  // of data
	Example         json.RawMessage `json:"example"` // a whole event
}

// Catalog is the set of alert types and the guidance for threats. It is safe for
// concurrent use, but for [Catalog.LoadGuidance].
type Catalog struct {
	types    []AlertType
	byName   map[string]int
	schemas  map[string]*jsonschema.Schema
	shapes   map[string]*shape // say yes to most data, quickly
	guidance guidanceIndex
}

// Default returns the catalog built into the program, read once. Callers that load
// guidance of their own take a [New] one, so that they do not change this.
var Default = sync.OnceValue(New)

// New reads the built-in catalog. It panics when a file in it is broken, which the
// package's tests would have shown.
func New() *Catalog {
	c := &Catalog{byName: map[string]int{}, schemas: map[string]*jsonschema.Schema{}, shapes: map[string]*shape{}}
	files, err := typeFiles.ReadDir("types")
	if err != nil {
		panic(fmt.Sprintf("reading the catalog: %v", err))
	}
	for _, f := range files {
		t, err := readType(f.Name())
		if err != nil {
			panic(fmt.Sprintf("reading the catalog: %s: %v", f.Name(), err))
		}
		c.types = append(c.types, t)
	}
	slices.SortStableFunc(c.types, func(a, b AlertType) int {
		return slices.Index(categories, a.Category) - slices.Index(categories, b.Category)
	})
	for i, t := range c.types {
		c.byName[t.Type] = i
		if c.schemas[t.Type], err = compile(t); err != nil {
			panic(fmt.Sprintf("reading the catalog: schema of %s: %v", t.Type, err))
		}
		if c.shapes[t.Type], err = newShape(t.Schema); err != nil {
			panic(fmt.Sprintf("reading the catalog: shape of %s: %v", t.Type, err))
		}
	}
	c.guidance = builtInGuidance()
	return c
}

func readType(file string) (AlertType, error) {
	text, err := typeFiles.ReadFile("types/" + file)
	if err != nil {
		return AlertType{}, err
	}
	var t AlertType
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&t); err != nil {
		return AlertType{}, err
	}
	t.Type = strings.TrimSuffix(file, ".json")
	if !slices.Contains(categories, t.Category) {
		return AlertType{}, fmt.Errorf("%q is not a category", t.Category)
	}
	return t, nil
}

// Types returns every alert type, by category, then by name.
func (c *Catalog) Types() []AlertType { return slices.Clone(c.types) }

// Lookup finds a type by its name. Types under "custom." are not in the catalog.
func (c *Catalog) Lookup(name string) (AlertType, bool) {
	i, ok := c.byName[name]
	if !ok {
		return AlertType{}, false
	}
	return c.types[i], true
}

// Category returns a type's category: "custom" for types under "custom.", "" for
// unknown ones.
func (c *Catalog) Category(name string) string {
	if i, ok := c.byName[name]; ok {
		return c.types[i].Category
	}
	if IsCustom(name) {
		return CategoryCustom
	}
	return ""
}

// Categories returns every category, in the order people read them.
func (c *Catalog) Categories() []string { return slices.Clone(categories) }

// IsCustom reports whether name is a type that users make up: "custom." and more.
func IsCustom(name string) bool {
	return len(name) > len(CustomPrefix) && strings.HasPrefix(name, CustomPrefix)
}

// DefaultSeverity is what an event counts as when its producer gave no severity: the
// threat filter's, else the type's; info for custom types.
func (c *Catalog) DefaultSeverity(e *tocsin.Event) tocsin.Severity {
	if e.Type == threatType {
		if entry, ok := c.guidance.find(threatFields(e)); ok && entry.Severity != tocsin.SeverityNone {
			return entry.Severity
		}
	}
	if i, ok := c.byName[e.Type]; ok {
		return c.types[i].DefaultSeverity
	}
	return tocsin.SeverityInfo
}
