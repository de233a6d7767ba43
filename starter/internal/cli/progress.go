package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

const (
	// firstLine is how long work lasts before it is worth a line, where there is no
	// terminal; lineEvery is how often another one follows.
	firstLine = 2 * time.Second
	lineEvery = 5 * time.Second
	// barEvery is how often a bar is drawn at most: more often is not seen.
	barEvery = 100 * time.Millisecond
	barWidth = 24
)

// progress shows on standard error how far long work is: a bar on a terminal, a line
// now and then elsewhere, and nothing with -o json or --quiet.
type progress struct {
	w    io.Writer // nil shows nothing
	bar  bool
	what string
	now  func() time.Time

	began, shown time.Time
	drawn        bool
}

// progress begins to watch some work.
func (p *program) progress(what string) *progress {
	g := &progress{w: p.Stderr, what: what, now: time.Now, bar: isTerminal(p.Stderr)}
	if p.output == "json" || p.quiet {
		g.w = nil
	}
	g.began = g.now()
	return g
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) // #nosec G115 -- a file descriptor is small
}

// shows reports whether somebody is watching, for those who would have to count first.
func (g *progress) shows() bool { return g.w != nil }

// at says how much of total is done, and more in note; a total of 0 or less is not
// known.
func (g *progress) at(done, total int64, note string) {
	if g.w == nil {
		return
	}
	now := g.now()
	wait := barEvery
	switch {
	case !g.bar && g.shown.IsZero():
		wait = firstLine
	case !g.bar:
		wait = lineEvery
	}
	since := g.shown
	if since.IsZero() && !g.bar {
		since = g.began
	}
	if now.Sub(since) < wait {
		return
	}
	g.shown = now
	g.show(done, total, note)
}

func (g *progress) show(done, total int64, note string) {
	if !g.bar {
		fmt.Fprintf(g.w, "%s: %s%s\n", g.what, share(done, total), note)
		return
	}
	g.drawn = true
	fmt.Fprintf(g.w, "\r%s %s%s%s\x1b[K", g.what, drawing(done, total), share(done, total), note)
}

// share is the percentage, where it is known.
func share(done, total int64) string {
	if total <= 0 {
		return ""
	}
	return fmt.Sprintf("%3d%%  ", 100*min(done, total)/total)
}

// drawing is the bar itself, where its length is known.
func drawing(done, total int64) string {
	if total <= 0 {
		return "… "
	}
	full := int(float64(barWidth) * float64(min(done, total)) / float64(total))
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", barWidth-full) + "] "
}

// line writes one line of its own, whatever time it is: a change worth knowing.
func (g *progress) line(text string) {
	if g.w == nil {
		return
	}
	g.end()
	fmt.Fprintln(g.w, clean(text))
}

// end takes the bar away: what became of the work is told elsewhere.
func (g *progress) end() {
	if g.drawn {
		fmt.Fprint(g.w, "\r\x1b[K")
		g.drawn = false
	}
}
