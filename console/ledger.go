package console

import (
	"cmp"
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strings"
)

func ledgerRoutes() []route {
	return []route{{pattern: "GET ledger", do: ledger}}
}

// stack is a balance as a bar: what was accepted, and where it is.
type stack struct {
	balance
	// Title and URL name and lead to what it is the balance of.
	Title, URL string
}

// share is one part of a bar.
type share struct {
	Name, Tone string
	Count      int64
}

// shares are the parts of a balance, in the order of the equation.
func (b balance) shares() []share {
	return []share{
		{"delivered", "ok", b.Delivered}, {"pending", "busy", b.Pending}, {"in flight", "flight", b.InFlight},
		{"dead", "bad", b.Dead}, {"suppressed", "idle", b.Suppressed},
	}
}

// Shares are the parts that a bar shows.
func (s stack) Shares() []share { return s.shares() }

// Where is the sum of the parts.
func (b balance) Where() int64 {
	return b.Delivered + b.Pending + b.InFlight + b.Dead + b.Suppressed
}

// Wrong is the difference in words; "" when all adds up.
func (s stack) Wrong() string {
	n, verb := s.Difference, "were accepted and are nowhere"
	if n == 0 {
		return ""
	}
	if n == 1 {
		verb = "was accepted and is nowhere"
	}
	if n < 0 {
		n, verb = -n, "are counted that nobody accepted, or are counted twice"
		if n == 1 {
			verb = "is counted that nobody accepted, or is counted twice"
		}
	}
	text := counted(n, "event")
	return text + " " + verb
}

// rank orders: what does not add up comes first.
func (s stack) rank() int {
	if s.Difference != 0 {
		return 0
	}
	return 1
}

// barWide is a bar's width in its own units.
const barWide = 1000.0

// Bar draws the parts beside each other. A part that is not nothing is never too narrow
// to be seen; the text beside has the numbers.
func (s stack) Bar() template.HTML {
	var words []string
	var b strings.Builder
	parts := s.shares()
	widths := barWidths(parts)
	x := 0.0
	for i, part := range parts {
		n := grouped(part.Count)
		words = append(words, n+" "+part.Name)
		if widths[i] > 0 {
			fmt.Fprintf(&b, `<rect class="share %s" x="%.1f" y="0" width="%.1f" height="20"/>`, part.Tone, x, max(widths[i]-2, 1))
			x += widths[i]
		}
	}
	accepted := grouped(s.Accepted)
	label := fmt.Sprintf("%s: %s accepted; %s", s.Title, accepted, strings.Join(words, ", "))
	// #nosec G203 -- the label is escaped, the rest is numbers and our own words
	return template.HTML(fmt.Sprintf(`<svg class="bar" viewBox="0 0 %.0f 20" preserveAspectRatio="none" role="img" aria-label="%s"><rect class="ground" width="100%%" height="20"/>%s</svg>`,
		barWide, template.HTMLEscapeString(label), b.String()))
}

// barWidths shares the bar's width: at least a hundredth to each part that is not nothing.
func barWidths(parts []share) []float64 {
	const least = barWide / 100
	var sum, some float64
	for _, p := range parts {
		if p.Count > 0 {
			sum += float64(p.Count)
			some++
		}
	}
	widths := make([]float64, len(parts))
	for i, p := range parts {
		if p.Count > 0 {
			widths[i] = least + (barWide-least*some)*float64(p.Count)/sum
		}
	}
	return widths
}

type ledgerData struct {
	Total stack
	Hooks []stack
	// Webhook is the only one that is shown, "" for all.
	Webhook string
}

func ledger(p *request) error {
	var answer ledgerAnswer
	data := ledgerData{Webhook: strings.TrimSpace(p.URL.Query().Get("webhook"))}
	if err := p.get(at(url.Values{"webhook": {data.Webhook}}, "v1", "ledger"), &answer); err != nil {
		return err
	}
	data.Total = stack{balance: answer.Total, Title: "All webhooks"}
	for _, b := range answer.Webhooks {
		s := stack{balance: b, Title: b.Webhook, URL: to("webhooks", b.WebhookID)}
		if s.Title == "" {
			s.Title, s.URL = b.WebhookID+" (deleted)", ""
		}
		data.Hooks = append(data.Hooks, s)
	}
	if data.Webhook != "" {
		data.Total.Title = data.Webhook
		if len(data.Hooks) > 0 {
			data.Total.Title = data.Hooks[0].Title
		}
	}
	// What does not add up comes first.
	slices.SortStableFunc(data.Hooks, func(a, b stack) int { return cmp.Compare(a.rank(), b.rank()) })
	return p.show("ledger", "ledger", "Ledger", data)
}
