package console

import (
	"embed"
	"fmt"
	"html/template"
	"strings"
)

//go:embed templates
var templateFiles embed.FS

// shared are the files that every page is made with: the frame, and the pieces that
// pages have in common.
var shared = []string{"templates/layout.html", "templates/pieces.html"}

// parsePages makes a set of templates of every page: its own file, which defines "main"
// and the parts ("part:…") that are asked for alone, with those that are shared.
func parsePages(a assets) (map[string]*template.Template, error) {
	base, err := template.New("").Funcs(functions(a)).ParseFS(templateFiles, shared...)
	if err != nil {
		return nil, fmt.Errorf("reading templates: %w", err)
	}
	entries, err := templateFiles.ReadDir("templates")
	if err != nil {
		return nil, fmt.Errorf("reading templates: %w", err)
	}
	pages := map[string]*template.Template{}
	for _, e := range entries {
		name, file := strings.TrimSuffix(e.Name(), ".html"), "templates/"+e.Name()
		if file == shared[0] || file == shared[1] {
			continue
		}
		page, err := base.Clone()
		if err == nil {
			page, err = page.ParseFS(templateFiles, file)
		}
		if err != nil {
			return nil, fmt.Errorf("reading templates: %w", err)
		}
		pages[name] = page
	}
	return pages, nil
}

// functions are what templates may call; format.go has most of them.
func functions(a assets) template.FuncMap {
	return template.FuncMap{
		"asset": a.url, "to": to, "dict": dict, "problemField": problemField,
		"ago": ago, "when": when, "day": day, "number": number, "compact": compact, "bytes": size, "ms": milliseconds,
		"duration": duration, "percent": percent, "json": pretty, "pill": pill, "plural": plural, "add": func(a, b int) int { return a + b }, "chart": func(c Chart) template.HTML { return c.SVG() },
	}
}
