package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// printResult prints what a part measured, as soon as it is known.
func printResult(out io.Writer, p part, r *Result) {
	fmt.Fprintf(out, "\n%s, %s: %s (%.0f s)\n", r.Part, r.Store, p.about, r.Seconds)
	width := 0
	for _, f := range r.Figures {
		width = max(width, utf8.RuneCountInString(f.Name))
	}
	for _, f := range r.Figures {
		pad := strings.Repeat(" ", width-utf8.RuneCountInString(f.Name))
		fmt.Fprintf(out, "  %s%s %10s %-3s%s\n", f.Name, pad, number(f.Value), f.Unit, verdict(f))
	}
	for _, u := range r.Used {
		fmt.Fprintf(out, "  CPU seconds in %.1f s, %s:", u.Seconds, u.During)
		for _, p := range u.Processes {
			fmt.Fprintf(out, " %s %.2f", p.Name, p.CPU)
		}
		fmt.Fprintf(out, "\n  RSS in MB, peak/end, %s:", u.During)
		for _, p := range u.Processes {
			fmt.Fprintf(out, " %s %.0f/%.0f", p.Name, p.PeakMB, p.EndMB)
		}
		fmt.Fprintln(out)
		if len(u.Actions) > 0 {
			fmt.Fprintf(out, "  Temporal actions, %s:", u.During)
			for _, kind := range sortedKeys(u.Actions) {
				fmt.Fprintf(out, " %s %.0f", kind, u.Actions[kind])
			}
			fmt.Fprintln(out)
		}
	}
}

func verdict(f Figure) string {
	switch {
	case f.Reach == "":
		return ""
	case f.Met:
		return "  " + f.Reach + ": reached"
	}
	return "  " + f.Reach + ": NOT REACHED"
}
