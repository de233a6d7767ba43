package console

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tocsin-alerts/tocsin/catalog"
)

// How a form chooses events.
const (
	eventsAll  = "all"  // an empty list
	eventsSome = "some" // what is checked
	eventsNone = "none" // only as another's fallback or escalation
)

// eventsView is the form's choice of events.
type eventsView struct {
	Mode   string
	Error  string
	Groups []eventGroup
	// Others are entries that the catalog has no box for: custom types, and second ones.
	Others []eventBox
	Focus  bool
}

// eventGroup is a category with its types.
type eventGroup struct {
	eventBox
	Types []eventBox
}

// eventBox is one box, with the collections that narrow it.
type eventBox struct {
	Type, Title, Text, Collections, Error string
	Checked                               bool
}

func modeOf(events any) string {
	items, _ := events.([]any)
	switch {
	case len(items) == 0:
		return eventsAll
	case len(items) == 1 && items[0] == "none":
		return eventsNone
	}
	return eventsSome
}

// categoryTitles are what categories are called beside their word.
var categoryTitles = map[string]string{
	"discovery": "Discovery", "security": "Security", "operational": "Operational", "threat": "Threats",
	"inventory": "Inventory", "testing": "Testing", "pipeline": "Tocsin's own", "custom": "Custom types",
}

// viewEvents puts a draft's selectors into the boxes of the catalog.
func (d *draft) viewEvents(errors map[string]string) eventsView {
	view := eventsView{Mode: d.eventMode, Error: errors["events"], Focus: d.build.focus == "events"}
	boxes := map[string]*eventBox{}
	for _, t := range d.types {
		if n := len(view.Groups); n == 0 || view.Groups[n-1].Type != t.Category {
			view.Groups = append(view.Groups, newGroup(t.Category))
		}
		group := &view.Groups[len(view.Groups)-1]
		group.Types = append(group.Types, eventBox{Type: t.Type, Title: t.Title, Text: t.Description})
	}
	view.Groups = append(view.Groups, newGroup(catalog.CategoryCustom))
	for i := range view.Groups {
		group := &view.Groups[i]
		boxes[group.Type] = &group.eventBox
		for k := range group.Types {
			boxes[group.Types[k].Type] = &group.Types[k]
		}
	}
	items, _ := d.doc["events"].([]any)
	for i, item := range items {
		name, collections := selectorOf(item)
		box := boxes[name]
		if box == nil || box.Checked {
			view.Others = append(view.Others, eventBox{Type: name})
			box = &view.Others[len(view.Others)-1]
		}
		box.Checked, box.Collections = true, listText(collections)
		if box.Error = errors[fmt.Sprintf("events[%d]", i)]; box.Error == "" {
			box.Error = errors[fmt.Sprintf("events[%d].collections", i)]
		}
	}
	if d.eventMode == eventsNone {
		view.Others = nil
	}
	for range d.build.more["events"] {
		view.Others = append(view.Others, eventBox{})
	}
	return view
}

func newGroup(category string) eventGroup {
	return eventGroup{eventBox: eventBox{Type: category, Title: categoryTitles[category] + ", all of it"}}
}

// selectorOf takes an entry of events apart.
func selectorOf(item any) (name string, collections []string) {
	if name, ok := item.(string); ok {
		return name, nil
	}
	m, _ := item.(map[string]any)
	name, _ = m["type"].(string)
	all, _ := m["collections"].([]any)
	for _, c := range all {
		collections = append(collections, fmt.Sprint(c))
	}
	return name, collections
}

// readEvents reads the choice of events.
func readEvents(r *formReader) (mode string, events []any) {
	mode = r.form.Get("events!mode")
	switch mode {
	case eventsNone:
		return mode, []any{"none"}
	case eventsSome:
	default:
		return eventsAll, []any{}
	}
	add := func(name, collections string) {
		if name = strings.TrimSpace(name); name == "" {
			return
		}
		if list := textList(collections); len(list) > 0 {
			events = append(events, map[string]any{"type": name, "collections": list})
		} else {
			events = append(events, name)
		}
	}
	for _, name := range r.form["events"] {
		add(name, r.form.Get("events!"+name))
	}
	at := place{"events", "events"}
	for i := range r.rows(at) {
		if row := at.item(i).name; row != r.gone {
			add(r.form.Get(row+"!key"), r.form.Get(row))
		}
	}
	if len(events) == 0 {
		// The API takes an empty list for all, which is the opposite of what is shown.
		r.wrong(at, "choose at least one, or everything")
	}
	return mode, events
}

// inOrder gives entries the order they had, so that nothing differs that nobody changed.
func inOrder(base any, events []any) []any {
	old, _ := base.([]any)
	rank := func(v any) int {
		if i := slices.IndexFunc(old, func(o any) bool { return sameValue(o, v) }); i >= 0 {
			return i
		}
		return len(old)
	}
	slices.SortStableFunc(events, func(a, b any) int { return rank(a) - rank(b) })
	return events
}

// listText writes a list on one line: with commas, or as JSON where those would mislead.
func listText(list []string) string {
	odd := slices.ContainsFunc(list, func(s string) bool {
		return strings.Contains(s, ",") || strings.TrimSpace(s) != s || s == "" || strings.HasPrefix(s, "[")
	})
	if odd {
		return encode(list, "")
	}
	return strings.Join(list, ", ")
}

// textList reads what listText wrote.
func textList(text string) []any {
	text = strings.TrimSpace(text)
	var list []any
	if strings.HasPrefix(text, "[") && json.Unmarshal([]byte(text), &list) == nil {
		return list
	}
	for one := range strings.SplitSeq(text, ",") {
		if one = strings.TrimSpace(one); one != "" {
			list = append(list, one)
		}
	}
	return list
}
