package openapi

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Exchange is one request and its answer.
type Exchange struct {
	Method string
	URL    *url.URL
	// Header and Body are the request's; Body is what the server read of it.
	Header http.Header
	Body   []byte

	Status       int
	AnswerHeader http.Header
	Answer       []byte
}

// Find returns the operation of a request; ok is false when there is none.
func (d *Document) Find(method string, u *url.URL) (op Operation, ok bool) {
	if method == http.MethodHead { // which is answered as GET is, without a body
		method = http.MethodGet
	}
	for _, path := range d.paths {
		values, ok := match(path, u.EscapedPath())
		if !ok {
			continue
		}
		op = Operation{doc: d, Method: method, Path: path, Values: values, pointer: "#/paths/" + escape(path) + "/" + strings.ToLower(method)}
		if d.at(op.pointer) != nil {
			return op, true
		}
	}
	return op, false
}

// match compares a template with a path.
func match(template, path string) (values map[string]string, ok bool) {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return nil, false
	}
	values = map[string]string{}
	for i := range want {
		name, variable := strings.CutPrefix(want[i], "{")
		text, err := url.PathUnescape(got[i])
		switch {
		case !variable && want[i] != text, variable && got[i] == "":
			return nil, false
		case variable && err == nil:
			values[strings.TrimSuffix(name, "}")] = text
		}
	}
	return values, true
}

// Check returns everything about an exchange that the document does not say. Requests for
// which there is no operation are to be answered with one of the statuses in
// withoutOperation, and a problem document.
func (d *Document) Check(x Exchange) error {
	op, ok := d.Find(x.Method, x.URL)
	if !ok {
		if !slices.Contains(withoutOperation, x.Status) {
			return fmt.Errorf("no such operation is documented, and the status is %d", x.Status)
		}
		return d.problem(x)
	}
	err := op.answer(x)
	if x.Status < 400 {
		err = errors.Join(err, op.request(x))
	}
	return err
}

var withoutOperation = []int{http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed}

// problem checks a problem document that belongs to no operation.
func (d *Document) problem(x Exchange) error {
	if x.Method == http.MethodHead {
		return nil
	}
	if got := mediaType(x.AnswerHeader); got != "application/problem+json" {
		return fmt.Errorf("status %d with content type %q, want a problem document", x.Status, got)
	}
	return d.validate("the answer", "#/components/schemas/Problem", x.Answer)
}

// answer checks status, headers and body of an answer.
func (op Operation) answer(x Exchange) error {
	pointer := op.pointer + "/responses/" + strconv.Itoa(x.Status)
	response := mapOf(op.doc.at(pointer))
	if response == nil {
		if x.Status == http.StatusInternalServerError {
			return op.doc.problem(x) // no operation plans for that
		}
		return fmt.Errorf("status %d is not documented: %s", x.Status, short(x.Answer))
	}
	err := op.headers(pointer, mapOf(response["headers"]), x.AnswerHeader)
	content := mapOf(response["content"])
	media := mediaType(x.AnswerHeader)
	switch {
	case content == nil && len(x.Answer) > 0:
		return errors.Join(err, fmt.Errorf("status %d has a body, and none is documented: %s", x.Status, short(x.Answer)))
	case content == nil:
		return err
	case content[media] == nil:
		return errors.Join(err, fmt.Errorf("content type %q of status %d is not documented", media, x.Status))
	case !isJSON(media), x.Method == http.MethodHead:
		return err
	}
	return errors.Join(err, op.doc.validate("the answer", pointer+"/content/"+escape(media)+"/schema", x.Answer))
}

// headers checks those that are documented.
func (op Operation) headers(pointer string, documented map[string]any, got http.Header) error {
	var all error
	for name := range documented {
		at := pointer + "/headers/" + escape(name)
		required, _ := mapOf(op.doc.at(at))["required"].(bool)
		values := got.Values(name)
		switch {
		case len(values) == 0 && required:
			all = errors.Join(all, fmt.Errorf("the header %s is missing", name))
		case len(values) > 0:
			all = errors.Join(all, op.doc.valid("header "+name, at+"/schema", op.doc.coerce(at+"/schema", values[0])))
		}
	}
	return all
}

// validate checks a JSON text.
func (d *Document) validate(what, pointer string, raw []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("%s is not JSON: %w: %s", what, err, short(raw))
	}
	return d.valid(what, pointer, value)
}

func (d *Document) valid(what, pointer string, value any) error {
	s, err := d.schema(pointer)
	if err != nil {
		return err
	}
	if err := s.Validate(value); err != nil {
		return fmt.Errorf("%s is not as documented: %w", what, err)
	}
	return nil
}

func mediaType(h http.Header) string {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return h.Get("Content-Type")
	}
	return media
}

func isJSON(media string) bool {
	return media == "application/json" || strings.HasSuffix(media, "+json")
}

func short(raw []byte) string {
	const most = 300
	if len(raw) > most {
		return string(raw[:most]) + "…"
	}
	return string(raw)
}
