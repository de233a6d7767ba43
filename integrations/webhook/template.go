package webhook

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// Bounds of a template and of one rendering. Templates are the user's programs: they
// may loop, but not for ever.
const (
	maxTemplateBytes = 64 << 10
	maxRenderSteps   = 250_000
	maxRenderTime    = 10 * time.Second
	maxRenderBytes   = 16 << 20
	// maxRenderDepth is how deep templates may call one another. text/template's own
	// bound, 100,000, takes hundreds of megabytes of stack.
	maxRenderDepth = 1000
)

// Names of functions that only instrument inserts.
const (
	tickFunc   = "_tick"
	enterFunc  = "_enter"
	leaveFunc  = "_leave"
	changeFunc = "_change"
)

// placeholders let a template with our functions in it be parsed.
func placeholders() template.FuncMap {
	nothing := func() string { return "" }
	return template.FuncMap{tickFunc: nothing, enterFunc: nothing, leaveFunc: nothing, changeFunc: func(string) string { return "" }}
}

// bodyTemplate is a compiled body template. It is safe for concurrent use.
type bodyTemplate struct{ parsed *template.Template }

// variable finds ${AKTO.…}, closed or not.
var variable = regexp.MustCompile(`\$\{AKTO\.([^}\n]*)(\}?)`)

// compile parses a template and replaces the variables in its text. They are replaced
// here and not in the output, because an event's text may contain them too.
func compile(text string) (*bodyTemplate, error) {
	if len(text) > maxTemplateBytes {
		return nil, fmt.Errorf("is %d bytes long; at most %d", len(text), maxTemplateBytes)
	}
	t, err := template.New("body_template").Option("missingkey=error").Funcs((&rendering{}).functions()).Funcs(placeholders()).Parse(text)
	if err != nil {
		return nil, errors.New(trimTemplate(err))
	}
	in := &instrumenter{source: text}
	in.tick = in.action("{{" + tickFunc + "}}")
	for _, each := range t.Templates() {
		if each.Tree != nil && each.Root != nil {
			in.list(each.Root)
			// Nothing leaves a template early but an error, so each enter has its leave.
			each.Root.Nodes = append(slices.Insert(each.Root.Nodes, 0, in.action("{{"+enterFunc+"}}")), in.action("{{"+leaveFunc+"}}"))
		}
	}
	return &bodyTemplate{t}, in.err
}

// instrumenter rewrites a parsed template: each round of a loop begins with a tick, each
// template is entered and left, and variables become calls.
type instrumenter struct {
	source string
	tick   parse.Node
	err    error
}

// action returns the node of one action of ours.
func (in *instrumenter) action(text string) parse.Node {
	t := template.Must(template.New("").Funcs(placeholders()).Parse(text))
	return t.Root.Nodes[0]
}

func (in *instrumenter) list(l *parse.ListNode) {
	if l == nil {
		return
	}
	out := make([]parse.Node, 0, len(l.Nodes))
	for _, node := range l.Nodes {
		switch n := node.(type) {
		case *parse.TextNode:
			out = append(out, in.text(n)...)
			continue
		case *parse.IfNode:
			in.branch(&n.BranchNode)
		case *parse.WithNode:
			in.branch(&n.BranchNode)
		case *parse.RangeNode:
			in.branch(&n.BranchNode)
			n.List.Nodes = slices.Insert(n.List.Nodes, 0, in.tick)
		}
		out = append(out, node)
	}
	l.Nodes = out
}

func (in *instrumenter) branch(b *parse.BranchNode) { in.list(b.List); in.list(b.ElseList) }

// text splits a text at its variables.
func (in *instrumenter) text(n *parse.TextNode) []parse.Node {
	var out []parse.Node
	rest := 0
	for _, m := range variable.FindAllSubmatchIndex(n.Text, -1) {
		name, closed := string(n.Text[m[2]:m[3]]), m[5] > m[4]
		if err := checkVariable(name, closed); err != nil && in.err == nil {
			line := 1 + strings.Count(in.source[:min(int(n.Pos), len(in.source))], "\n") + strings.Count(string(n.Text[:m[0]]), "\n")
			in.err = fmt.Errorf("line %d: %w", line, err)
		}
		if in.err != nil {
			return nil
		}
		out = append(out, &parse.TextNode{NodeType: parse.NodeText, Pos: n.Pos, Text: n.Text[rest:m[0]]},
			in.action(fmt.Sprintf("{{%s %q}}", changeFunc, strings.TrimPrefix(name, "changes_info."))))
		rest = m[1]
	}
	return append(out, &parse.TextNode{NodeType: parse.NodeText, Pos: n.Pos, Text: n.Text[rest:]})
}

func checkVariable(name string, closed bool) error {
	if !closed {
		return errors.New("${AKTO. is not closed by }")
	}
	short, ok := strings.CutPrefix(name, "changes_info.")
	if ok && slices.Contains(changeNames, short) {
		return nil
	}
	if near := catalog.Suggest(short, changeNames); near != "" {
		return fmt.Errorf("${AKTO.%s} is unknown; did you mean ${AKTO.changes_info.%s}?", name, near)
	}
	return fmt.Errorf("${AKTO.%s} is unknown; allowed after ${AKTO.changes_info.: %s", name, strings.Join(changeNames, ", "))
}

// eventError is about an event, and not about the template that was to show it.
type eventError struct{ error }

// render executes the template for a delivery. The same input gives the same bytes. An
// *eventError is about the delivery's events.
func (t *bodyTemplate) render(ctx context.Context, guide *catalog.Catalog, n tocsin.Notification) ([]byte, error) {
	dot, err := templateData(guide, n)
	if err != nil {
		return nil, &eventError{err}
	}
	ctx, cancel := context.WithTimeout(ctx, maxRenderTime)
	defer cancel()
	run := &rendering{ctx: ctx}
	if err := run.inTime(); err != nil {
		return nil, err
	}
	changes := dot["ChangesInfo"].(map[string]any)
	bound, err := t.parsed.Clone()
	if err != nil {
		return nil, err
	}
	bound.Funcs(run.functions()).Funcs(template.FuncMap{
		tickFunc: run.tick, enterFunc: run.enter, leaveFunc: run.leave,
		changeFunc: func(name string) (string, error) { return toJSON(changes[name]) },
	})
	err = bound.Execute(run, dot)
	if run.exceeded != nil {
		return nil, run.exceeded
	}
	if err != nil {
		return nil, errors.New(trimTemplate(err))
	}
	return run.out, nil
}

// boundError says which bound a template goes over.
type boundError struct{ text string }

func (e *boundError) Error() string { return e.text }

// rendering is one execution: its output and its bounds.
type rendering struct {
	ctx      context.Context
	steps    int
	depth    int
	out      []byte
	exceeded error // a *boundError
}

// exceed notes the bound and ends the execution.
func (r *rendering) exceed(format string, bound any) error {
	r.exceeded = &boundError{fmt.Sprintf(format, bound)}
	return r.exceeded
}

// tick ends a rendering that takes too many steps or too long.
func (r *rendering) tick() (string, error) {
	r.steps++
	if r.steps > maxRenderSteps {
		return "", r.exceed("the template takes more than %d steps", maxRenderSteps)
	}
	return "", r.inTime()
}

// inTime ends a rendering that takes too long.
func (r *rendering) inTime() error {
	if r.ctx.Err() != nil {
		return r.exceed("the template takes longer than %s", maxRenderTime)
	}
	return nil
}

// enter begins a template, the first or a called one.
func (r *rendering) enter() (string, error) {
	r.depth++
	if r.depth > maxRenderDepth {
		return "", r.exceed("the template's calls nest deeper than %d", maxRenderDepth)
	}
	return r.tick()
}

// leave ends a template.
func (r *rendering) leave() string {
	r.depth--
	return ""
}

// Write implements io.Writer, up to maxRenderBytes.
func (r *rendering) Write(p []byte) (int, error) {
	if len(r.out)+len(p) > maxRenderBytes {
		return 0, r.exceed("the output is over %d bytes", maxRenderBytes)
	}
	r.out = append(r.out, p...)
	return len(p), nil
}

// trimTemplate makes text/template's errors say where without repeating themselves.
func trimTemplate(err error) string {
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), "template: "), "body_template:")
}
