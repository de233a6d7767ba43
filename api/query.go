package api

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
	// maxParameter bounds one parameter, in bytes; the whole line is bounded by the
	// server's limit on headers.
	maxParameter = 2048
)

// query reads the parameters of a URL and collects what is wrong with them.
type query struct {
	values url.Values
	fields []tocsin.FieldError
}

// readQuery refuses parameters that are not among names: a misspelt filter that is
// ignored shows the wrong things as if they were right.
func readQuery(raw string, names ...string) *query {
	values, err := url.ParseQuery(raw)
	q := &query{values: values}
	if err != nil {
		q.add("", "the query cannot be read: %v", err)
	}
	given := make([]string, 0, len(values))
	for name := range values {
		given = append(given, name)
	}
	slices.Sort(given)
	for _, name := range given {
		switch {
		case !slices.Contains(names, name):
			hint := ""
			if near := catalog.Suggest(name, names); near != "" {
				hint = fmt.Sprintf("; did you mean %q?", near)
			}
			q.add(cut(name), "unknown parameter%s", hint)
		case len(values[name]) > 1:
			q.add(name, "is given %d times", len(values[name]))
		case len(values[name][0]) > maxParameter:
			q.add(name, "is %d bytes long; at most %d are allowed", len(values[name][0]), maxParameter)
			values.Del(name) // what is shown of it elsewhere need not be as long
		}
	}
	return q
}

func (q *query) add(field, format string, args ...any) {
	q.fields = append(q.fields, tocsin.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
}

func (q *query) text(name string) string { return q.values.Get(name) }

func (q *query) time(name string) time.Time {
	text := q.values.Get(name)
	if text == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		q.add(name, "%q is not an RFC 3339 time; write for example 2026-11-20T09:00:00Z", text)
	}
	return t
}

func (q *query) severity(name string) tocsin.Severity {
	s, err := tocsin.ParseSeverity(q.values.Get(name))
	if err != nil {
		q.add(name, "%v", err)
	}
	return s
}

func (q *query) flag(name string) bool {
	text := q.values.Get(name)
	if text == "" && !q.values.Has(name) {
		return false
	}
	v, err := strconv.ParseBool(text)
	if err != nil {
		q.add(name, "%q is not allowed; want true or false", text)
	}
	return v
}

func (q *query) state(name string) tocsin.DeliveryState {
	states := []string{"ready", "sending", "delivered", "dead", "split", "cancelled"}
	text := q.values.Get(name)
	if text != "" && !slices.Contains(states, text) {
		q.add(name, "%q is not a state of deliveries; allowed: %s", text, strings.Join(states, ", "))
	}
	return tocsin.DeliveryState(text)
}

func (q *query) page() tocsin.Page {
	p := tocsin.Page{Cursor: q.values.Get("cursor"), Limit: defaultLimit}
	text := q.values.Get("limit")
	if text == "" {
		return p
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		q.add("limit", "%q is not allowed; want 1 to %d", text, maxLimit)
		return p
	}
	p.Limit = n
	return p
}

// webhookState reads a state of webhooks that are not deleted.
func (q *query) webhookState(name string) tocsin.State {
	text := q.values.Get(name)
	switch state := tocsin.State(text); state {
	case "", tocsin.StateActive, tocsin.StatePaused, tocsin.StateFailing, tocsin.StateDisabled:
		return state
	}
	q.add(name, "%q is not a state of webhooks; allowed: active, paused, failing, disabled", cut(text))
	return ""
}

// channel reads the name of one of these.
func (q *query) channel(name string, channels []tocsin.Channel) string {
	text := q.values.Get(name)
	var names []string
	for _, c := range channels {
		names = append(names, c.Name())
	}
	if text != "" && !slices.Contains(names, text) {
		q.add(name, "%q is not a channel; allowed: %s", cut(text), strings.Join(names, ", "))
	}
	return text
}

// err is nil, or one error about all parameters.
func (q *query) err() error {
	if len(q.fields) == 0 {
		return nil
	}
	return &tocsin.Error{Code: tocsin.CodeInvalid, Message: "the query is not valid", Fields: q.fields}
}

// list is one page of things.
type list[T any] struct {
	Items []T `json:"items"`
	// Next is the cursor of the next page, absent at the end.
	Next string `json:"next,omitempty"`
}

// listed returns items as a page; never null.
func listed[T any](items []T, next string) list[T] {
	if items == nil {
		items = []T{}
	}
	return list[T]{items, next}
}

// cut shortens what somebody wrote to what an error repeats of it.
func cut(text string) string {
	const most = 100
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
