package teams_test

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
)

// maxBody is the most that may be sent, in bytes.
const maxBody = 20_000

// TestSizeAtTheLimit lets a card grow byte by byte: in full up to exactly 20,000 bytes,
// shorter from the next one on.
func TestSizeAtTheLimit(t *testing.T) {
	event := integrationtest.Pick(t, "it-agent")[0]
	event.Link = ""
	notify := func(n int) tocsin.Notification {
		events := make([]tocsin.Event, 10)
		for i := range events {
			events[i] = event
			grow := min(n, 1000)
			n -= grow
			events[i].Summary = strings.Repeat("x", 1+grow)
		}
		return integrationtest.Notify(events...)
	}
	room := maxBody - len(body(t, notify(0)))
	if room < 10 || room > 9_000 {
		t.Fatalf("the test's events leave room for %d bytes: choose others", room)
	}
	for over := -1; over <= 1; over++ {
		text := body(t, notify(room+over))
		if got, want := len(text), maxBody+over; over <= 0 && got != want {
			t.Errorf("%+d: sent %d bytes, want %d in full", over, got, want)
		}
		if over > 0 && (len(text) > maxBody || !strings.Contains(text, "x…")) {
			t.Errorf("%+d: sent %d bytes, want shortened texts", over, len(text))
		}
		validate(t, []byte(cardOf(t, text)))
	}
}

// cardOf is the card in a body.
func cardOf(t *testing.T, body string) string {
	t.Helper()
	_, rest, ok := strings.Cut(body, `"content":`)
	if !ok {
		t.Fatal("no content")
	}
	return strings.TrimSuffix(rest, "}]}")
}

var moreText = regexp.MustCompile(`^\+(\d+) more$`)

// TestEveryNumberOfEvents: no card is too large, before or after the workflow has written
// it anew, and what is not shown is counted.
func TestEveryNumberOfEvents(t *testing.T) {
	for _, source := range [][]tocsin.Event{
		integrationtest.Pick(t, "it-agent"), integrationtest.Pick(t, "it-scripts"), integrationtest.Pick(t, "it-hostile"), integrationtest.Events(t),
		{{ID: "e", Source: "/s", Type: "custom.x", Title: strings.Repeat("🧨", 5000), Subject: strings.Repeat(`"\`, 5000), Link: "https://h.example/" + strings.Repeat("x", 2000)}},
	} {
		for _, n := range []int{1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 200, 201, 500} {
			events := repeat(source, n)
			for i := range events {
				events[i].ID = strconv.Itoa(i)
			}
			text := body(t, integrationtest.Notify(events...))
			card := cardOf(t, text)
			if len(text) > maxBody || len(strconv.QuoteToASCII(card)) > 28_672 || !utf8.ValidString(text) {
				t.Errorf("%d like %s: %d bytes, %d as text in JSON", n, source[0].ID, len(text), len(strconv.QuoteToASCII(card)))
			}
			shown, more := 0, 0
			for _, run := range texts(t, text) {
				if m := moreText.FindStringSubmatch(run); m != nil {
					more, _ = strconv.Atoi(m[1])
				}
			}
			for _, e := range decode(t, text).Body {
				switch {
				case e.Type == "Container":
					shown++
				case len(e.Inlines) > 1 && e.Inlines[0].Text != "" && moreText.FindString(e.Inlines[0].Text) == "":
					shown++
				}
			}
			if shown+more != n || shown == 0 {
				t.Errorf("%d like %s: %d shown, %d more", n, source[0].ID, shown, more)
			}
		}
	}
}

// TestTruncatedIsCounted: an event that lost something counts, one in full does not.
func TestTruncatedIsCounted(t *testing.T) {
	events := integrationtest.Pick(t, "it-agent", "it-scripts")
	for want, picked := range map[int][]tocsin.Event{0: events[:1], 1: events[:2], 300: repeat(events, 300)} {
		receipt, err := open(t, accepting(t)).Send(t.Context(), integrationtest.Notify(picked...))
		if err != nil || receipt.Truncated != want {
			t.Errorf("%d events: truncated %d, want %d (%v)", len(picked), receipt.Truncated, want, err)
		}
	}
}

// TestNothingHostileWorks looks at everything in the cards of hostile events that could do
// something: only TextRuns hold their text, and only links of the events and ours open.
func TestNothingHostileWorks(t *testing.T) {
	attack := tocsin.Event{
		ID: "a", Source: "/s", Type: "custom.x", Severity: tocsin.SeverityHigh,
		Title:   `{{DATE(2017-02-14T06:08:39Z, SHORT)}} <at>everyone</at> <AT id="0">x</AT> [click](https://evil.example) **b** {{{TIME(2017-02-14T06:08:39Z)}}}`,
		Summary: "# h\n- l\r\n1. n\n![i](https://evil.example/i.png) https://evil.example ${title} @{triggerBody()}\u202egnp.exe",
		Subject: `"},{"type":"Action.Submit","title":"x"`, Link: "javascript:alert(1)",
	}
	for _, events := range [][]tocsin.Event{{attack}, {attack, attack}, repeat([]tocsin.Event{attack}, 60), integrationtest.Pick(t, "it-hostile"), integrationtest.Shared(t, "evt-hostile")} {
		text := body(t, integrationtest.Notify(events...))
		validate(t, []byte(cardOf(t, text)))
		card := decode(t, text)
		if len(card.MSTeams) != 1 || card.MSTeams["width"] != "Full" {
			t.Errorf("msteams holds %v, want the width alone", card.MSTeams)
		}
		walk(card, func(e element) { harmless(t, e) })
	}
}

// working are the forms that clients give a meaning to even in a TextRun.
var working = regexp.MustCompile(`(?i)\{\{(DATE|TIME)\(|<at|[\x00-\x08\x0b-\x1f\x7f\x{202a}-\x{202e}\x{2066}-\x{2069}]`)

func harmless(t *testing.T, e element) {
	t.Helper()
	switch e.Type {
	case "AdaptiveCard", "Container", "RichTextBlock":
		if e.Text != "" {
			t.Errorf("a %s with a text of its own: %q", e.Type, e.Text)
		}
	case "TextRun":
		if found := working.FindString(e.Text); found != "" {
			t.Errorf("%q works in %q", found, e.Text)
		}
	case "Action.OpenUrl":
		u, err := url.Parse(e.URL)
		if err != nil || u.Scheme != "https" || u.Host != "console.example.com" && u.Host != "tocsin.example.com" && u.Host != "app.example.com" {
			t.Errorf("opens %q", e.URL)
		}
		if e.Title != "" && e.Title != "Open" && e.Title != "Delivery" {
			t.Errorf("a button says %q", e.Title)
		}
	default:
		t.Errorf("a %q in the card", e.Type)
	}
}

func TestLinks(t *testing.T) {
	links := func(n tocsin.Notification) string {
		var out []string
		walk(decode(t, body(t, n)), func(e element) {
			if e.Type == "Action.OpenUrl" {
				out = append(out, fmt.Sprintf("%s %s", e.Title, e.URL))
			}
		})
		return strings.Join(out, "\n")
	}
	const delivery = "Delivery https://tocsin.example.com/v1/deliveries/dlv_01JSUITE0000000000000000"
	one := integrationtest.Notify(integrationtest.Pick(t, "it-agent")...)
	two := integrationtest.Notify(integrationtest.Pick(t, "it-agent", "it-finding")...)
	nowhere := integrationtest.Notify(integrationtest.Pick(t, "it-mcp")...)
	nowhere.PublicURL = ""
	for want, n := range map[string]tocsin.Notification{
		"Open https://console.example.com/agents/refund-helper\n" + delivery:                                       one,
		" https://console.example.com/agents/refund-helper\n https://console.example.com/findings/77\n" + delivery: two,
		"": nowhere,
	} {
		if got := links(n); got != want {
			t.Errorf("got links\n%s\nwant\n%s", got, want)
		}
	}
}
