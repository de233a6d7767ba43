package console

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/tocsin-alerts/tocsin"
)

// failed answers with what is shown of an error: a problem of the API as it is, anything
// else with an id that finds it in the log.
func (p *request) failed(err error) {
	if errors.Is(err, context.Canceled) && p.Context().Err() != nil {
		return // nobody reads it
	}
	var problem *Problem
	if !errors.As(err, &problem) {
		id := tocsin.NewID("req")
		p.console.Logger.Error("showing page", "request_id", id, "method", p.Method, "path", p.URL.Path, "error", err)
		problem = internal(id)
	}
	if problem.Code == tocsin.CodeUnauthorized { // revoked between two questions
		if err = p.toSignIn(problem); err == nil {
			return
		}
	}
	if problem.After > 0 {
		p.w.Header().Set("Retry-After", strconv.Itoa(problem.After))
	}
	define := "layout"
	if p.Header.Get("HX-Request") != "" {
		define = "part:problem"
	}
	view := p.view("none", problem.Title, problem)
	if err := p.execute(problem.Status, "problem", define, view); err != nil {
		p.console.Logger.Error("showing problem", "error", err)
		http.Error(p.w, problem.Title, problem.Status)
	}
}

func isUnauthorized(err error) bool {
	var problem *Problem
	return errors.As(err, &problem) && problem.Code == tocsin.CodeUnauthorized
}

func forbidden(detail string) error {
	return &Problem{Title: "This is not allowed", Status: http.StatusForbidden, Code: tocsin.CodeForbidden, Detail: detail}
}

// notFound is every address that no page has.
func notFound(*request) error {
	return &Problem{Title: "There is no such page", Status: http.StatusNotFound, Code: tocsin.CodeNotFound, Detail: "Nothing is at this address. It may be of an older link, or mistyped."}
}
