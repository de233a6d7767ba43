package format

import (
	"bytes"
	"encoding/json"
	"fmt"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
)

// Marked is the event as a test shows it: its title begins with [TEST]. Without test it is
// e itself; e is never changed.
func Marked(e *tocsin.Event, test bool) *tocsin.Event {
	if !test {
		return e
	}
	marked := *e
	marked.Title = alert.TestMark(tocsin.Notification{Test: true}) + alert.Name(e)
	return &marked
}

// JSON is the event as the API has it, on one line. It is an error when data is not JSON;
// ingest lets none such in.
func JSON(e *tocsin.Event) (json.RawMessage, error) {
	rest := *e
	rest.Data = nil
	text, err := encode(rest)
	if err != nil {
		return nil, fmt.Errorf("encoding event %q: %w", e.ID, err)
	}
	return with(text, "data", e.Data, e)
}

// with puts data into an object as a last member of that name. Line breaks between its
// tokens go, since many receivers take a record for a line; every token stays as it is.
func with(object []byte, name string, data []byte, e *tocsin.Event) (json.RawMessage, error) {
	if len(data) == 0 {
		return object, nil
	}
	var b bytes.Buffer
	b.Grow(len(object) + len(name) + len(data) + 8)
	b.Write(object[:len(object)-1])
	fmt.Fprintf(&b, ",%q:", name)
	if err := json.Compact(&b, data); err != nil {
		return nil, fmt.Errorf("the data of event %q is not JSON", e.ID)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// encode is json.Marshal without HTML escapes: < in a title stays readable.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
