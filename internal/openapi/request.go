package openapi

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// request checks a request that was accepted.
func (op Operation) request(x Exchange) error {
	return errors.Join(op.parameters(x.URL, x.Header), op.body(x))
}

// Parameter is one that an operation has.
type Parameter struct {
	Name string
	// In is "path", "query" or "header".
	In       string
	Required bool
	// pointer leads to its schema.
	pointer string
}

// Parameters returns those of the path and of the operation itself.
func (op Operation) Parameters() []Parameter {
	var all []Parameter
	for _, at := range []string{op.pointer[:strings.LastIndex(op.pointer, "/")], op.pointer} {
		for i := range listOf(mapOf(op.doc.at(at))["parameters"]) {
			here := at + "/parameters/" + strconv.Itoa(i)
			p := mapOf(op.doc.at(here))
			name, _ := p["name"].(string)
			in, _ := p["in"].(string)
			required, _ := p["required"].(bool)
			all = append(all, Parameter{Name: name, In: in, Required: required, pointer: here + "/schema"})
		}
	}
	return all
}

// Public reports whether the operation asks for no key at all.
func (op Operation) Public() bool {
	security, said := mapOf(op.doc.at(op.pointer))["security"].([]any)
	open := func(way any) bool { return len(mapOf(way)) == 0 }
	return said && (len(security) == 0 || slices.ContainsFunc(security, open))
}

func (op Operation) parameters(u *url.URL, header http.Header) error {
	query := u.Query()
	var all error
	for _, p := range op.Parameters() {
		text := query.Get(p.Name)
		switch p.In {
		case "path":
			text = op.Values[p.Name]
		case "header":
			text = header.Get(p.Name)
		default:
			delete(query, p.Name)
		}
		switch {
		case text == "" && p.Required:
			all = errors.Join(all, fmt.Errorf("was accepted without the parameter %s", p.Name))
		case text != "":
			all = errors.Join(all, op.doc.valid("the accepted parameter "+p.Name, p.pointer, op.doc.coerce(p.pointer, text)))
		}
	}
	if op.Public() {
		return all // others put parameters of their own on such
	}
	for name := range query {
		all = errors.Join(all, fmt.Errorf("was accepted with the parameter %q, which is not documented", name))
	}
	return all
}

// coerce makes of a text what the schema says it stands for, as far as it can.
func (d *Document) coerce(pointer, text string) any {
	kind, _ := mapOf(d.at(pointer))["type"].(string)
	switch kind {
	case "integer":
		if n, err := strconv.Atoi(text); err == nil {
			return n
		}
	case "boolean":
		if b, err := strconv.ParseBool(text); err == nil {
			return b
		}
	}
	return text
}

// body checks the body of a request.
func (op Operation) body(x Exchange) error {
	described := mapOf(op.doc.at(op.pointer + "/requestBody"))
	required, _ := described["required"].(bool)
	empty := len(bytes.TrimSpace(x.Body)) == 0
	switch {
	case described == nil: // whatever was sent was not read
		return nil
	case empty && required:
		return errors.New("was accepted without a body")
	case empty:
		return nil
	}
	content := mapOf(described["content"])
	media := mediaType(x.Header)
	if media == "" {
		media = "application/json"
	}
	if content[media] == nil {
		if content["*/*"] != nil {
			return nil
		}
		return fmt.Errorf("was accepted with the content type %q, which is not documented", media)
	}
	if !isJSON(media) {
		return nil
	}
	// A byte order mark may be ignored (RFC 8259, section 8.1).
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(bytes.TrimPrefix(x.Body, []byte("\xef\xbb\xbf"))))
	if err != nil {
		return fmt.Errorf("was accepted with a body that is not JSON: %w", err)
	}
	return op.doc.valid("the accepted body", op.pointer+"/requestBody/content/"+escape(media)+"/schema", withoutNulls(value))
}

// withoutNulls leaves out the members that are null.
func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, item := range v {
			if item != nil {
				out[key] = withoutNulls(item)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = withoutNulls(item)
		}
		return out
	}
	return v
}
