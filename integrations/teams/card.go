package teams

import (
	"bytes"
	"encoding/json"
)

// message is what the workflow's trigger takes:
// https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using#send-adaptive-cards-using-an-incoming-webhook
type message struct {
	Type        string       `json:"type"`
	Attachments []attachment `json:"attachments"`
}

type attachment struct {
	ContentType string  `json:"contentType"`
	ContentURL  *string `json:"contentUrl"` // null, as the page has it
	Content     card    `json:"content"`
}

// card is an Adaptive Card. Teams takes versions up to 1.5; 1.4 is shown by older clients,
// too: https://learn.microsoft.com/en-us/microsoftteams/platform/task-modules-and-cards/cards/cards-reference#support-for-adaptive-cards
type card struct {
	Schema       string    `json:"$schema"`
	Type         string    `json:"type"`
	Version      string    `json:"version"`
	FallbackText string    `json:"fallbackText"`
	Body         []element `json:"body"`
	Actions      []action  `json:"actions,omitempty"`
	MSTeams      hints     `json:"msteams"`
}

// hints are for Teams alone: https://learn.microsoft.com/en-us/microsoftteams/platform/task-modules-and-cards/cards/cards-format#full-width-adaptive-card
type hints struct {
	Width string `json:"width"`
}

// element is a Container with items, or a RichTextBlock with inlines.
type element struct {
	Type      string    `json:"type"`
	Style     string    `json:"style,omitempty"`
	Separator bool      `json:"separator,omitempty"`
	Spacing   string    `json:"spacing,omitempty"`
	Items     []element `json:"items,omitempty"`
	Inlines   []run     `json:"inlines,omitempty"`
}

// run is a TextRun.
type run struct {
	Type   string  `json:"type"`
	Text   string  `json:"text"`
	Weight string  `json:"weight,omitempty"`
	Size   string  `json:"size,omitempty"`
	Subtle bool    `json:"isSubtle,omitempty"`
	Select *action `json:"selectAction,omitempty"`
}

// action is an Action.OpenUrl; workflows take no Action.Submit.
type action struct {
	Type  string `json:"type"`
	Title string `json:"title,omitempty"`
	URL   string `json:"url"`
}

func openURL(title, url string) action { return action{Type: "Action.OpenUrl", Title: title, URL: url} }

func container(style string, items ...element) element {
	return element{Type: "Container", Style: style, Items: items}
}

// text is a paragraph.
func text(spacing string, runs ...run) element {
	return element{Type: "RichTextBlock", Spacing: spacing, Inlines: runs}
}

func plain(text string) run { return run{Type: "TextRun", Text: text} }

func bold(text string) run { return run{Type: "TextRun", Text: text, Weight: "bolder"} }

func small(text string) run { return run{Type: "TextRun", Text: text, Size: "small", Subtle: true} }

// encode puts a card into its envelope.
func encode(body []element, actions []action, fallback string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // < as \u003c would take six bytes of few
	err := e.Encode(message{Type: "message", Attachments: []attachment{{
		ContentType: "application/vnd.microsoft.card.adaptive",
		Content: card{
			Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.4",
			FallbackText: fallback, Body: body, Actions: actions, MSTeams: hints{Width: "Full"},
		},
	}}})
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// Teams takes 28,672 bytes of "message properties", measured after the workflow has written
// the card anew: 24,453 bytes sent became 28,897, and failed
// (https://github.com/MicrosoftDocs/msteams-docs/issues/11274); that was seen with fewer
// bytes, too, which is why the first limit is well below.
const (
	maxBody  = 20_000
	maxGrown = 27_000
)

// fits reports whether Teams takes this body.
func fits(body []byte) bool { return len(body) <= maxBody && grown(body) <= maxGrown }

// grown estimates the size after the workflow: the card as a string in JSON, with quotes
// escaped and everything but ASCII as \uXXXX, which is the worst that writers of JSON do.
func grown(body []byte) int {
	n := 0
	for _, r := range string(body) {
		switch {
		case r == '"' || r == '\\':
			n += 2
		case r < 0x80:
			n++
		case r < 0x10000:
			n += 6
		default:
			n += 12
		}
	}
	return n
}
