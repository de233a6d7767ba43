package webhooks

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// problems collects what is wrong, so that all of it is reported together.
type problems struct {
	what   string // a webhook unless it says otherwise
	fields []tocsin.FieldError
}

func (p *problems) add(field, format string, args ...any) {
	p.fields = append(p.fields, tocsin.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
}

// has reports whether a field is already known to be wrong.
func (p *problems) has(field string) bool {
	return slices.ContainsFunc(p.fields, func(f tocsin.FieldError) bool { return f.Field == field })
}

// take moves the fields of an invalid-input error in; any other error is returned.
func (p *problems) take(err error) error {
	var e *tocsin.Error
	if errors.As(err, &e) && e.Code == tocsin.CodeInvalid && len(e.Fields) > 0 {
		for _, f := range e.Fields {
			if !p.has(f.Field) { // the first that is said about a field is enough
				p.fields = append(p.fields, f)
			}
		}
		return nil
	}
	return err
}

// err is nil, or one error about all fields.
func (p *problems) err() error {
	if len(p.fields) == 0 {
		return nil
	}
	return &tocsin.Error{Code: tocsin.CodeInvalid, Message: fmt.Sprintf("the %s is not valid", cmp.Or(p.what, "webhook")), Fields: p.fields}
}

// reader reads one field of a document, such as the settings. It returns false when the
// value has the wrong type; want then says what is allowed.
type reader[D any] struct {
	want string
	read func(raw json.RawMessage, doc *D, p *problems, field string) bool
}

// plain reads a field whose Go type says all there is to check about its JSON type.
func plain[D, T any](want string, at func(*D) *T) reader[D] {
	return reader[D]{want, func(raw json.RawMessage, doc *D, _ *problems, _ string) bool {
		return json.Unmarshal(raw, at(doc)) == nil
	}}
}

// worded reads a text whose parser has its own precise complaint.
func worded[D, T any](want string, at func(*D) *T, parse func(string) (T, error)) reader[D] {
	return reader[D]{want, func(raw json.RawMessage, doc *D, p *problems, field string) bool {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			return false
		}
		v, err := parse(text)
		if err != nil {
			p.add(field, "%v", err)
			return true
		}
		*at(doc) = v
		return true
	}}
}

func duration[D any](at func(*D) *tocsin.Duration) reader[D] {
	return worded(`a duration in quotes, such as "15m", "6h" or "5d"`, at, tocsin.ParseDuration)
}

func parseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("%q is not an RFC 3339 time; write for example 2026-11-20T09:00:00Z", text)
	}
	return t.UTC(), nil
}

// readers are the settings by their JSON names; "config" is read apart.
var readers = map[string]reader[tocsin.Settings]{
	"name":           plain("text", func(s *tocsin.Settings) *string { return &s.Name }),
	"channel":        plain("text", func(s *tocsin.Settings) *string { return &s.Channel }),
	"events":         {"a list of alert types, categories, or {type, collections}", readEvents},
	"min_severity":   worded("a severity in quotes", func(s *tocsin.Settings) *tocsin.Severity { return &s.MinSeverity }, tocsin.ParseSeverity),
	"collections":    plain("a list of texts", func(s *tocsin.Settings) *[]string { return &s.Collections }),
	"filter":         plain("text, a CEL expression", func(s *tocsin.Settings) *string { return &s.Filter }),
	"frequency":      plain(`"periodic" or "instant"`, func(s *tocsin.Settings) *tocsin.Frequency { return &s.Frequency }),
	"run_every":      duration(func(s *tocsin.Settings) *tocsin.Duration { return &s.RunEvery }),
	"anchor":         worded("an RFC 3339 time in quotes", func(s *tocsin.Settings) *time.Time { return &s.Anchor }, parseTime),
	"batch_size":     plain("a whole number from 1 to 1000", func(s *tocsin.Settings) *int { return &s.BatchSize }),
	"repeat_after":   duration(func(s *tocsin.Settings) *tocsin.Duration { return &s.RepeatAfter }),
	"retry_for":      duration(func(s *tocsin.Settings) *tocsin.Duration { return &s.RetryFor }),
	"disable_after":  duration(func(s *tocsin.Settings) *tocsin.Duration { return &s.DisableFor }),
	"on_resume":      plain(`"deliver" or "discard"`, func(s *tocsin.Settings) *string { return &s.OnResume }),
	"max_per_second": plain("a number of at least 0", func(s *tocsin.Settings) *float64 { return &s.MaxRate }),
	"max_concurrent": plain("a whole number from 1 to 100", func(s *tocsin.Settings) *int { return &s.Concurrency }),
	"fallback":       plain("text, the name of a webhook", func(s *tocsin.Settings) *string { return &s.Fallback }),
	"escalate":       {"a list of {min_severity, to, after, unless}", readEscalate},
	"labels":         plain("an object of texts", func(s *tocsin.Settings) *map[string]string { return &s.Labels }),
}

// readOnly are the keys of a webhook's answer that are not settings.
var readOnly = []string{"id", "state", "state_reason", "state_since", "version", "created_at", "updated_at",
	"consecutive_failures", "due_at", "next_run", "last_delivery", "last_error", "balance", "generated", "changes"}

// defaults are the settings of a webhook that says nothing.
func defaults() tocsin.Settings {
	day := tocsin.Duration(24 * time.Hour)
	return tocsin.Settings{
		Events: []tocsin.Selector{}, Collections: []string{}, Frequency: tocsin.Periodic,
		RunEvery: tocsin.Duration(15 * time.Minute), BatchSize: 20, RetryFor: 3 * day, DisableFor: 5 * day,
		OnResume: onResumeDeliver, Concurrency: 1,
	}
}

// decode reads a webhook as users write it, over the defaults. null is the same as
// leaving a field out. config is the channel's object, "{}" when there is none.
func decode(body json.RawMessage, p *problems) (s tocsin.Settings, config json.RawMessage, err error) {
	s, config = defaults(), json.RawMessage("{}")
	fields, err := object(body)
	if err != nil {
		return s, nil, err
	}
	checkNames(fields, p)
	readFields(fields, &s, readers, p)
	if raw := fields["config"]; raw != nil && !isNull(raw) {
		if _, err := object(raw); err != nil {
			// The value is not shown: a secret may have been put in the wrong place.
			p.add("config", "is not an object; want an object with the channel's own settings")
			return s, config, nil
		}
		config = raw
	}
	return s, config, nil
}

// readFields reads the fields that there are readers for; null is the same as leaving a
// field out.
func readFields[D any](fields map[string]json.RawMessage, doc *D, readers map[string]reader[D], p *problems) {
	for _, name := range sortedKeys(fields) {
		r, known := readers[name]
		if raw := fields[name]; known && !isNull(raw) && !r.read(raw, doc, p, name) {
			p.add(name, "got %s; want %s", short(raw), r.want)
		}
	}
}

// readDocument reads a document of which nothing but what the readers name is allowed;
// readOnly are names of its answer, which is often copied from.
func readDocument[D any](body json.RawMessage, doc *D, readers map[string]reader[D], readOnly []string, p *problems) error {
	fields, err := object(body)
	if err != nil {
		return err
	}
	refuseNames(fields, sortedKeys(readers), readOnly, "field of the document", p)
	readFields(fields, doc, readers, p)
	return nil
}

// checkNames refuses fields that are no settings.
func checkNames(fields map[string]json.RawMessage, p *problems) {
	refuseNames(fields, append(sortedKeys(readers), "config"), readOnly, "setting", p)
}

// refuseNames refuses the fields that are not among names.
func refuseNames(fields map[string]json.RawMessage, names, readOnly []string, what string, p *problems) {
	for _, name := range sortedKeys(fields) {
		switch {
		case slices.Contains(names, name) || p.has(name):
		case slices.Contains(readOnly, name):
			p.add(name, "is not a %s: Tocsin sets it; leave it out", what)
		default:
			p.add(cut(name), "unknown field%s", didYouMean(name, names))
		}
	}
}

func readEvents(raw json.RawMessage, s *tocsin.Settings, p *problems, field string) bool {
	return readSelectors(raw, &s.Events, p, field)
}

func readSelectors(raw json.RawMessage, into *[]tocsin.Selector, p *problems, field string) bool {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return false
	}
	selectors := make([]tocsin.Selector, len(list))
	for i, item := range list {
		at := fmt.Sprintf("%s[%d]", field, i)
		if json.Unmarshal(item, &selectors[i].Type) == nil && !isNull(item) {
			continue
		}
		strict(item, &selectors[i], at, "an alert type, a category, or {type, collections}", []string{"type", "collections"}, p)
	}
	*into = selectors
	return true
}

// strict reads a small object whose keys must all be known.
func strict(raw json.RawMessage, into any, at, want string, names []string, p *problems) {
	fields, err := object(raw)
	if err != nil {
		p.add(at, "got %s; want %s", short(raw), want)
		return
	}
	for _, name := range sortedKeys(fields) {
		if !slices.Contains(names, name) {
			p.add(at+"."+name, "unknown field%s", didYouMean(name, names))
		}
	}
	if err := json.Unmarshal(raw, into); err != nil {
		p.add(at, "got %s; want %s", short(raw), want)
	}
}

// object reads a JSON object; the error is CodeMalformed with line and column.
func object(body json.RawMessage) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	err := json.Unmarshal(body, &fields)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		line, column := position(body, syntax.Offset)
		return nil, tocsin.Errorf(tocsin.CodeMalformed, "reading JSON: line %d, column %d: %v", line, column, err)
	case err != nil || fields == nil:
		return nil, tocsin.Errorf(tocsin.CodeMalformed, "reading JSON: got %s; want an object", short(body))
	}
	return fields, nil
}

// position turns an offset, which counts the bytes read before the error was seen,
// into a line and a column from 1.
func position(body []byte, offset int64) (line, column int) {
	before := body[:max(0, min(int(offset)-1, len(body)))]
	return bytes.Count(before, []byte("\n")) + 1, len(before) - bytes.LastIndexByte(before, '\n')
}

func isNull(raw json.RawMessage) bool { return string(bytes.TrimSpace(raw)) == "null" }

// short shows a value in a message without repeating a whole document.
func short(raw json.RawMessage) string {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0:
		return "nothing"
	case len(raw) <= 80:
		return string(raw)
	case raw[0] == '{':
		return "an object"
	case raw[0] == '[':
		return "a list"
	}
	return "a long value"
}

func didYouMean(word string, from []string) string {
	if near := catalog.Suggest(word, from); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
