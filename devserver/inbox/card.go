package inbox

import (
	"encoding/json"
	"strings"
)

// cardElement is one element of an Adaptive Card, as far as the page shows it.
type cardElement struct {
	Type   string `json:"type"`
	Text   string `json:"text"`
	Weight string `json:"weight"`
	Facts  []struct {
		Title string `json:"title"`
		Value string `json:"value"`
	} `json:"facts"`
	Inlines []struct {
		Text   string `json:"text"`
		Weight string `json:"weight"`
		Size   string `json:"size"`
	} `json:"inlines"`
	Items   []cardElement `json:"items"`
	Columns []cardElement `json:"columns"`
	Actions []cardAction  `json:"actions"`
}

type cardAction struct {
	Title string `json:"title"`
	URL   string `json:"url"`
}

// parseCard reads a body as a message with an Adaptive Card, as Microsoft Teams gets it,
// and says in a line what it is about; false when it is none.
func parseCard(body string) (slackMessage, string, bool) {
	var p struct {
		Attachments []struct {
			ContentType string `json:"contentType"`
			Content     struct {
				Body    []cardElement `json:"body"`
				Actions []cardAction  `json:"actions"`
			} `json:"content"`
		} `json:"attachments"`
	}
	if json.Unmarshal([]byte(body), &p) != nil || len(p.Attachments) == 0 || !strings.HasPrefix(p.Attachments[0].ContentType, "application/vnd.microsoft.card.adaptive") {
		return slackMessage{}, "", false
	}
	var m slackMessage
	card := p.Attachments[0].Content
	m.card(card.Body)
	m.buttons(card.Actions)
	title := ""
	if len(m.Parts) > 0 {
		title = plainText(m.Parts[0].Spans)
	}
	return m, title, true
}

func (m *slackMessage) card(elements []cardElement) {
	for _, e := range elements {
		switch e.Type {
		case "TextBlock":
			kind := "text"
			if strings.EqualFold(e.Weight, "bolder") {
				kind = "header"
			}
			m.Parts = append(m.Parts, slackPart{Kind: kind, Spans: []span{{Text: unescaped(e.Text)}}})
		case "RichTextBlock":
			part := slackPart{Kind: "text"}
			for _, run := range e.Inlines { // no Markdown in these
				kind := ""
				if strings.EqualFold(run.Weight, "bolder") {
					kind = "b"
				}
				if kind == "b" && run.Size != "" {
					part.Kind, kind = "header", ""
				}
				part.Spans = append(part.Spans, span{Kind: kind, Text: run.Text})
			}
			m.Parts = append(m.Parts, part)
		case "FactSet":
			part := slackPart{Kind: "fields"}
			for _, f := range e.Facts {
				part.Fields = append(part.Fields, []span{{Kind: "b", Text: unescaped(f.Title)}, {Text: " " + unescaped(f.Value)}})
			}
			m.Parts = append(m.Parts, part)
		}
		m.card(e.Items)
		m.card(e.Columns)
		m.buttons(e.Actions)
	}
}

func (m *slackMessage) buttons(actions []cardAction) {
	if len(actions) == 0 {
		return
	}
	part := slackPart{Kind: "buttons"}
	for _, a := range actions {
		s := span{Kind: "link", Text: a.Title}
		if strings.HasPrefix(a.URL, "https://") {
			s.Href = a.URL
		}
		part.Spans = append(part.Spans, s)
	}
	m.Parts = append(m.Parts, part)
}

// unescaped takes the backslashes of Markdown out: the page shows no other markup of it.
func unescaped(text string) string {
	var b strings.Builder
	for n := 0; n < len(text); n++ {
		if text[n] == '\\' && n+1 < len(text) && strings.IndexByte("\\`*_{}[]()#+-.!|<>~&", text[n+1]) >= 0 {
			continue
		}
		b.WriteByte(text[n])
	}
	return b.String()
}
