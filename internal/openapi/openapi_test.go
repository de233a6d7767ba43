package openapi_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin/internal/openapi"
)

const sample = `
openapi: 3.1.0
paths:
  /things:
    post:
      operationId: create
      parameters:
        - {name: dry, in: query, schema: {type: boolean}}
      requestBody:
        required: true
        content:
          application/json:
            schema: {$ref: "#/components/schemas/NewThing"}
      responses:
        "201":
          description: Made.
          headers:
            Location: {required: true, schema: {type: string}}
            X-Count: {schema: {type: integer}}
          content:
            application/json:
              schema: {$ref: "#/components/schemas/Thing"}
        "422": {$ref: "#/components/responses/Problem"}
  /things/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: string, pattern: "^th_"}}
    get:
      operationId: get
      parameters:
        - {name: limit, in: query, schema: {type: integer, minimum: 1}}
      responses:
        "200":
          description: It.
          content:
            application/json:
              schema: {$ref: "#/components/schemas/Thing"}
    delete:
      operationId: remove
      responses:
        "204": {description: Gone.}
  /things/all:
    get:
      operationId: all
      responses:
        "200":
          description: All.
          content:
            text/plain:
              schema: {type: string}
components:
  responses:
    Problem:
      description: A problem.
      content:
        application/problem+json:
          schema: {$ref: "#/components/schemas/Problem"}
  schemas:
    Problem:
      type: object
      required: [title]
      properties:
        title: {type: string}
    NewThing:
      type: object
      required: [name]
      properties:
        name: {type: string, minLength: 1, examples: [one]}
        at: {type: string, format: date-time}
        free: {type: object}
    Thing:
      type: object
      required: [id]
      allOf:
        - $ref: "#/components/schemas/NewThing"
      properties:
        id: {type: string}
        parts:
          type: array
          items:
            type: object
            properties:
              size: {type: integer}
`

func parse(t *testing.T, text string) *openapi.Document {
	t.Helper()
	d, err := openapi.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// reports collects what is reported.
type reports struct{ all []string }

func (r *reports) Helper() {}
func (r *reports) Errorf(format string, args ...any) {
	r.all = append(r.all, fmt.Sprintf(format, args...))
}

// answering is one answer to everything; headers are "Name: value".
func answering(status int, body string, headers ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

const (
	asJSON    = "Content-Type: application/json"
	asProblem = "Content-Type: application/problem+json"
	there     = "Location: /things/th_1"
)

func TestExchanges(t *testing.T) {
	d := parse(t, sample)
	for _, test := range []struct {
		name, method, path, body string
		answer                   http.Handler
		want                     string // "" for nothing to report
	}{
		{"fine", "POST", "/things?dry=true", `{"name": "x", "free": {"any": 1}}`, answering(201, `{"id": "th_1", "name": "x", "free": {"any": 1}, "parts": [{"size": 1}]}`, asJSON, there), ""},
		{"null counts as left out", "POST", "/things?dry=", `{"name": "x", "at": null}`, answering(201, `{"id": "th_1", "name": "x"}`, asJSON, there), ""},
		{"a problem", "POST", "/things", `{"nme": 1}`, answering(422, `{"title": "wrong"}`, asProblem), ""},
		{"by name before by id", "GET", "/things/all", "", answering(200, "all", "Content-Type: text/plain"), ""},
		{"without a body", "DELETE", "/things/th_1", "", answering(204, ""), ""},
		{"HEAD", "HEAD", "/things/th_1", "", answering(200, "", asJSON), ""},
		{"no such path", "GET", "/nothing", "", answering(404, `{"title": "no"}`, asProblem), ""},

		{"a status", "POST", "/things", `{"name": "x"}`, answering(200, `{"id": "a", "name": "x"}`, asJSON), "status 200 is not documented"},
		{"a content type", "GET", "/things/th_1", "", answering(200, `{"id": "a", "name": "x"}`, "Content-Type: text/html"), `content type "text/html"`},
		{"a body where there is none", "DELETE", "/things/th_1", "", answering(200, "x"), "status 200 is not documented"},
		{"a missing header", "POST", "/things", `{"name": "x"}`, answering(201, `{"id": "a", "name": "x"}`, asJSON), "Location is missing"},
		{"a header of another type", "POST", "/things", `{"name": "x"}`, answering(201, `{"id": "a", "name": "x"}`, asJSON, there, "X-Count: many"), "header X-Count is not as documented"},
		{"a property too many", "GET", "/things/th_1", "", answering(200, `{"id": "a", "name": "x", "extra": 1}`, asJSON), "extra': false schema"},
		{"one too many further in", "GET", "/things/th_1", "", answering(200, `{"id": "a", "name": "x", "parts": [{"extra": 1}]}`, asJSON), "extra': false schema"},
		{"one too many in a problem", "POST", "/things", `{}`, answering(422, `{"title": "x", "extra": 1}`, asProblem), "extra': false schema"},
		{"a property that is missing", "GET", "/things/th_1", "", answering(200, `{"id": "a"}`, asJSON), "'name'"},
		{"a format", "GET", "/things/th_1", "", answering(200, `{"id": "a", "name": "x", "at": "today"}`, asJSON), "date-time"},
		{"an answer that is not JSON", "GET", "/things/th_1", "", answering(200, `{`, asJSON), "is not JSON"},
		{"a page for a path that is not there", "GET", "/nothing", "", answering(404, "not found", "Content-Type: text/plain"), "want a problem document"},
		{"success where nothing is documented", "PUT", "/things", "", answering(200, ""), "no such operation"},

		{"an accepted body", "POST", "/things", `{"name": ""}`, answering(201, `{"id": "a", "name": "x"}`, asJSON, there), "accepted body is not as documented"},
		{"an accepted unknown member", "POST", "/things", `{"name": "x", "extra": 1}`, answering(201, `{"id": "a", "name": "x"}`, asJSON, there), "extra': false schema"},
		{"an accepted empty body", "POST", "/things", "", answering(201, `{"id": "a", "name": "x"}`, asJSON, there), "accepted without a body"},
		{"an accepted parameter", "POST", "/things?dry=maybe", `{"name": "x"}`, answering(201, `{"id": "a", "name": "x"}`, asJSON, there), "accepted parameter dry"},
		{"an accepted unknown parameter", "POST", "/things?wet=1", `{"name": "x"}`, answering(201, `{"id": "a", "name": "x"}`, asJSON, there), `the parameter "wet"`},
		{"an accepted number", "GET", "/things/th_1?limit=0", "", answering(200, `{"id": "a", "name": "x"}`, asJSON), "accepted parameter limit"},
		{"an accepted path", "GET", "/things/1", "", answering(200, `{"id": "a", "name": "x"}`, asJSON), "accepted parameter id"},
	} {
		t.Run(test.name, func(t *testing.T) {
			check := func(where string, got []string) {
				t.Helper()
				if test.want == "" && len(got) > 0 || test.want != "" && !strings.Contains(strings.Join(got, "\n"), test.want) {
					t.Errorf("%s: got %q, want %q", where, got, test.want)
				}
			}
			var served, called reports
			server := httptest.NewServer(d.Handler(&served, test.answer))
			defer server.Close()
			client := &http.Client{Transport: d.Transport(&called, nil)}
			r, err := http.NewRequestWithContext(t.Context(), test.method, server.URL+test.path, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Fatal(err)
			}
			server.Close()
			check("handler", served.all)
			check("client", called.all)
		})
	}
}

func TestSound(t *testing.T) {
	if err := parse(t, sample).Sound(); err != nil {
		t.Error(err)
	}
	for what, change := range map[string][2]string{
		"leads nowhere":         {`$ref: "#/components/responses/Problem"`, `$ref: "#/components/responses/Nothing"`},
		"is no keyword":         {"minLength: 1", "minlength: 1"},
		"the sample":            {"examples: [one]", "examples: [1]"},
		"missing or there":      {"operationId: remove", "operationId: get"},
		"describes the":         {"/things/{id}", "/things/{name}"},
		"compiling schema":      {"type: integer, minimum: 1", "type: integr, minimum: 1"},
		`openapi is "2.0"`:      {"3.1.0", `"2.0"`},
		"reading OpenAPI":       {sample, "- a\n"},
		"reading OpenAPI docum": {sample, "{"},
	} {
		d, err := openapi.Parse([]byte(strings.Replace(sample, change[0], change[1], 1)))
		if err == nil {
			err = d.Sound()
		}
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("with %s: got %v, want %q", change[1], err, what)
		}
	}
}
