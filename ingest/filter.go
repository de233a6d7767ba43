package ingest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/decls"
	"github.com/google/cel-go/common/stdlib"
	"github.com/google/cel-go/ext"
	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

const (
	// maxFilter bounds a filter's length, in characters.
	maxFilter = 4096
	// filterCost bounds what one evaluation may do, in CEL's units: about one for each
	// step, and one for each ten characters looked at. It leaves room for a search
	// through the largest event, and none for loops over loops.
	filterCost = 200_000
)

// filterVariables are what a filter can speak of.
var filterVariables = map[string]*cel.Type{
	"id": cel.StringType, "source": cel.StringType, "type": cel.StringType, "category": cel.StringType, "subject": cel.StringType,
	"severity": cel.StringType, "level": cel.IntType, "status": cel.StringType, "time": cel.TimestampType,
	"dedup_key": cel.StringType, "title": cel.StringType, "summary": cel.StringType, "link": cel.StringType, "collection": cel.StringType,
	"labels": cel.MapType(cel.StringType, cel.StringType), "data": cel.DynType,
}

// Filter is a compiled CEL expression over an event. It is safe for concurrent use.
type Filter struct {
	program cel.Program
}

// textFunctions are the functions of CEL's strings extension that a filter may use:
// those whose work and result are no larger than the text. A replace or a join could
// make gigabytes of two texts in one call, before its cost is counted.
var textFunctions = []string{"charAt", "indexOf", "lastIndexOf", "lowerAscii", "upperAscii", "split", "substring", "trim"}

// filterEnv is CEL's standard library with the events' variables. The library's own
// identifier "type" (the type of types) gives way to the event's; the function type()
// stays.
var filterEnv = sync.OnceValues(func() (*cel.Env, error) {
	types := slices.DeleteFunc(slices.Clone(stdlib.Types()), func(v *decls.VariableDecl) bool { return v.Name() == "type" })
	options := []cel.EnvOption{
		cel.VariableDecls(types...), cel.FunctionDecls(stdlib.Functions()...), cel.Macros(cel.StandardMacros...),
		cel.OptionalTypes(), cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(maxFilter), cel.ParserRecursionLimit(64),
	}
	text, err := cel.NewCustomEnv(ext.Strings())
	if err != nil {
		return nil, err
	}
	for _, name := range textFunctions {
		options = append(options, cel.FunctionDecls(text.Functions()[name]))
	}
	for name, kind := range filterVariables {
		options = append(options, cel.Variable(name, kind))
	}
	return cel.NewCustomEnv(options...)
})

// CompileFilter checks and compiles a CEL expression that says yes or no to an event.
// It speaks of id, source, type, category, subject, severity, level (info 1 to
// critical 5), status, time, dedup_key, title, summary, link, collection, labels and
// data. The error is an *tocsin.Error with CodeInvalid about the field "filter" that
// names line and column.
func CompileFilter(expr string) (*Filter, error) {
	env, err := filterEnv()
	if err != nil {
		return nil, fmt.Errorf("setting up filters: %w", err)
	}
	if strings.TrimSpace(expr) == "" {
		return nil, tocsin.Invalid("filter", "is empty; leave it out, or write for example %s", `severity == "critical"`)
	}
	ast, issues := env.Compile(expr)
	if issues.Err() != nil {
		return nil, filterErrors(env, expr, issues)
	}
	if out := ast.OutputType(); !out.IsEquivalentType(cel.BoolType) && !out.IsEquivalentType(cel.DynType) {
		return nil, tocsin.Invalid("filter", "line 1, column 1: %s yields %s; a filter yields true or false", catalog.Quote(expr), out)
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(filterCost))
	if err != nil {
		return nil, tocsin.Invalid("filter", "%s: %v", catalog.Quote(expr), err)
	}
	return &Filter{program}, nil
}

var (
	undeclared = regexp.MustCompile(`^undeclared reference to '([^']+)'`)
	// syntaxEnd finds what the parser says of an expression that is not finished, and the
	// one token that would go on, if there is only one.
	syntaxEnd = regexp.MustCompile(`^Syntax error: (?:missing ('.+') at|(?:mismatched|extraneous) input|no viable alternative at input) '<EOF>'(?: expecting (?:\{.*\}|('.+')))?$`)
	// expecting finds the list of all tokens there are that an expression could go on with.
	expecting = regexp.MustCompile(` expecting \{.*\}$`)
)

// filterErrors writes CEL's findings as field errors, at most ten.
func filterErrors(env *cel.Env, expr string, issues *cel.Issues) error {
	e := &tocsin.Error{Code: tocsin.CodeInvalid, Message: "invalid"}
	for i, found := range issues.Errors() {
		if i == 10 {
			break
		}
		message := strings.Join(strings.Fields(strings.ReplaceAll(found.Message, " (in container '')", "")), " ")
		if m := undeclared.FindStringSubmatch(found.Message); m != nil {
			message = unknownName(env, m[1], strings.Contains(expr, m[1]+"("))
		} else if m := syntaxEnd.FindStringSubmatch(message); m != nil {
			message = "the expression ends where " + cmp.Or(m[1], m[2], "a value") + " should follow"
		} else {
			message = expecting.ReplaceAllString(message, "")
		}
		// CEL counts columns from 0.
		text := fmt.Sprintf("line %d, column %d: %s", max(found.Location.Line(), 1), max(found.Location.Column(), 0)+1, message)
		e.Fields = append(e.Fields, tocsin.FieldError{Field: "filter", Message: text})
	}
	return e
}

var functionName = regexp.MustCompile(`^[a-zA-Z]\w*$`) // operators are functions, too

// unknownName says what a variable or a function should have been.
func unknownName(env *cel.Env, name string, function bool) string {
	names, kind := slices.Sorted(maps.Keys(filterVariables)), "a filter speaks of"
	if function {
		names, kind = slices.Sorted(maps.Keys(env.Functions())), "functions are"
		names = slices.DeleteFunc(names, func(n string) bool { return !functionName.MatchString(n) })
	}
	if near := catalog.Suggest(name, names); near != "" {
		return fmt.Sprintf("%s is not known here; did you mean %q?", catalog.Quote(name), near)
	}
	return fmt.Sprintf("%s is not known here; %s %s", catalog.Quote(name), kind, strings.Join(names, ", "))
}

// Match reports whether the filter says yes to an event of the category. A filter that
// cannot be evaluated (a key that is not there, too costly) says no, and the error
// says why.
func (f *Filter) Match(e *tocsin.Event, category string) (bool, error) {
	return f.match(newSubject(e, category))
}

func (f *Filter) match(s *subject) (bool, error) {
	out, _, err := f.program.Eval(s)
	if err != nil {
		return false, fmt.Errorf("evaluating the filter: %w", err)
	}
	yes, ok := out.Value().(bool)
	if !ok {
		return false, fmt.Errorf("evaluating the filter: it yields %s and not true or false", out.Type().TypeName())
	}
	return yes, nil
}

// subject is an event as filters and matching see it. What takes work to know is
// found out when first asked for. It is for one goroutine.
type subject struct {
	event    *tocsin.Event
	category string

	collection     string
	haveCollection bool
	data           any
	haveData       bool
}

func newSubject(e *tocsin.Event, category string) *subject {
	return &subject{event: e, category: category}
}

func (s *subject) collectionName() string {
	if !s.haveCollection {
		s.collection, s.haveCollection = s.event.Collection(), true
	}
	return s.collection
}

// ResolveName implements cel.Activation.
func (s *subject) ResolveName(name string) (any, bool) {
	e := s.event
	switch name {
	case "id":
		return e.ID, true
	case "source":
		return e.Source, true
	case "type":
		return e.Type, true
	case "category":
		return s.category, true
	case "subject":
		return e.Subject, true
	case "severity":
		return e.Severity.String(), true
	case "level":
		return int64(e.Severity), true
	case "status":
		return string(e.Status), true
	case "time":
		return e.Time, true
	case "dedup_key":
		return e.DedupKey, true
	case "title":
		return e.Title, true
	case "summary":
		return e.Summary, true
	case "link":
		return e.Link, true
	case "collection":
		return s.collectionName(), true
	case "labels":
		if e.Labels == nil {
			return map[string]string{}, true
		}
		return e.Labels, true
	case "data":
		return s.decodedData(), true
	}
	return nil, false
}

// Parent implements cel.Activation.
func (s *subject) Parent() cel.Activation { return nil }

// decodedData makes CEL's form of data: objects are maps and numbers doubles, as CEL
// has it for JSON. Without data it is an empty map, so that has(data.x) is false.
func (s *subject) decodedData() any {
	if !s.haveData {
		s.haveData = true
		if len(s.event.Data) == 0 || json.Unmarshal(s.event.Data, &s.data) != nil {
			s.data = map[string]any{}
		}
	}
	return s.data
}
