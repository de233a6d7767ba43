package slack

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// The limits of Block Kit: https://docs.slack.dev/reference/block-kit/blocks and, for
// each block, the page below it.
const (
	maxBlocks      = 50
	maxHeader      = 150
	maxSection     = 3000
	maxButtonURL   = 3000
	maxBlocksBytes = 12_000
	// maxText is the length recommended for text:
	// https://docs.slack.dev/reference/methods/chat.postMessage#truncating
	maxText = 4000

	// Ours, so that one long value does not push the others out of sight.
	fullField    = 300
	briefSection = 600
	briefField   = 100
	compactTitle = 150
	summaryTitle = 60
	notification = 300
)

// maxBlocksBytes keeps below an undocumented limit of about 13.2 kB on all blocks
// together, beyond which Slack answers msg_blocks_too_long:
// https://github.com/slackapi/bolt-js/issues/2509

// marks show severity at a glance; a resolved alert has its own.
var marks = map[tocsin.Severity]string{
	tocsin.SeverityCritical: "🔴", tocsin.SeverityHigh: "🟠", tocsin.SeverityMedium: "🟡",
	tocsin.SeverityLow: "🔵", tocsin.SeverityInfo: "⚪",
}

// render fits a notification into Slack's limits: everything in full, else in full with
// shorter texts, else one compact block per event, else as many short lines as fit and
// "+N more". truncated counts the events that lost something.
func render(n tocsin.Notification) (msg slack.WebhookMessage, truncated int, err error) {
	off := false
	msg = slack.WebhookMessage{
		// Nothing in the fallback text is to become a link or a mention by itself:
		// https://docs.slack.dev/messaging/formatting-message-text#automatic-parsing
		Parse: "none", UnfurlLinks: &off, UnfurlMedia: &off, Text: headline(n),
	}
	for _, step := range []func() ([]slack.Block, int){
		func() ([]slack.Block, int) { return full(n, maxSection, fullField) },
		func() ([]slack.Block, int) { return full(n, briefSection, briefField) },
		func() ([]slack.Block, int) { return compact(n) },
	} {
		if len(n.Events) > maxBlocks {
			break // each event takes a block at least: no need to render them to know
		}
		blocks, cut := step()
		if ok, err := fits(blocks); err != nil {
			return msg, 0, err
		} else if ok {
			msg.Blocks = &slack.Blocks{BlockSet: blocks}
			return msg, cut, nil
		}
	}
	blocks, err := summary(n)
	msg.Blocks = &slack.Blocks{BlockSet: blocks}
	return msg, len(n.Events), err
}

// fits reports whether Slack takes these blocks together.
func fits(blocks []slack.Block) (bool, error) {
	if len(blocks) > maxBlocks {
		return false, nil
	}
	text, err := json.Marshal(blocks)
	return len(text) <= maxBlocksBytes, err
}

// full shows each event with its summary, its facts and its link.
func full(n tocsin.Notification, section, field int) ([]slack.Block, int) {
	var blocks []slack.Block
	truncated := 0
	for i := range n.Events {
		e := &n.Events[i]
		cut := false
		note := func(text string, shortened bool) string { cut = cut || shortened; return text }
		if i > 0 {
			blocks = append(blocks, slack.NewDividerBlock())
		}
		title := note(line(prefix(n, e)+name(e), maxHeader))
		blocks = append(blocks, slack.NewHeaderBlock(plainText(title)))
		if e.Summary != "" {
			if text := note(plain(e.Summary, section)); text != "" {
				blocks = append(blocks, slack.NewSectionBlock(plainText(text), nil, nil))
			}
		}
		blocks = append(blocks, slack.NewSectionBlock(nil, fields(e, field, note), nil))
		if button := open(e.Link); button != nil {
			blocks = append(blocks, slack.NewActionBlock("", button))
		}
		if cut {
			truncated++
		}
	}
	return append(blocks, footer(n, 0)), truncated
}

// fields are the facts of one event, at most ten, which is Slack's limit.
func fields(e *tocsin.Event, limit int, note func(string, bool) string) []*slack.TextBlockObject {
	var out []*slack.TextBlockObject
	add := func(label, value string) {
		if value == "" || len(out) == 10 {
			return
		}
		if value = note(code(value, limit)); value != "" {
			out = append(out, markdown("*"+label+"*\n"+value))
		}
	}
	add("Severity", e.Severity.String())
	if e.Status == tocsin.Resolved {
		add("Status", string(e.Status))
	}
	add("Type", e.Type)
	add("Subject", e.Subject)
	add("Collection", e.Collection())
	add("Source", e.Source)
	if !e.Time.IsZero() {
		add("Time", e.Time.UTC().Format(time.RFC3339))
	}
	for _, fact := range facts(e.Data) {
		add(fact[0], fact[1])
	}
	return out
}

// shown are the keys of data worth a field, in this order: what an on-call person asks
// first. The rest is behind the link.
var shown = []struct{ key, label string }{
	{"actor", "Actor"}, {"method", "Method"}, {"url", "URL"}, {"evidence", "Evidence"}, {"risk", "Risk"},
	{"server", "Server"}, {"tool", "Tool"}, {"framework", "Framework"}, {"data_types", "Data types"}, {"location", "Location"},
	{"observed", "Observed"}, {"expected", "Expected"}, {"threshold", "Threshold"}, {"previous", "Previous"}, {"current", "Current"},
}

// facts picks label and value of the shown keys that are there.
func facts(data json.RawMessage) [][2]string {
	var values map[string]json.RawMessage
	if json.Unmarshal(data, &values) != nil {
		return nil
	}
	var out [][2]string
	for _, s := range shown {
		raw, ok := values[s.key]
		if !ok || string(raw) == "null" {
			continue
		}
		text, list := string(raw), []string(nil)
		if json.Unmarshal(raw, &text) != nil && json.Unmarshal(raw, &list) == nil {
			text = strings.Join(list, ", ")
		}
		out = append(out, [2]string{s.label, text})
	}
	return out
}

// compact shows each event in one block, with its link as a button.
func compact(n tocsin.Notification) ([]slack.Block, int) {
	blocks := []slack.Block{slack.NewHeaderBlock(plainText(headerOf(n)))}
	for i := range n.Events {
		e := &n.Events[i]
		var accessory *slack.Accessory
		if button := open(e.Link); button != nil {
			accessory = slack.NewAccessory(button)
		}
		blocks = append(blocks, slack.NewSectionBlock(markdown(entry(e, compactTitle)), nil, accessory))
	}
	return append(blocks, footer(n, 0)), len(n.Events)
}

// summary shows as many events as fit as lines of one or more sections, and counts the
// rest.
func summary(n tocsin.Notification) ([]slack.Block, error) {
	var best, done []slack.Block // done: full sections, after the header
	lines := ""
	done = append(done, slack.NewHeaderBlock(plainText(headerOf(n))))
	for i := range n.Events {
		next := entry(&n.Events[i], summaryTitle)
		if lines != "" && length(lines)+1+length(next) > maxSection {
			done, lines = append(done, slack.NewSectionBlock(markdown(lines), nil, nil)), ""
		}
		lines = strings.TrimPrefix(lines+"\n"+next, "\n")
		blocks := append(slices.Clone(done), slack.NewSectionBlock(markdown(lines), nil, nil), footer(n, len(n.Events)-i-1))
		ok, err := fits(blocks)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		best = blocks
	}
	return best, nil
}

// entry is one event on one line, or two with its subject.
func entry(e *tocsin.Event, titleLimit int) string {
	title, _ := among(name(e), titleLimit)
	text := mark(e) + " *" + title + "*"
	if subject, _ := code(e.Subject, titleLimit); subject != "" {
		text += " " + subject
	}
	return text
}

// plainBody is the message without blocks, for when Slack refuses those.
func plainBody(n tocsin.Notification) slack.WebhookMessage {
	off := false
	text := escaper.Replace(headerOf(n))
	for i := range n.Events {
		next := "\n" + entry(&n.Events[i], compactTitle)
		more := fmt.Sprintf("\n+%d more", len(n.Events)-i)
		if length(text+next+more) > maxText {
			text += more
			break
		}
		text += next
	}
	return slack.WebhookMessage{Text: text, Parse: "none", UnfurlLinks: &off, UnfurlMedia: &off}
}

// headline is the text of the notification on a phone.
func headline(n tocsin.Notification) string {
	text := prefix(n, &n.Events[0]) + name(&n.Events[0])
	if len(n.Events) > 1 {
		text = headerOf(n) + ": " + name(&n.Events[0]) + fmt.Sprintf(" and %d more", len(n.Events)-1)
	}
	out, _ := fit(clean(text, true), notification)
	return out
}

// headerOf is the headline of several events: our words only.
func headerOf(n tocsin.Notification) string {
	highest, resolved := &n.Events[0], 0
	for i := range n.Events {
		if n.Events[i].Severity > highest.Severity {
			highest = &n.Events[i]
		}
		if n.Events[i].Status == tocsin.Resolved {
			resolved++
		}
	}
	text := fmt.Sprintf("%s%s %d alerts, highest severity %s", trialMark(n), mark(highest), len(n.Events), highest.Severity)
	if len(n.Events) == 1 {
		text = fmt.Sprintf("%s%s 1 alert, severity %s", trialMark(n), mark(highest), highest.Severity)
	}
	if resolved > 0 {
		text += fmt.Sprintf(", %d resolved", resolved)
	}
	return text
}

func trialMark(n tocsin.Notification) string {
	if n.Test {
		return "🧪 Test: "
	}
	return ""
}

// prefix stands before a title.
func prefix(n tocsin.Notification, e *tocsin.Event) string {
	word := e.Severity.String()
	if e.Status == tocsin.Resolved {
		word = "resolved"
	}
	if word == "" {
		return trialMark(n) + mark(e) + " "
	}
	return trialMark(n) + mark(e) + " " + strings.ToUpper(word[:1]) + word[1:] + ": "
}

func mark(e *tocsin.Event) string {
	if e.Status == tocsin.Resolved {
		return "✅"
	}
	if m := marks[e.Severity]; m != "" {
		return m
	}
	return "⚪"
}

// name is the event's title, else what there is.
func name(e *tocsin.Event) string {
	for _, text := range []string{e.Title, e.Summary, e.Subject} {
		if clean(text, true) != "" {
			return text
		}
	}
	return e.Type
}

// urlEscaper encodes what url.URL leaves in a query and Slack takes for markup.
var urlEscaper = strings.NewReplacer("<", "%3C", ">", "%3E", "|", "%7C", `"`, "%22", " ", "%20")

// open is a button to an https link; nil without one that Slack takes.
func open(link string) *slack.ButtonBlockElement {
	u, err := url.Parse(link)
	if link == "" || err != nil || u.Scheme != "https" || u.Host == "" || length(urlEscaper.Replace(u.String())) > maxButtonURL {
		return nil
	}
	return slack.NewButtonBlockElement("", "", plainText("Open")).WithURL(urlEscaper.Replace(u.String()))
}

// footer says where this comes from, and how many events are not shown.
func footer(n tocsin.Notification, more int) slack.Block {
	webhook, _ := code(n.WebhookName, 100)
	id, _ := code(n.DeliveryID, 100)
	text := "Tocsin " + webhook + " " + id
	if n.PublicURL != "" {
		text += " <" + escaper.Replace(n.PublicURL+"/v1/deliveries/"+n.DeliveryID) + "|delivery>"
	}
	if more > 0 {
		text = fmt.Sprintf("*+%d more* · ", more) + text
	}
	return slack.NewContextBlock("", markdown(text))
}

// plainText never turns :words: into pictures: attackers write them.
func plainText(text string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.PlainTextType, text, false, false)
}

// markdown is verbatim: Slack makes no links and mentions of its own accord.
func markdown(text string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.MarkdownType, text, false, true)
}
