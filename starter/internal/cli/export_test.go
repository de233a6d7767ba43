package cli

import (
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
