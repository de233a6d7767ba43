package email

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
)

const (
	// maxHTML keeps below the 102 kB at which Gmail clips a message, in bytes. Google does
	// not document it: https://www.spamresource.com/2022/01/what-is-gmail-clipping-and-what-to-do.html
	maxHTML = 95_000
	// maxMessage is the most we send in bytes, encoded. It is ours: servers commonly take
	// 10 MB and more, and nobody reads that.
	maxMessage = 500_000
	// maxCards is how many events are tried with all their facts: a card takes more than
	// a hundredth of maxHTML.
	maxCards = 100
	// maxLink is the longest link shown, in bytes.
	maxLink = 2000
)

// detail is one step of the ladder: how long texts may be, in characters.
type detail struct{ name, summary, fact int }

// The steps with facts. Below them are rows of one line.
var (
	full  = detail{name: 200, summary: 4000, fact: 500}
	brief = detail{name: 150, summary: 600, fact: 120}
	row   = detail{name: 120}
	short = detail{name: 60}
)

// page is what both bodies show.
type page struct {
	Title, Headline string
	Test            bool
	Cards           []card
	Rows            []card
	More            int // events that are not shown
	Webhook, ID     string
	Link            string // back to the delivery
}

// card is one event.
type card struct {
	Mark, Word, Name string
	Accent, Tint     string
	Summary          string
	Facts            []alert.Fact
	Subject          string // in rows, which have no facts
	Link, Host       string
}

// render fits a delivery into a message: everything in full, else with shorter texts, else
// one line per event, else as many lines as fit and "+N more". truncated counts the events
// that lost something.
func render(c config, n tocsin.Notification) (msg []byte, truncated int, err error) {
	if len(n.Events) <= maxCards {
		for _, d := range []detail{full, brief} {
			p, cut := cards(c, n, d)
			if msg, ok, err := p.message(c, n); err != nil || ok {
				return msg, cut, err
			}
		}
	}
	var lines page
	for _, d := range []detail{row, short} {
		lines = rows(c, n, d)
		if msg, ok, err := lines.message(c, n); err != nil || ok {
			return msg, len(n.Events), err
		}
	}
	// The largest number of lines that fits.
	fits, over := 0, len(n.Events)
	for over-fits > 1 {
		middle := (fits + over) / 2
		try, ok, err := lines.first(middle).message(c, n)
		if err != nil {
			return nil, 0, err
		}
		if ok {
			msg, fits = try, middle
		} else {
			over = middle
		}
	}
	if msg == nil {
		return nil, 0, fmt.Errorf("not even one event fits into %d bytes", maxMessage)
	}
	return msg, len(n.Events), nil
}

// message renders the page, and reports whether it is small enough.
func (p page) message(c config, n tocsin.Notification) ([]byte, bool, error) {
	html, err := p.html()
	if err != nil || len(html) > maxHTML {
		return nil, false, err
	}
	msg, err := message(c, n, p.text(), html)
	return msg, len(msg) <= maxMessage, err
}

// frame is a page without events.
func frame(c config, n tocsin.Notification) page {
	p := page{Title: subject(c, n), Test: n.Test, Webhook: alert.Clean(n.WebhookName, true), ID: n.DeliveryID, Link: alert.DeliveryLink(n)}
	if len(n.Events) > 1 {
		p.Headline = alert.Headline(n)
	}
	return p
}

// cards is a page with all facts of all events, as long as d allows. It counts the events
// of which something was cut.
func cards(c config, n tocsin.Notification, d detail) (page, int) {
	p, truncated := frame(c, n), 0
	for i := range n.Events {
		e := &n.Events[i]
		cut := false
		fit := func(text string, oneLine bool, limit int) string {
			text, shortened := alert.Cut(alert.Clean(text, oneLine), limit, alert.Runes)
			cut = cut || shortened
			return text
		}
		card := head(e, fit(alert.Name(e), true, d.name))
		card.Summary = fit(e.Summary, false, d.summary)
		if card.Summary == card.Name {
			card.Summary = ""
		}
		for _, f := range alert.Facts(e) {
			if value := fit(f.Value, true, d.fact); value != "" {
				card.Facts = append(card.Facts, alert.Fact{Label: f.Label, Value: value})
			}
		}
		if cut || card.Link == "" && alert.Link(e) != "" {
			truncated++
		}
		p.Cards = append(p.Cards, card)
	}
	return p, truncated
}

// rows is a page with a line for each event, the worst first, so that what may be left out
// matters least.
func rows(c config, n tocsin.Notification, d detail) page {
	p := frame(c, n)
	events := make([]*tocsin.Event, len(n.Events))
	for i := range n.Events {
		events[i] = &n.Events[i]
	}
	slices.SortStableFunc(events, func(a, b *tocsin.Event) int { return cmp.Compare(b.Severity, a.Severity) })
	for _, e := range events {
		name, _ := alert.Cut(alert.Clean(alert.Name(e), true), d.name, alert.Runes)
		r := head(e, name)
		r.Subject, _ = alert.Cut(alert.Clean(e.Subject, true), d.name, alert.Runes)
		if r.Subject == r.Name {
			r.Subject = ""
		}
		p.Rows = append(p.Rows, r)
	}
	return p
}

// first is the page with its first lines only.
func (p page) first(shown int) page {
	p.Rows, p.More = p.Rows[:shown], len(p.Rows)-shown
	return p
}

// colours are the accent and the tint of a severity; dark enough to be read on white.
var colours = map[tocsin.Severity][2]string{
	tocsin.SeverityCritical: {"#b42318", "#fef3f2"}, tocsin.SeverityHigh: {"#b93815", "#fef6ee"}, tocsin.SeverityMedium: {"#93690b", "#fefbe8"},
	tocsin.SeverityLow: {"#175cd3", "#eff8ff"}, tocsin.SeverityInfo: {"#475467", "#f2f4f7"},
}

// head is what every form of an event begins with.
func head(e *tocsin.Event, name string) card {
	c := card{Mark: alert.Mark(e), Word: alert.Word(e), Name: name}
	colour, known := colours[e.Severity]
	switch {
	case e.Status == tocsin.Resolved:
		colour = [2]string{"#067647", "#ecfdf3"}
	case !known:
		colour = colours[tocsin.SeverityInfo]
	}
	c.Accent, c.Tint = colour[0], colour[1]
	if link := alert.Link(e); link != "" && len(link) <= maxLink {
		if u, err := url.Parse(link); err == nil {
			c.Link, c.Host = link, u.Hostname()
		}
	}
	return c
}

//go:embed message.html
var layout string

// pages is the HTML body. Its functions give texts back in pieces, never as markup.
var pages = template.Must(template.New("message").Funcs(template.FuncMap{"pieces": pieces, "lines": lines}).Parse(layout))

func (p page) html() (string, error) {
	var b bytes.Buffer
	err := pages.Execute(&b, p)
	return b.String(), err
}

// lines splits a text of several lines.
func lines(text string) []string { return strings.Split(text, "\n") }

// pieces splits hostile text where mail programs look for addresses to make links of: the
// template puts a <wbr> between the pieces, which is not seen and not copied.
func pieces(text string) []string {
	var out []string
	from := 0
	for i := 0; i+1 < len(text); i++ {
		c, next := text[i], text[i+1]
		if next > ' ' && (c == '@' || c == '.' || c == ':' && (next < '0' || next > '9')) {
			out, from = append(out, text[from:i+1]), i+1
		}
	}
	return append(out, text[from:])
}
