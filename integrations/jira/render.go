package jira

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
)

const (
	// maxSummary is Jira's limit on a summary, in characters, with no line break:
	// https://docs.exalate.com/docs/known-issue-summary-character-limit
	maxSummary = 255
	// maxText is the limit on a description and on a comment, in characters; what Jira says
	// beyond it: https://github.com/bhaalsen/gitmerger/issues/9. In Data Center an administrator
	// may change it (jira.text.field.character.limit).
	maxText = 32_767
	// maxPath is how much of a path a summary has room for, ours.
	maxPath = 30
	// maxMethod bounds what claims to be an HTTP method, ours.
	maxMethod = 10
)

// level is a step of the ladder: how long each text may be, in UTF-16 units.
type level struct {
	prose, step, fact, sample, note int
	samples, steps, references      int
	facts                           int
}

// ladder goes from everything to a few lines that always fit.
var ladder = []level{
	{prose: maxText, step: 2000, fact: 1000, sample: 2000, note: 2000, samples: 5, steps: 20, references: 20, facts: 60},
	{prose: 1200, step: 500, fact: 250, sample: 500, note: 500, samples: 1, steps: 8, references: 8, facts: 40},
	{prose: 300, step: 0, fact: 100, sample: 0, note: 200, samples: 0, steps: 0, references: 3, facts: 20},
}

// page puts a text together and notes whether something was cut.
type page struct {
	level level
	parts []string
	cut   bool
}

// add appends a part; an empty one is none.
func (p *page) add(part string) {
	if part != "" {
		p.parts = append(p.parts, part)
	}
}

// section appends a part under a heading of ours.
func (p *page) section(heading, part string) {
	if part != "" {
		p.add("h3. " + heading + "\n" + part)
	}
}

func (p *page) prose(text string, limit int) string { return p.fit(text, limit, false, fitProse) }

func (p *page) literal(text string, limit int, oneLine bool) string {
	return p.fit(text, limit, oneLine, fitLiteral)
}

func (p *page) fit(text string, limit int, oneLine bool, fit func(string, int) (string, bool)) string {
	limit = max(limit, 0)
	// What is certain not to be shown costs no work: an event may have 256 KiB.
	text, long := head(text, 4*limit+(4<<10))
	text = clean(text, oneLine)
	if limit == 0 {
		p.cut = p.cut || text != ""
		return ""
	}
	out, cut := fit(text, limit)
	p.cut = p.cut || cut || long
	return out
}

func (p *page) String() string { return strings.Join(p.parts, "\n\n") }

// first is how many of n things are shown; fewer than all is a cut.
func (p *page) first(n, limit int) int {
	p.cut = p.cut || n > limit
	return min(n, limit)
}

// fit goes down the ladder until a text fits, and says whether anything was cut. The first
// prose of the text, lead, gets what the rest leaves.
func fit(lead string, render func(p *page, lead string)) (string, bool) {
	for i, l := range ladder {
		p := &page{level: l}
		render(p, "")
		// A blank line after the lead.
		room := min(l.prose, maxText-alert.UTF16(p.String())-2)
		if room < min(l.prose, 1000) && i < len(ladder)-1 {
			continue
		}
		q := &page{level: l}
		render(q, q.prose(lead, room))
		return q.String(), q.cut || i > 0
	}
	return "", true // the last step always returns
}

// summaryOf is the ticket's one line, at most 255 characters.
func summaryOf(n tocsin.Notification, e *tocsin.Event) (string, bool) {
	before, after := alert.TestMark(n), ""
	if e.Type == threatType {
		before += "Threat Report - "
		if d := detailsOf(e); d.method != "" || d.path != "" {
			method, _ := alert.Cut(alert.Clean(d.method, true), maxMethod, alert.UTF16)
			parts := []string{method, middle(alert.Clean(d.path, true), maxPath)}
			after = " (" + strings.Trim(strings.Join(parts, " - "), " -") + ")"
		}
	} else if word := alert.Word(e); word != "" {
		before += word + ": "
	}
	room := maxSummary - alert.UTF16(before) - alert.UTF16(after)
	name, cut := alert.Cut(alert.Clean(alert.Name(e), true), room, alert.UTF16)
	return before + name + after, cut
}

// middle shortens a path to limit runes by leaving out its middle: its beginning says
// which API it is, its end which resource.
func middle(path string, limit int) string {
	runes := []rune(path)
	if len(runes) <= limit {
		return path
	}
	front := (limit - 1) / 2
	return string(runes[:front]) + "…" + string(runes[len(runes)-(limit-1-front):])
}

// descriptionOf is the ticket's text. origin is a line of ours about where it comes from, or
// "".
func descriptionOf(guide *catalog.Catalog, n tocsin.Notification, e *tocsin.Event, origin string) (string, bool) {
	d := detailsOf(e)
	g := guidanceOf(guide, e, d)
	return fit(e.Summary, func(p *page, lead string) {
		if n.Test {
			p.add("*This is a test.* Nothing has happened.")
		}
		p.add(lead)
		p.add(origin)
		p.facts(factsOf(e, d))
		p.add(link("Open the alert", alert.Link(e)))
		p.section("Overview", p.paragraphs(g.Overview.Description, g.Overview.Details))
		p.section("Impact", p.prose(g.Overview.Impact, p.side()))
		p.section("Timeline (UTC)", noformat(timeline(e, d)...))
		p.section("Samples", p.sampleBlocks(d.samples))
		p.section("Remediation", p.remediation(g.Remediation))
		p.section("References", p.referenceList(d.references))
		p.add(footer(n, e))
	})
}

// fence begins and ends a block of code in Markdown, which guidance is written in.
const fence = "```"

// markdown is prose whose fenced blocks are preformatted. Everything else of Markdown stays
// as it is written.
func (p *page) markdown(text string, limit int) string {
	var out []string
	for i, piece := range strings.Split(text, fence) {
		code := i%2 == 1
		if code {
			// The rest of the opening line names a language.
			if _, rest, ok := strings.Cut(piece, "\n"); ok {
				piece = rest
			}
			piece = noformat(p.literal(piece, limit, false))
		} else {
			piece = p.prose(piece, limit)
		}
		if piece != "" {
			out = append(out, piece)
			limit = max(0, limit-alert.UTF16(piece))
		}
	}
	return strings.Join(out, "\n")
}

// side is the limit of prose that is not the lead.
func (p *page) side() int { return min(p.level.prose, 4000) }

func (p *page) paragraphs(list ...string) string {
	var out []string
	for _, text := range list {
		if text = p.prose(text, p.side()); text != "" {
			out = append(out, text)
		}
	}
	return strings.Join(out, "\n\n")
}

// facts are lines of label and value in one block.
func (p *page) facts(facts []alert.Fact) {
	var lines []string
	for _, f := range facts[:p.first(len(facts), p.level.facts)] {
		if value := p.literal(f.Value, p.level.fact, true); value != "" {
			lines = append(lines, f.Label+": "+value)
		}
	}
	p.add(noformat(lines...))
}

func (p *page) sampleBlocks(samples []sample) string {
	var out []string
	for _, s := range samples[:p.first(len(samples), p.level.samples)] {
		if text := p.literal(s.orig, p.level.sample, false); text != "" {
			out = append(out, noformat(text))
		}
	}
	return strings.Join(out, "\n")
}

func (p *page) remediation(r catalog.Remediation) string {
	var out []string
	if title := p.prose(r.Title, min(300, p.side())); title != "" && len(r.Steps) != 1 {
		out = append(out, title)
	}
	for _, s := range r.Steps[:p.first(len(r.Steps), p.level.steps)] {
		step := strings.Trim(p.prose(s.Title, 300)+"\n"+p.markdown(s.Text, p.level.step), "\n")
		if step != "" {
			out = append(out, step)
		}
	}
	return strings.Join(out, "\n\n")
}

func (p *page) referenceList(list []string) string {
	var out []string
	for _, address := range list[:p.first(len(list), p.level.references)] {
		text, cut := reference(alert.Clean(address, true), 900)
		p.cut = p.cut || cut
		if text != "" {
			out = append(out, "* "+text)
		}
	}
	return strings.Join(out, "\n")
}

// commentOf is what is said about an event on a ticket that exists: on which occasion, and
// what there is to know about the ticket itself, or "".
func commentOf(n tocsin.Notification, e *tocsin.Event, occasion, note string) (string, bool) {
	d := detailsOf(e)
	lead := alert.Name(e)
	if s := alert.Clean(e.Summary, false); s != "" && s != alert.Clean(lead, false) {
		lead += "\n" + e.Summary
	}
	return fit(lead, func(p *page, lead string) {
		p.add("*" + alert.TestMark(n) + occasion + "*")
		p.add(lead)
		p.add(p.prose(note, p.level.note))
		p.facts(factsOf(e, d))
		p.section("Timeline (UTC)", noformat(timeline(e, d)...))
		p.section("Samples", p.sampleBlocks(d.samples))
		p.add(link("Open the alert", alert.Link(e)))
		p.add(footer(n, e))
	})
}

// occasion says in our words why there is a comment.
func occasion(e *tocsin.Event) string {
	switch {
	case e.Type == tocsin.TypeIncidentAcknowledged:
		return "Acknowledged"
	case e.Status == tocsin.Resolved:
		return "Resolved"
	}
	return "Fired again"
}

// footer names where the text comes from. Its two marks are looked for when it is not
// known whether an earlier attempt has written it.
func footer(n tocsin.Notification, e *tocsin.Event) string {
	name, _ := alert.Cut(alert.Clean(n.WebhookName, true), 100, alert.UTF16)
	text := "Tocsin " + prose(name)
	if l := link("delivery", alert.DeliveryLink(n)); l != "" {
		text += " " + l
	}
	return strings.TrimSpace(text) + " ref " + ticketMark(n.WebhookID, alert.DedupKey(e)) + " " + eventMark(n.WebhookID, e)
}

// ticketMark names the ticket of a dedup key: one word for Jira's index, and no text of a
// producer's.
func ticketMark(webhookID, dedupKey string) string {
	sum := sha256.Sum256([]byte(webhookID + "\x00" + dedupKey))
	return hex.EncodeToString(sum[:12])
}

// eventMark names an event of an incident. The webhook's id is in it, which producers do not
// know: none can write the mark of another event into a text, so that it seems told.
func eventMark(webhookID string, e *tocsin.Event) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{webhookID, alert.DedupKey(e), e.Source, e.ID}, "\x00")))
	return hex.EncodeToString(sum[:8])
}
