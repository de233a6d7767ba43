package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Report is everything that was measured, as -json writes it. Parts that were not measured
// this time keep what an earlier run wrote to the same file.
type Report struct {
	Machine Machine   `json:"machine"`
	Results []*Result `json:"results"`
}

// Machine is where it was measured.
type Machine struct {
	When     time.Time `json:"when"`
	CPU      string    `json:"cpu"`
	Cores    int       `json:"cores"`
	MemoryGB float64   `json:"memory_gb"`
	Go       string    `json:"go"`
	Tocsin   string    `json:"tocsin"`
	Postgres string    `json:"postgres,omitempty"`
}

func (r Report) find(part, store string) *Result {
	for _, p := range r.Results {
		if p.Part == part && p.Store == store {
			return p
		}
	}
	return nil
}

// readReport reads what an earlier run wrote; an empty report where there is none.
func readReport(path string) (r Report, err error) {
	text, err := os.ReadFile(path) // #nosec G304 -- the user's own file
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return r, fmt.Errorf("reading earlier results: %w", err)
	}
	return r, nil
}

// merge replaces what was measured again, and keeps the order of parts.
func (r *Report) merge(results []*Result) {
	for _, n := range results {
		r.Results = slices.DeleteFunc(r.Results, func(o *Result) bool { return o.Part == n.Part && o.Store == n.Store })
	}
	r.Results = append(r.Results, results...)
	order := partNames()
	slices.SortStableFunc(r.Results, func(a, b *Result) int { return slices.Index(order, a.Part) - slices.Index(order, b.Part) })
}

func (r Report) write(path string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return fmt.Errorf("encoding results: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil { // #nosec G306 -- to be read by all
		return fmt.Errorf("writing results: %w", err)
	}
	return nil
}

// publish writes tables and plots anew into a folder that has performance.md.
func (r Report) publish(dir string) error {
	path := filepath.Join(dir, "performance.md")
	text, err := os.ReadFile(path) // #nosec G304 -- the user's own file
	if err != nil {
		return fmt.Errorf("reading the report: %w", err)
	}
	plots := r.plots()
	for name, table := range map[string]string{"plots": plotLinks(plots), "machine": r.machineTable(), "figures": r.figuresTable(), "details": r.detailsTable(), "processes": r.processesTable()} {
		if text, err = replaceBetween(text, name, table); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if err := os.WriteFile(path, text, 0o644); err != nil { // #nosec G306 G703 -- a document, in the folder that the user names
		return fmt.Errorf("writing the report: %w", err)
	}
	for _, name := range sortedKeys(plots) {
		if err := os.WriteFile(filepath.Join(dir, "img", name), []byte(plots[name]), 0o644); err != nil { // #nosec G306 -- a document
			return fmt.Errorf("writing a plot: %w", err)
		}
	}
	return nil
}

// plotLinks shows every plot there is.
func plotLinks(plots map[string]string) string {
	var b strings.Builder
	for _, name := range sortedKeys(plots) {
		title, _, _ := strings.Cut(name, ".")
		fmt.Fprintf(&b, "![%s](img/%s)\n\n", strings.ReplaceAll(strings.TrimPrefix(title, "bench-"), "-", " "), name)
	}
	return b.String()
}

// replaceBetween replaces what is between the markers of a name, which must be there once.
func replaceBetween(text []byte, name, inside string) ([]byte, error) {
	begin, end := "<!-- bench:begin "+name+" -->", "<!-- bench:end "+name+" -->"
	s := string(text)
	if strings.Count(s, begin) != 1 || strings.Count(s, end) != 1 {
		return nil, fmt.Errorf("want %s and %s once each", begin, end)
	}
	head, rest, _ := strings.Cut(s, begin)
	_, tail, ok := strings.Cut(rest, end)
	if !ok {
		return nil, fmt.Errorf("%s comes after its end", begin)
	}
	return []byte(head + begin + "\n" + inside + end + tail), nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
