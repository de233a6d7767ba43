package cli

import (
	"errors"
	"io"
	"slices"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// exitCode is what an error makes of the process.
type exitCode struct {
	number int
	title  string // of a problem, and in the root's help
	codes  []tocsin.Code
}

// exitCodes is how errors leave the command line; errors.go of package tocsin names
// the same numbers beside each code.
var exitCodes = []exitCode{
	{0, "done", nil},
	{1, "anything not named below", []tocsin.Code{tocsin.CodeInternal}},
	{2, "bad input or usage", []tocsin.Code{tocsin.CodeInvalid, tocsin.CodeMalformed, tocsin.CodeTooLarge, tocsin.CodeUnsupported}},
	{3, "not found", []tocsin.Code{tocsin.CodeNotFound}},
	{4, "no key, a wrong key, or a key without the scope", []tocsin.Code{tocsin.CodeUnauthorized, tocsin.CodeForbidden}},
	{5, "conflict: a name is taken, or something changed meanwhile", []tocsin.Code{tocsin.CodeConflict, tocsin.CodePrecondition}},
	{6, "unavailable: the API or the store is away; try again", []tocsin.Code{tocsin.CodeUnavailable}},
}

// exitOf returns the exit code of an error: that of its code, 1 for all others.
func exitOf(code tocsin.Code) exitCode {
	i := slices.IndexFunc(exitCodes, func(e exitCode) bool { return slices.Contains(e.codes, code) })
	if i < 0 {
		i = 1
	}
	return exitCodes[i]
}

func knownCode(code tocsin.Code) bool {
	return slices.ContainsFunc(exitCodes, func(e exitCode) bool { return slices.Contains(e.codes, code) })
}

// shownProblem is what -o json writes to standard error: RFC 9457 with the API's own
// members, but for the status, which only HTTP has.
type shownProblem struct {
	Title    string              `json:"title"`
	Detail   string              `json:"detail"`
	Code     tocsin.Code         `json:"code"`
	Errors   []tocsin.FieldError `json:"errors,omitempty"`
	ExitCode int                 `json:"exit_code"`
}

// printProblem writes an error as one JSON document.
func printProblem(w io.Writer, err error) {
	code := tocsin.CodeOf(err)
	exit := exitOf(code)
	title := exit.title
	if exit.number == 1 {
		title = "something went wrong"
	}
	headline, fields := split(err)
	_ = printJSON(w, shownProblem{Title: title, Detail: headline, Code: code, Errors: fields, ExitCode: exit.number}) // nobody is left to tell
}

// split takes the fields of an error out of its text.
func split(err error) (headline string, fields []tocsin.FieldError) {
	var e *tocsin.Error
	if !errors.As(err, &e) || len(e.Fields) == 0 {
		return err.Error(), nil
	}
	bare := *e
	bare.Fields = nil
	text := err.Error()
	if prefix, ok := strings.CutSuffix(text, e.Error()); ok {
		text = prefix + bare.Error()
	}
	return text, e.Fields
}

// wantsJSON finds -o json among arguments that could not be parsed.
func wantsJSON(args []string) bool {
	for i, arg := range args {
		switch arg {
		case "--":
			return false
		case "-ojson", "-o=json", "--output=json":
			return true
		case "-o", "--output":
			return i+1 < len(args) && args[i+1] == "json"
		}
	}
	return false
}
