// Package importtest keeps the direction of imports: mains → app → {workflows →
// activities, api, console, ingest → catalog, integrations, store} → tocsin → standard
// library.
package importtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/tocsin-alerts/tocsin"

type pkg struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Standard", module+"/...").Output()
	if err != nil {
		t.Fatalf("listing packages: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("reading package list: %v", err)
		}
		all = append(all, p)
	}
}

// layer is the first folder of a package of ours: "" for the root, "?" for others.
func layer(path string) string {
	if path == module {
		return ""
	}
	rest, ok := strings.CutPrefix(path, module+"/")
	if !ok {
		return "?"
	}
	first, _, _ := strings.Cut(rest, "/")
	return first
}

// allowed says which layers a layer may import besides itself, the root and libraries.
var allowed = map[string][]string{
	"":             {},
	"catalog":      {"internal"}, // internal/jsonscan, which imports nothing
	"store":        {},
	"integrations": {"catalog", "internal"}, // internal/tracecontext
	"ingest":       {"catalog", "internal"},
	"webhooks":     {"catalog", "internal"},
	"console":      {"catalog"},
	"activities":   {"ingest", "internal"},
	"workflows":    {"activities"},
	"api":          {"catalog", "ingest", "webhooks", "console", "internal"},
	"app":          {"activities", "api", "catalog", "console", "ingest", "integrations", "internal", "store", "webhooks", "workflows"},
	"bench":        {"store"},
	"deploy":       {},
	"starter":      {"app", "workflows"},
	"worker":       {"app"},
	"internal":     {},
}

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range packages(t) {
		from := layer(p.ImportPath)
		may, known := allowed[from]
		if !known {
			t.Errorf("%s: a new top-level folder needs a line here and a reason in docs/adr", p.ImportPath)
			continue
		}
		ok := map[string]bool{"": true, from: true, "?": true}
		for _, l := range may {
			ok[l] = true
		}
		for _, imp := range p.Imports {
			if !ok[layer(imp)] {
				t.Errorf("%s imports %s: %s may import %v", p.ImportPath, imp, from, may)
			}
		}
	}
}

// libraries says who may know a technology.
var libraries = map[string][]string{
	"go.temporal.io/sdk":        {"workflows", "activities", "app"},
	"go.temporal.io/server":     {},
	"github.com/jackc/pgx":      {"store", "bench"}, // bench fills tables past the store, as its own limit
	"modernc.org/sqlite":        {"store"},
	"github.com/coreos/go-oidc": {"console"},
	"golang.org/x/oauth2":       {"console"},
}

func TestTechnologiesHaveOneHome(t *testing.T) {
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			if p.ImportPath == module && strings.Contains(strings.Split(imp, "/")[0], ".") {
				t.Errorf("the root package imports %s: standard library only", imp)
			}
			for lib, homes := range libraries {
				if strings.HasPrefix(imp, lib) && !contains(homes, layer(p.ImportPath)) {
					t.Errorf("%s imports %s: only %v may", p.ImportPath, imp, homes)
				}
			}
		}
	}
}

func TestChannelsDoNotKnowEachOther(t *testing.T) {
	const root = module + "/integrations/"
	for _, p := range packages(t) {
		channel, ok := strings.CutPrefix(p.ImportPath, root)
		if !ok || strings.HasPrefix(channel, "internal") || strings.HasPrefix(channel, "integrationtest") {
			continue
		}
		own, _, _ := strings.Cut(channel, "/")
		for _, imp := range p.Imports {
			other, ok := strings.CutPrefix(imp, root)
			if first, _, _ := strings.Cut(other, "/"); ok && first != own && first != "internal" {
				t.Errorf("%s imports channel %s", p.ImportPath, imp)
			}
		}
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
