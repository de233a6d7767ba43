package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/tocsin-alerts/tocsin"
)

// Problem is what the API refused, as a page shows it. It is the only error of [client]
// that visitors are told of.
type Problem struct {
	Title     string              `json:"title"`
	Status    int                 `json:"status"`
	Detail    string              `json:"detail"`
	Code      tocsin.Code         `json:"code"`
	Errors    []tocsin.FieldError `json:"errors"`
	RequestID string              `json:"request_id"`
	// After is how many seconds to wait, 0 when the API does not say.
	After int `json:"-"`
}

// Error implements error.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Title + ": " + p.Detail
}

// Field returns what is wrong with a field of a form, "" for nothing.
func (p *Problem) Field(name string) string {
	if p == nil {
		return ""
	}
	for _, f := range p.Errors {
		if f.Field == name {
			return f.Message
		}
	}
	return ""
}

// OfForm reports whether the problem is with what was filled in, so that the form is to be
// shown again with it.
func (p *Problem) OfForm() bool {
	switch p.Code {
	case tocsin.CodeInvalid, tocsin.CodeMalformed, tocsin.CodeConflict, tocsin.CodePrecondition, tocsin.CodeTooLarge:
		return true
	}
	return false
}

// problemOf reads a problem document.
func problemOf(rec *recorder) error {
	p := &Problem{Status: rec.status}
	if err := json.Unmarshal(rec.body.Bytes(), p); err != nil || p.Code == "" {
		return fmt.Errorf("the API answered %d with what is no problem document", rec.status)
	}
	p.After, _ = strconv.Atoi(rec.header.Get("Retry-After")) // 0 where there is none
	return p
}

// internal is what is shown of errors that are none of the visitor's business.
func internal(id string) *Problem {
	return &Problem{
		Title: "Something went wrong here", Status: http.StatusInternalServerError, Code: tocsin.CodeInternal,
		Detail: "The log of this process says more about request " + id + ".", RequestID: id,
	}
}
