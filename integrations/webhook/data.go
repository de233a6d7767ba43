package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"text/template"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// templateData is what dot is in a body template. Events are the events' JSON form as
// maps, with every key of an event present.
func templateData(guide *catalog.Catalog, n tocsin.Notification) (map[string]any, error) {
	events := make([]any, len(n.Events))
	for i := range n.Events {
		e, err := eventMap(&n.Events[i])
		if err != nil {
			return nil, err
		}
		events[i] = e
	}
	guidance, err := plain(guide.Guidance(&n.Events[0]))
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"Webhook": n.WebhookName, "Delivery": n.DeliveryID, "Count": len(n.Events), "Test": n.Test,
		"Timestamp": latest(n.Events).Format(time.RFC3339Nano),
		"Events":    events, "Alerts": events,
		"ChangesInfo": changesInfo(n.Events),
		"Overview":    guidance["overview"], "Remediation": guidance["remediation"],
	}, nil
}

// eventMap is the event as a template sees it.
func eventMap(e *tocsin.Event) (map[string]any, error) {
	m, err := plain(e)
	if err != nil {
		return nil, fmt.Errorf("event %q: %w", e.ID, err)
	}
	for _, key := range []string{"subject", "severity", "status", "dedup_key", "title", "summary", "link"} {
		if _, ok := m[key]; !ok {
			m[key] = ""
		}
	}
	for _, key := range []string{"labels", "data"} {
		if _, ok := m[key]; !ok {
			m[key] = map[string]any{}
		}
	}
	return m, nil
}

// plain turns v into maps, lists, strings, booleans and numbers by its JSON form.
func plain(v any) (map[string]any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // a float64 would change large ids
	if err := d.Decode(&m); err != nil {
		return nil, err
	}
	return numbers(m).(map[string]any), nil
}

// numbers replaces json.Number by int64 or float64, which templates can compare, where
// that does not change the number.
func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if f, err := v.Float64(); err == nil && fmt.Sprint(f) == v.String() {
			return f
		}
	}
	return v
}

// maxText bounds, in bytes, what one call of a text function takes and gives: without
// it a few nested calls fill the memory.
const maxText = 1 << 20

// functions are those a body template may call besides text/template's own, some of
// which they replace by bounded ones.
func (r *rendering) functions() template.FuncMap {
	variadic := func(f func(...any) string) func(...any) (string, error) {
		return func(args ...any) (string, error) {
			return r.timed(func() (string, error) { return bounded(f, args) })
		}
	}
	return template.FuncMap{
		"toJSON": func(v any) (string, error) { return r.timed(func() (string, error) { return toJSON(v) }) },
		"upper": func(s string) (string, error) {
			return r.timed(func() (string, error) { return strings.ToUpper(s), nil })
		},
		"lower": func(s string) (string, error) {
			return r.timed(func() (string, error) { return strings.ToLower(s), nil })
		},
		"join": func(sep string, l any) (string, error) {
			return r.timed(func() (string, error) { return join(sep, l) })
		},
		"truncate": func(n int, s string) (string, error) {
			return r.timed(func() (string, error) { return truncate(n, s), nil })
		},
		"default":  orDefault,
		"print":    variadic(fmt.Sprint),
		"println":  variadic(fmt.Sprintln),
		"html":     variadic(template.HTMLEscaper),
		"js":       variadic(template.JSEscaper),
		"urlquery": variadic(template.URLQueryEscaper),
		"printf": func(format string, args ...any) (string, error) {
			return r.timed(func() (string, error) { return printf(format, args...) })
		},
	}
}

// timed looks at the clock before a call: one may take milliseconds, for a large
// delivery, and a template can make thousands without a loop.
func (r *rendering) timed(call func() (string, error)) (string, error) {
	if err := r.inTime(); err != nil {
		return "", err
	}
	text, err := call()
	if bound, ok := err.(*boundError); ok {
		r.exceeded = bound
	}
	return text, err
}

// toJSON encodes any value; a string comes with its quotes. What cannot be put out is
// not made either: escapes of escapes double the text with every call.
func toJSON(v any) (string, error) {
	text, err := encode(v)
	if len(text) > maxRenderBytes {
		return "", &boundError{fmt.Sprintf("toJSON: a text is over %d bytes", maxRenderBytes)}
	}
	return string(text), err
}

// join puts sep between the elements of a list.
func join(sep string, list any) (string, error) {
	v := reflect.ValueOf(list)
	if v.Kind() != reflect.Slice && v.Kind() != reflect.Array {
		return "", fmt.Errorf("join: want a list, got %T", list)
	}
	parts := make([]string, v.Len())
	size := len(parts) * len(sep)
	for i := range parts {
		parts[i] = fmt.Sprint(v.Index(i).Interface())
		size += len(parts[i])
	}
	if size > maxText {
		return "", errTooLong
	}
	return strings.Join(parts, sep), nil
}

// truncate shortens text to n characters, the last of them … where something was cut.
func truncate(n int, text string) string {
	if n < 1 {
		return text
	}
	count, last := 0, 0 // characters, and where the n-th begins
	for at := range text {
		if count++; count == n {
			last = at
		}
		if count > n {
			return text[:last] + "…"
		}
	}
	return text
}

// orDefault returns value, or otherwise when value is empty.
func orDefault(otherwise, value any) any {
	if truth, _ := template.IsTrue(value); truth {
		return value
	}
	return otherwise
}

var errTooLong = fmt.Errorf("a text is over %d bytes", maxText)

// bounded calls a text function if what goes in and comes out is within maxText.
func bounded(f func(...any) string, args []any) (string, error) {
	size := 0
	for _, a := range args {
		if s, ok := a.(string); ok {
			size += len(s)
		}
	}
	if size > maxText {
		return "", errTooLong
	}
	out := f(args...)
	if len(out) > maxText {
		return "", errTooLong
	}
	return out, nil
}

// wide finds widths and precisions of four digits and more, or from an argument.
var wide = regexp.MustCompile(`%[^a-zA-Z%]*(\d{4,}|\*)`)

func printf(format string, args ...any) (string, error) {
	if wide.MatchString(format) {
		return "", errors.New("printf: a width or precision may have three digits")
	}
	return bounded(func(a ...any) string { return fmt.Sprintf(format, a...) }, args)
}
