package email

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// text is the plain body. Lines of the events' own begin with two spaces or after a label,
// so that none can pass for one of ours.
func (p page) text() string {
	var b strings.Builder
	if p.Test {
		b.WriteString("[TEST] This is a test. Nothing has happened.\n\n")
	}
	if p.Headline != "" {
		b.WriteString(p.Headline + "\n\n")
	}
	for i, c := range p.Cards {
		if i > 0 {
			b.WriteString("\n" + strings.Repeat("-", 40) + "\n\n")
		}
		c.text(&b)
	}
	for _, r := range p.Rows {
		b.WriteString(r.title() + "\n")
		for _, text := range []string{r.Subject, r.Link} {
			if text != "" {
				b.WriteString("  " + text + "\n")
			}
		}
	}
	if p.More > 0 {
		fmt.Fprintf(&b, "\n+%d more\n", p.More)
	}
	// The line of two hyphens and a space is the sign before a signature:
	// https://www.rfc-editor.org/rfc/rfc3676#section-4.3
	b.WriteString("\n-- \nTocsin, webhook " + p.Webhook + ", delivery " + p.ID + "\n")
	if p.Link != "" {
		b.WriteString(p.Link + "\n")
	}
	return b.String()
}

// title is the first line of an event.
func (c card) title() string {
	if c.Word == "" {
		return c.Mark + " " + c.Name
	}
	return c.Mark + " " + c.Word + ": " + c.Name
}

// text is one event with its facts, the values in a column.
func (c card) text(b *strings.Builder) {
	b.WriteString(c.title() + "\n\n")
	if c.Summary != "" {
		b.WriteString("  " + strings.ReplaceAll(c.Summary, "\n", "\n  ") + "\n\n")
	}
	width := 0
	for _, f := range c.Facts {
		width = max(width, utf8.RuneCountInString(f.Label))
	}
	for _, f := range c.Facts {
		fmt.Fprintf(b, "%-*s %s\n", width+1, f.Label+":", f.Value)
	}
	if c.Link != "" {
		b.WriteString("\nOpen: " + c.Link + "\n")
	}
}
