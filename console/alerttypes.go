package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

func alertTypesRoutes() []route {
	return []route{
		{pattern: "GET alert-types", do: alertTypes},
		{pattern: "POST alert-types/{type}", do: sendExample},
	}
}

// typeGroup is a category of the catalog.
type typeGroup struct {
	Category, Title string
	Types           []typeView
}

// typeView is an alert type as its page shows it.
type typeView struct {
	catalog.AlertType
	Fields []dataField
	// Sends says that its example may be sent: the others are Tocsin's own.
	Sends bool
	// Curl and Command send the example from a shell.
	Curl, Command string
}

// dataField is one field of data by its schema.
type dataField struct {
	Name, Type, Text string
	Required         bool
}

func alertTypes(p *request) error {
	var types list[catalog.AlertType]
	if err := p.get("/v1/alert-types", &types); err != nil {
		return err
	}
	var groups []typeGroup
	for _, t := range types.Items {
		if n := len(groups); n == 0 || groups[n-1].Category != t.Category {
			groups = append(groups, typeGroup{Category: t.Category, Title: categoryTitles[t.Category]})
		}
		group := &groups[len(groups)-1]
		group.Types = append(group.Types, p.viewType(t))
	}
	return p.show("alert-types", "alerttypes", "Alert types", groups)
}

func (p *request) viewType(t catalog.AlertType) typeView {
	v := typeView{AlertType: t, Fields: fieldsOf(t.Schema), Sends: t.Category != catalog.CategoryPipeline}
	example, err := fresh(t.Example, "example-1")
	if err != nil {
		return v // an example that is no object has no command
	}
	compacted := shellQuote(string(example))
	key := ""
	if !p.console.Open {
		key = " \\\n  -H \"Authorization: Bearer $TOCSIN_API_KEY\""
	}
	v.Curl = "curl " + p.publicURL() + "/v1/events" + key + " \\\n  -H 'Content-Type: application/json' \\\n  -d " + compacted
	v.Command = "printf %s " + compacted + " |\n  tocsin events send -"
	return v
}

// shellQuote is a text as one word of a shell.
func shellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// fieldsOf is a schema of data as a table; nested objects follow with their path.
func fieldsOf(raw json.RawMessage) []dataField {
	var s fieldSchema
	if json.Unmarshal(raw, &s) != nil {
		return nil
	}
	return s.fields("", nil)
}

// fieldSchema is what is said in a table of a schema.
type fieldSchema struct {
	schema
	Values     []any                   `json:"enum"`
	Format     string                  `json:"format"`
	Items      *fieldSchema            `json:"items"`
	Properties map[string]*fieldSchema `json:"properties"`
}

// UnmarshalJSON reads both readings of a schema.
func (s *fieldSchema) UnmarshalJSON(b []byte) error {
	if err := json.Unmarshal(b, &s.schema); err != nil {
		return err
	}
	type more struct {
		Values     []any                   `json:"enum"`
		Format     string                  `json:"format"`
		Items      *fieldSchema            `json:"items"`
		Properties map[string]*fieldSchema `json:"properties"`
	}
	var m more
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	s.Values, s.Format, s.Items, s.Properties = m.Values, m.Format, m.Items, m.Properties
	return nil
}

func (s *fieldSchema) fields(path string, all []dataField) []dataField {
	for _, p := range s.schema.Properties { // in the author's order
		one := s.Properties[p.Name]
		at := path + p.Name
		all = append(all, dataField{at, one.kindText(), one.Description, slices.Contains(s.Required, p.Name)})
		all = one.fields(at+".", all)
		if one.Items != nil {
			all = one.Items.fields(at+"[].", all)
		}
	}
	return all
}

// kindText is the type in words.
func (s *fieldSchema) kindText() string {
	text := strings.Join(s.Type, " or ")
	switch {
	case len(s.Values) > 0:
		var values []string
		for _, v := range s.Values {
			values = append(values, valueText(v))
		}
		text = "one of " + strings.Join(values, ", ")
	case s.Items != nil && len(s.Items.Type) > 0:
		text = "list of " + strings.Join(s.Items.Type, " or ")
	case s.Format != "":
		text += ", " + s.Format
	}
	if text == "" {
		text = "anything"
	}
	return text
}

// fresh is an example as a new event: with an id of its own, and the receipt as its time.
func fresh(example json.RawMessage, id string) (json.RawMessage, error) {
	var event struct {
		members []string
		values  map[string]json.RawMessage
	}
	d := json.NewDecoder(bytes.NewReader(example))
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("reading example: %w", err)
	}
	event.values = map[string]json.RawMessage{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("reading example: %w", err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("reading example: %w", err)
		}
		if name != "time" {
			event.members = append(event.members, fmt.Sprint(name))
			event.values[fmt.Sprint(name)] = value
		}
	}
	event.values["id"] = json.RawMessage(encode(id, ""))
	var b bytes.Buffer
	b.WriteByte('{')
	for i, name := range event.members {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(encode(name, "") + ":")
		if err := json.Compact(&b, event.values[name]); err != nil {
			return nil, fmt.Errorf("reading example: %w", err)
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// sendExample sends a type's example as a new event.
func sendExample(p *request) error {
	var types list[catalog.AlertType]
	if err := p.get("/v1/alert-types", &types); err != nil {
		return err
	}
	i := slices.IndexFunc(types.Items, func(t catalog.AlertType) bool { return t.Type == p.PathValue("type") })
	if i < 0 {
		return &Problem{Title: "There is no such thing", Status: http.StatusNotFound, Code: tocsin.CodeNotFound, Detail: "The catalog has no alert type of that name."}
	}
	event, err := fresh(types.Items[i].Example, "console-"+tocsin.NewID("ev"))
	if err != nil {
		return err
	}
	if err := p.send("POST", "/v1/events", event, nil); err != nil {
		return err
	}
	var sent struct{ Source, ID string }
	if err := json.Unmarshal(event, &sent); err != nil {
		return fmt.Errorf("reading example: %w", err)
	}
	return p.done(to("events", sent.Source, sent.ID), "The example is accepted. Below is what each webhook makes of it.")
}
