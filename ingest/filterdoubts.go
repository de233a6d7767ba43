package ingest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// FilterDoubts names what a filter compares severity, status, category or type with that
// these never are: it is valid, and matches less than its author thinks. An expression that
// is none has no doubts; [CompileFilter] says what is wrong with it.
func (in *Ingest) FilterDoubts(expr string) []string {
	env, err := filterEnv()
	if err != nil || strings.TrimSpace(expr) == "" {
		return nil
	}
	compiled, issues := env.Compile(expr)
	if issues.Err() != nil {
		return nil
	}
	known := in.knownValues()
	var doubts []string
	ast.PreOrderVisit(compiled.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		name, texts := comparison(e)
		allowed := known[name]
		for _, text := range texts {
			if allowed == nil || slices.Contains(allowed, text) || name == "type" && catalog.IsCustom(text) {
				continue
			}
			if doubt := doubtful(name, text, allowed); !slices.Contains(doubts, doubt) {
				doubts = append(doubts, doubt)
			}
		}
	}))
	return doubts
}

// knownValues are all that these variables of a filter can be.
func (in *Ingest) knownValues() map[string][]string {
	categories := map[string]bool{catalog.CategoryCustom: true}
	var types []string
	for _, t := range in.catalog.Types() {
		types = append(types, t.Type)
		categories[t.Category] = true
	}
	return map[string][]string{
		"severity": tocsin.Severities(), "status": {string(tocsin.Firing), string(tocsin.Resolved)},
		"category": slices.Sorted(maps.Keys(categories)), "type": types,
	}
}

// comparison returns the variable that is compared, and the texts it is compared with; ""
// for what is no such expression.
func comparison(e ast.Expr) (name string, texts []string) {
	if e.Kind() != ast.CallKind || len(e.AsCall().Args()) != 2 {
		return "", nil
	}
	left, right := e.AsCall().Args()[0], e.AsCall().Args()[1]
	switch e.AsCall().FunctionName() {
	case operators.Equals, operators.NotEquals:
		if left.Kind() != ast.IdentKind {
			left, right = right, left
		}
		texts = literals(right)
	case operators.In:
		if right.Kind() == ast.ListKind {
			texts = literals(right.AsList().Elements()...)
		}
	}
	if left.Kind() != ast.IdentKind {
		return "", nil
	}
	return left.AsIdent(), texts
}

// literals are those of expressions that are texts as they stand.
func literals(all ...ast.Expr) (texts []string) {
	for _, e := range all {
		if e.Kind() != ast.LiteralKind {
			continue
		}
		if text, ok := e.AsLiteral().Value().(string); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

// few is how many values are listed; of more, the nearest is named.
const few = 10

func doubtful(name, text string, allowed []string) string {
	doubt := fmt.Sprintf("%s is never %s", name, catalog.Quote(text))
	switch near := catalog.Suggest(text, allowed); {
	case near != "":
		doubt += fmt.Sprintf("; did you mean %q?", near)
	case len(allowed) <= few:
		doubt += "; it is " + strings.Join(allowed[:len(allowed)-1], ", ") + " or " + allowed[len(allowed)-1]
	default:
		doubt += "; it is one of the catalog, or begins with " + catalog.CustomPrefix
	}
	return doubt
}
