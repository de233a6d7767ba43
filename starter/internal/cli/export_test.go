package cli

import (
	"io"
	"time"

	"github.com/spf13/cobra"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// Loaded is what a file of webhooks holds, or what is wrong with it.
type Loaded struct {
	Values []map[string]any
	Lines  []int // of each of the values' field "config.url", or of what is nearest
	Wrong  []tocsin.FieldError
}

// Load reads a file of webhooks, named "hooks.yaml".
func Load(content []byte) Loaded {
	p := &program{Env: Env{Getenv: func(string) string { return "from the environment" }}}
	var wrong complaints
	var l Loaded
	for _, w := range p.parseFile("hooks.yaml", content, &wrong) {
		l.Values = append(l.Values, w.value)
		l.Lines = append(l.Lines, w.line("config.url"))
	}
	l.Wrong = wrong
	return l
}

// Progress shows how far long work is.
type Progress struct{ g *progress }

// NewProgress returns one with its own clock, on a terminal or not.
func NewProgress(w io.Writer, terminal bool, now func() time.Time) Progress {
	return Progress{&progress{w: w, bar: terminal, what: "working", now: now, began: now()}}
}

// At says how far it is, Line writes a line of its own, End ends it.
func (p Progress) At(done, total int64, note string) { p.g.at(done, total, note) }

// Line writes a line of its own.
func (p Progress) Line(text string) { p.g.line(text) }

// End ends it.
func (p Progress) End() { p.g.end() }

// Root is the whole tree of commands, with those that the library adds.
func Root() *cobra.Command {
	p := &program{Env: Env{Getenv: func(string) string { return "" }, Stdout: io.Discard, Stderr: io.Discard, Version: "v0"}}
	root := p.root()
	root.InitDefaultHelpCmd()
	return root
}

// Tree is a command and all below it.
func Tree(cmd *cobra.Command) []*cobra.Command { return tree(cmd) }

// Draft is what init writes for a channel, and the variables it refers to.
func Draft(ch tocsin.Channel) (text string, variables []string, err error) {
	d, err := newDraft([]tocsin.Channel{ch})
	if err != nil {
		return "", nil, err
	}
	return d.String(), d.variables, nil
}

// DraftSettings are the settings that drafts explain, with the values they show; Settings
// are those there are.
func DraftSettings() map[string]string {
	out := map[string]string{}
	for _, s := range settingWords {
		out[s.name] = s.value
	}
	return out
}

// Settings are the names of a webhook's settings but for config.
func Settings() []string { return settingNames() }
