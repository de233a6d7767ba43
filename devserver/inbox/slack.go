package inbox

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"
)

// slackMessage is what the page shows of a message for Slack's incoming webhooks.
type slackMessage struct {
	Parts []slackPart
}

// slackPart is one block: a header, a text, fields, a context line, buttons or a
// divider.
type slackPart struct {
	Kind   string // header, text, fields, context, buttons, divider
	Color  string // of the attachment it belongs to: a class, or ""
	Spans  []span
	Fields [][]span
}

// span is a run of text in one style.
type span struct {
	Kind string // "", b, i, s, code, pre, link, mention
	Text string
	Href string
}

type slackText struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type slackBlock struct {
	Type   string      `json:"type"`
	Text   *slackText  `json:"text"`
	Fields []slackText `json:"fields"`
	// Elements are texts, buttons, or the parts of rich text.
	Elements []json.RawMessage `json:"elements"`
}

type slackPayload struct {
	Text        string       `json:"text"`
	Blocks      []slackBlock `json:"blocks"`
	Attachments []struct {
		Color    string       `json:"color"`
		Text     string       `json:"text"`
		Fallback string       `json:"fallback"`
		Blocks   []slackBlock `json:"blocks"`
	} `json:"attachments"`
}

// parseSlack reads a body as a Slack message, and says in a line what it is about; false
// when it is none.
func parseSlack(body string) (slackMessage, string, bool) {
	var p slackPayload
	if json.Unmarshal([]byte(body), &p) != nil || (p.Text == "" && len(p.Blocks) == 0 && len(p.Attachments) == 0) {
		return slackMessage{}, "", false
	}
	var m slackMessage
	if len(p.Blocks) == 0 && p.Text != "" {
		m.Parts = append(m.Parts, slackPart{Kind: "text", Spans: mrkdwn(p.Text)})
	}
	m.blocks(p.Blocks, "")
	for _, a := range p.Attachments {
		color := slackColor(a.Color)
		if text := firstOf(a.Text, a.Fallback); text != "" && len(a.Blocks) == 0 {
			m.Parts = append(m.Parts, slackPart{Kind: "text", Color: color, Spans: mrkdwn(text)})
		}
		m.blocks(a.Blocks, color)
	}
	title := plainText(mrkdwn(p.Text))
	if title == "" && len(m.Parts) > 0 {
		title = plainText(m.Parts[0].Spans)
	}
	return m, title, true
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// slackColor names a bar's class; free colors would need inline styles, which the
// page's policy forbids.
func slackColor(color string) string {
	switch strings.ToLower(color) {
	case "":
		return ""
	case "good":
		return "good"
	case "danger":
		return "danger"
	case "warning":
		return "warning"
	}
	var rgb [3]int64
	if len(color) != 7 || color[0] != '#' {
		return "other"
	}
	for n := range rgb {
		for _, c := range strings.ToLower(color[1+2*n : 3+2*n]) {
			rgb[n] = rgb[n]*16 + int64(strings.IndexRune("0123456789abcdef", c))
		}
	}
	switch r, g, b := rgb[0], rgb[1], rgb[2]; {
	case r > 160 && g < 110:
		return "danger"
	case r > 160 && b < 120:
		return "warning"
	case g > r && g > b:
		return "good"
	}
	return "other"
}

func (m *slackMessage) blocks(blocks []slackBlock, color string) {
	add := func(p slackPart) {
		p.Color = color
		if len(p.Spans) > 0 || len(p.Fields) > 0 || p.Kind == "divider" {
			m.Parts = append(m.Parts, p)
		}
	}
	for _, b := range blocks {
		switch b.Type {
		case "header":
			add(slackPart{Kind: "header", Spans: b.Text.spans()})
		case "divider":
			add(slackPart{Kind: "divider"})
		case "context":
			part := slackPart{Kind: "context"}
			for _, e := range b.Elements {
				var t slackText
				if json.Unmarshal(e, &t) == nil && t.Text != "" {
					part.Fields = append(part.Fields, t.spans())
				}
			}
			add(part)
		case "actions":
			part := slackPart{Kind: "buttons"}
			for _, e := range b.Elements {
				var button struct {
					Text slackText `json:"text"`
					URL  string    `json:"url"`
				}
				if json.Unmarshal(e, &button) == nil {
					part.Spans = append(part.Spans, span{Kind: "link", Text: emoji(button.Text.Text), Href: webLink(button.URL)})
				}
			}
			add(part)
		case "rich_text":
			for _, e := range b.Elements {
				add(slackPart{Kind: "text", Spans: richText(e)})
			}
		default:
			add(slackPart{Kind: "text", Spans: b.Text.spans()})
			fields := slackPart{Kind: "fields"}
			for _, f := range b.Fields {
				fields.Fields = append(fields.Fields, f.spans())
			}
			add(fields)
		}
	}
}

func (t *slackText) spans() []span {
	switch {
	case t == nil || t.Text == "":
		return nil
	case t.Type == "mrkdwn":
		return mrkdwn(t.Text)
	}
	return []span{{Text: emoji(unescape(t.Text))}}
}

// richText flattens an element of a rich_text block.
func richText(raw json.RawMessage) []span {
	var e struct {
		Type     string            `json:"type"`
		Text     string            `json:"text"`
		Name     string            `json:"name"`
		URL      string            `json:"url"`
		Elements []json.RawMessage `json:"elements"`
		Style    json.RawMessage   `json:"style"`
	}
	if json.Unmarshal(raw, &e) != nil {
		return nil
	}
	switch e.Type {
	case "link":
		return []span{{Kind: "link", Text: firstOf(e.Text, e.URL), Href: webLink(e.URL)}}
	case "emoji":
		return []span{{Text: emoji(":" + e.Name + ":")}}
	case "text":
		var style struct{ Bold, Italic, Strike, Code bool }
		_ = json.Unmarshal(e.Style, &style) // lists write a word here, which styles no text
		kind := ""
		switch {
		case style.Code:
			kind = "code"
		case style.Bold:
			kind = "b"
		case style.Italic:
			kind = "i"
		case style.Strike:
			kind = "s"
		}
		return []span{{Kind: kind, Text: e.Text}}
	}
	var out []span
	for _, child := range e.Elements {
		if e.Type == "rich_text_list" {
			out = append(out, span{Text: "• "})
		}
		out = append(out, richText(child)...)
		if e.Type == "rich_text_list" {
			out = append(out, span{Text: "\n"})
		}
	}
	if e.Type == "rich_text_preformatted" {
		return []span{{Kind: "pre", Text: plainText(out)}}
	}
	return out
}

var marks = map[byte]string{'*': "b", '_': "i", '~': "s", '`': "code"}

// mrkdwn reads Slack's own markup: https://docs.slack.dev/messaging/formatting-message-text
func mrkdwn(text string) []span {
	var out []span
	plain := 0
	flush := func(to int) {
		if to > plain {
			out = append(out, span{Text: emoji(unescape(text[plain:to]))})
		}
	}
	for n := 0; n < len(text); {
		s, width, ok := markAt(text, n)
		if !ok {
			n++
			continue
		}
		flush(n)
		out = append(out, s)
		n += width
		plain = n
	}
	flush(len(text))
	return out
}

// markAt reads the markup that begins at text[n:], and how many bytes it takes.
func markAt(text string, n int) (span, int, bool) {
	rest := text[n:]
	if inner, ok := strings.CutPrefix(rest, "```"); ok {
		if end := strings.Index(inner, "```"); end > 0 {
			return span{Kind: "pre", Text: strings.Trim(unescape(inner[:end]), "\n")}, end + 6, true
		}
		return span{}, 0, false
	}
	if rest[0] == '<' {
		end := strings.IndexAny(rest, ">\n")
		if end < 2 || rest[end] != '>' {
			return span{}, 0, false
		}
		return reference(rest[1:end]), end + 1, true
	}
	kind := marks[rest[0]]
	before, _ := utf8.DecodeLastRuneInString(text[:n])
	if kind == "" || (n > 0 && (unicode.IsLetter(before) || unicode.IsDigit(before))) {
		return span{}, 0, false
	}
	end := strings.IndexByte(rest[1:], rest[0])
	if end < 1 || strings.Contains(rest[1:end+1], "\n") {
		return span{}, 0, false
	}
	after, _ := utf8.DecodeRuneInString(rest[end+2:])
	if unicode.IsLetter(after) || unicode.IsDigit(after) {
		return span{}, 0, false
	}
	return span{Kind: kind, Text: unescape(rest[1 : end+1])}, end + 2, true
}

// reference reads what stands between < and >.
func reference(text string) span {
	target, label, labelled := strings.Cut(text, "|")
	if strings.HasPrefix(target, "!") || strings.HasPrefix(target, "@") || strings.HasPrefix(target, "#") {
		if !labelled {
			label = strings.TrimLeft(target, "!@#")
		}
		return span{Kind: "mention", Text: "@" + strings.TrimPrefix(unescape(label), "@")}
	}
	if !labelled {
		label = target
	}
	return span{Kind: "link", Text: unescape(label), Href: webLink(unescape(target))}
}

// webLink returns the link where it leads to the web, else "".
func webLink(href string) string {
	if strings.HasPrefix(href, "https://") || strings.HasPrefix(href, "http://") {
		return href
	}
	return ""
}

var entities = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")

func unescape(s string) string { return entities.Replace(s) }

var emojis = strings.NewReplacer(":rotating_light:", "🚨", ":white_check_mark:", "✅", ":warning:", "⚠️", ":red_circle:", "🔴",
	":large_orange_circle:", "🟠", ":large_yellow_circle:", "🟡", ":large_blue_circle:", "🔵", ":large_green_circle:", "🟢",
	":white_circle:", "⚪", ":information_source:", "ℹ️", ":bell:", "🔔", ":fire:", "🔥", ":shield:", "🛡️", ":mag:", "🔍", ":link:", "🔗")

func emoji(s string) string { return emojis.Replace(s) }

func plainText(spans []span) string {
	var b strings.Builder
	for _, s := range spans {
		b.WriteString(s.Text)
	}
	return b.String()
}
