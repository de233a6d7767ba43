package catalog

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"

	"github.com/tocsin-alerts/tocsin"
)

//go:embed guidance.json
var guidanceFile []byte

const threatType = "threat.detected"

// Guidance tells the person who receives a threat what it is and what to do. Its JSON
// form is part of the published threat payload; its names must not change.
type Guidance struct {
	Overview    Overview    `json:"overview"`
	Remediation Remediation `json:"remediation"`
}

// Overview says what a threat is.
type Overview struct {
	Description string `json:"description"`
	Details     string `json:"details"`
	Impact      string `json:"impact"`
}

// Remediation says what to do, in Markdown.
type Remediation struct {
	Title string `json:"title"`
	Steps []Step `json:"steps"`
}

// Step is one thing to do.
type Step struct {
	Title string `json:"title"`
	Text  string `json:"text"`
}

// guidanceEntry is guidance in a file: for these names of filters or sub-categories.
type guidanceEntry struct {
	Filters []string `json:"filters"`
	// Severity is what a threat of the filter counts as when its event says nothing.
	Severity tocsin.Severity `json:"severity,omitempty"`
	Guidance
}

// guidanceIndex finds entries by normalized name.
type guidanceIndex map[string]guidanceEntry

// threat is what guidance depends on in an event's data.
type threat struct {
	FilterID    string          `json:"filterId"`
	SubCategory string          `json:"subCategory"`
	Overview    json.RawMessage `json:"overview"`
	Remediation json.RawMessage `json:"remediation"`
}

func threatFields(e *tocsin.Event) threat {
	var t threat
	// Data of another shape names no filter, and so gets generic words.
	_ = json.Unmarshal(e.Data, &t)
	return t
}

func builtInGuidance() guidanceIndex {
	entries, err := parseGuidance(guidanceFile)
	if err != nil {
		panic(fmt.Sprintf("reading the catalog: guidance.json: %v", err))
	}
	return entries
}

// LoadGuidance adds the guidance of a user's file, which wins over the built-in for
// the filters it names. The file is JSON: {"guidance": [{"filters": ["SQLInjection"],
// "severity": "high", "overview": {…}, "remediation": {…}}]}. It must be called before
// the catalog is shared.
func (c *Catalog) LoadGuidance(path string) error {
	text, err := os.ReadFile(path) // #nosec G304 -- the operator's own file
	if err != nil {
		return fmt.Errorf("reading guidance: %w", err)
	}
	entries, err := parseGuidance(text)
	if err != nil {
		return fmt.Errorf("reading guidance: %s: %w", path, err)
	}
	all := maps.Clone(c.guidance)
	maps.Copy(all, entries)
	c.guidance = all
	return nil
}

func parseGuidance(text []byte) (guidanceIndex, error) {
	var file struct {
		Guidance []guidanceEntry `json:"guidance"`
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&file); err != nil {
		return nil, err
	}
	entries := guidanceIndex{}
	for i, entry := range file.Guidance {
		if len(entry.Filters) == 0 {
			return nil, fmt.Errorf("entry %d names no filters", i)
		}
		if entry.Remediation.Steps == nil {
			entry.Remediation.Steps = []Step{}
		}
		for _, name := range entry.Filters {
			if normalize(name) == "" {
				return nil, fmt.Errorf("entry %d: %q is not a name", i, name)
			}
			entries[normalize(name)] = entry
		}
	}
	return entries, nil
}

// normalize makes SQLInjection, SQL_INJECTION and "sql injection" the same name, since
// producers write filters and sub-categories in all of these ways.
func normalize(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return -1
	}, name)
}

// find looks for the filter, then for the sub-category.
func (g guidanceIndex) find(t threat) (guidanceEntry, bool) {
	if entry, ok := g[normalize(t.FilterID)]; ok {
		return entry, true
	}
	entry, ok := g[normalize(t.SubCategory)]
	return entry, ok
}

// Guidance returns what to tell about an event: its own overview and remediation where
// data carries them, else the guidance for its filter or sub-category, else generic
// words. Overview and remediation are taken each on its own.
func (c *Catalog) Guidance(e *tocsin.Event) Guidance {
	t := threatFields(e)
	entry, ok := c.guidance.find(t)
	if !ok {
		entry.Guidance = generic(cmp.Or(t.FilterID, e.Type))
	}
	g := entry.Guidance
	var own Overview
	if isObject(t.Overview) && json.Unmarshal(t.Overview, &own) == nil {
		g.Overview = own
	}
	g.Remediation = ownRemediation(t.Remediation, g.Remediation)
	return g
}

// ownRemediation reads the event's own: the published object, or, as other types
// carry it, plain text.
func ownRemediation(raw json.RawMessage, otherwise Remediation) Remediation {
	var own Remediation
	if isObject(raw) && json.Unmarshal(raw, &own) == nil {
		if own.Steps == nil {
			own.Steps = []Step{}
		}
		return own
	}
	var text string
	if len(raw) > 0 && json.Unmarshal(raw, &text) == nil && text != "" {
		return Remediation{Title: "Remediation", Steps: []Step{{Title: "What to do", Text: text}}}
	}
	return otherwise
}

func isObject(raw json.RawMessage) bool {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	return len(raw) > 0 && raw[0] == '{'
}

// generic is said about what no guidance is known for. It depends on nothing but the
// filter, since events of one filter share it.
func generic(what string) Guidance {
	return Guidance{
		Overview: Overview{
			Description: "An alert of " + what + ".",
			Details:     "There is no guidance for this filter yet. The event's own data says who did what, when, and to which component.",
			Impact:      "Not known. Judge by the severity, by what the component can reach, and by whether the attempt succeeded.",
		},
		Remediation: Remediation{Title: "What to do", Steps: []Step{
			{Title: "Look at the samples", Text: "Read the requests that the event carries and decide whether they are an attack, a test or a mistake."},
			{Title: "Check whether it worked", Text: "Follow the component's logs around the time of the event and look for what the request asked for."},
			{Title: "Close the way", Text: "Block the actor where that is warranted, fix the weakness that was tried, and rotate whatever may have been seen."},
		}},
	}
}

// GuidanceKey names the guidance of a threat: events with equal keys may share one
// threat payload, which has room for one overview and one remediation. It depends on
// the filter, and on the event's own guidance where it carries some. Events of other
// types have the key "".
func (c *Catalog) GuidanceKey(e *tocsin.Event) string {
	if e.Type != threatType {
		return ""
	}
	t := threatFields(e)
	// A filter without guidance of its own is explained by its sub-category.
	sub := ""
	if _, ok := c.guidance[normalize(t.FilterID)]; !ok {
		sub = t.SubCategory
	}
	// One length before each part, so that parts cannot run into each other.
	h := sha256.New()
	for _, part := range []string{t.FilterID, sub, compact(t.Overview), compact(t.Remediation)} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// compact makes the same guidance equal however its JSON is spaced.
func compact(raw json.RawMessage) string {
	var b bytes.Buffer
	if len(raw) == 0 || json.Compact(&b, raw) != nil {
		return ""
	}
	return b.String()
}
