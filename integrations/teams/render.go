package teams

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
)

// Teams limits the card as a whole and no text of it. These are ours, in UTF-16 units, so
// that one long value does not push the others out of the card.
const (
	maxFacts     = 12
	fullTitle    = 200
	fullSummary  = 1500
	fullFact     = 300
	briefSummary = 400
	briefFact    = 100
	compactTitle = 120
	summaryTitle = 60

	// More events than these do not fit whatever they say, in detail (300 bytes each at the
	// least) or on a line (100): there is no need to render them to know.
	maxDetailed = 70
	maxListed   = 200
)

// render fits a notification into a card: everything in full, else with shorter texts,
// else one line per event, else as many short lines as fit and "+N more". truncated counts
// the events that lost something.
func render(n tocsin.Notification) (body []byte, truncated int, err error) {
	for _, step := range []struct {
		most     int
		elements func(tocsin.Notification) ([]element, int)
	}{{maxDetailed, full}, {maxDetailed, brief}, {maxListed, compact}} {
		if len(n.Events) > step.most {
			continue
		}
		elements, cut := step.elements(n)
		if body, err = finish(n, elements, 0); err != nil || fits(body) {
			return body, cut, err
		}
	}
	body, err = summary(n)
	return body, len(n.Events), err
}

// finish adds what every card ends in.
func finish(n tocsin.Notification, elements []element, more int) ([]byte, error) {
	var actions []action
	if link := alert.Link(&n.Events[0]); link != "" && len(n.Events) == 1 {
		actions = append(actions, openURL("Open", link))
	}
	if link := alert.DeliveryLink(n); link != "" {
		actions = append(actions, openURL("Delivery", link))
	}
	return encode(append(elements, footer(n, more)), actions, alert.Headline(n))
}

// footer says where this comes from, and how many events are not shown.
func footer(n tocsin.Notification, more int) element {
	name, _ := line(n.WebhookName, 100)
	runs := []run{small("Tocsin · " + name + " · " + n.DeliveryID)}
	if more > 0 {
		runs = []run{bold(fmt.Sprintf("+%d more", more)), small(" · "), runs[0]}
	}
	return text("medium", runs...)
}

func full(n tocsin.Notification) ([]element, int) { return detailed(n, fullSummary, fullFact, true) }
func brief(n tocsin.Notification) ([]element, int) {
	return detailed(n, briefSummary, briefFact, false)
}

// detailed shows each event with its summary and its facts. lines keeps the lines of
// summaries.
func detailed(n tocsin.Notification, summary, fact int, lines bool) ([]element, int) {
	var out []element
	if len(n.Events) > 1 {
		out = append(out, headline(n))
	}
	truncated := 0
	for i := range n.Events {
		e := &n.Events[i]
		cut := false
		note := func(text string, shortened bool) string { cut = cut || shortened; return text }
		items := []element{container(styles(e), text("", title(n, e, note)))}
		for j, paragraph := range paragraphs(note(alert.Cut(tidy(e.Summary, !lines), summary, alert.UTF16))) {
			items = append(items, text(spacing(j), plain(paragraph)))
		}
		for j, f := range alert.Facts(e) {
			if j == maxFacts {
				cut = true
				break
			}
			if value := note(line(f.Value, fact)); value != "" {
				items = append(items, text(spacing(j), bold(f.Label+": "), plain(value)))
			}
		}
		block := container("", items...)
		block.Separator = i > 0
		out = append(out, block)
		if cut {
			truncated++
		}
	}
	return out, truncated
}

// headline stands above several events, in our words alone.
func headline(n tocsin.Notification) element {
	r := bold(alert.Headline(n))
	r.Size = "medium"
	return text("", r)
}

// title is an event's name; among several it opens the event's link, which alone has a
// button.
func title(n tocsin.Notification, e *tocsin.Event, note func(string, bool) string) run {
	r := bold(alert.Prefix(n, e) + note(line(alert.Name(e), fullTitle)))
	r.Size = "medium"
	return linked(n, e, r)
}

// linked makes r open the event's link where it has no button.
func linked(n tocsin.Notification, e *tocsin.Event, r run) run {
	if link := alert.Link(e); link != "" && len(n.Events) > 1 {
		a := openURL("", link)
		r.Select = &a
	}
	return r
}

// paragraphs are the lines of a text that are not empty: not every client shows a line
// break within a TextRun.
func paragraphs(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

// spacing keeps the second and following lines of a block close.
func spacing(i int) string {
	if i == 0 {
		return "small"
	}
	return "none"
}

// styles colours the title by how bad it is.
func styles(e *tocsin.Event) string {
	switch {
	case e.Status == tocsin.Resolved:
		return "good"
	case e.Severity >= tocsin.SeverityHigh:
		return "attention"
	case e.Severity == tocsin.SeverityMedium:
		return "warning"
	}
	return "emphasis"
}

// compact shows each event on one line.
func compact(n tocsin.Notification) ([]element, int) {
	out := []element{headline(n)}
	for i := range n.Events {
		out = append(out, entry(n, &n.Events[i], compactTitle))
	}
	return out, len(n.Events)
}

// summary shows as many events as fit, each on a short line, and counts the rest.
func summary(n tocsin.Notification) (body []byte, err error) {
	elements := []element{headline(n)}
	for i := range n.Events[:min(len(n.Events), maxListed)] {
		elements = append(elements, entry(n, &n.Events[i], summaryTitle))
	}
	with := func(shown int) []byte {
		text, encodeErr := finish(n, elements[:1+shown:1+shown], len(n.Events)-shown)
		err = errors.Join(err, encodeErr)
		return text
	}
	tooMany := sort.Search(len(elements), func(shown int) bool { return !fits(with(shown)) })
	body = with(max(0, tooMany-1))
	return body, err
}

// entry is one event on one line.
func entry(n tocsin.Notification, e *tocsin.Event, limit int) element {
	name, _ := line(alert.Name(e), limit)
	runs := []run{plain(alert.Mark(e) + " "), linked(n, e, bold(name))}
	if subject, _ := line(e.Subject, limit); subject != "" && subject != name {
		runs = append(runs, plain(" "+subject))
	}
	return text("small", runs...)
}
