package slack

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
)

// The limits of Block Kit: https://docs.slack.dev/reference/block-kit/blocks and, for
// each block, the page below it.
const (
	maxBlocks      = 50
	maxHeader      = 150
	maxSection     = 3000
	maxFields      = 10
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
		title := note(line(alert.Prefix(n, e)+alert.Name(e), maxHeader))
		blocks = append(blocks, slack.NewHeaderBlock(plainText(title)))
		if e.Summary != "" {
			if text := note(plain(e.Summary, section)); text != "" {
				blocks = append(blocks, slack.NewSectionBlock(plainText(text), nil, nil))
			}
		}
		blocks = append(blocks, slack.NewSectionBlock(nil, fields(e, field, note), nil))
		if button := open(e); button != nil {
			blocks = append(blocks, slack.NewActionBlock("", button))
		}
		if cut {
			truncated++
		}
	}
	return append(blocks, footer(n, 0)), truncated
}

// fields are the facts of one event.
func fields(e *tocsin.Event, limit int, note func(string, bool) string) []*slack.TextBlockObject {
	var out []*slack.TextBlockObject
	for _, fact := range alert.Facts(e) {
		if len(out) == maxFields {
			break
		}
		if value := note(code(fact.Value, limit)); value != "" {
			out = append(out, markdown("*"+fact.Label+"*\n"+value))
		}
	}
	return out
}

// compact shows each event in one block, with its link as a button.
func compact(n tocsin.Notification) ([]slack.Block, int) {
	blocks := []slack.Block{slack.NewHeaderBlock(plainText(alert.Headline(n)))}
	for i := range n.Events {
		e := &n.Events[i]
		var accessory *slack.Accessory
		if button := open(e); button != nil {
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
	done = append(done, slack.NewHeaderBlock(plainText(alert.Headline(n))))
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
	title, _ := among(alert.Name(e), titleLimit)
	text := alert.Mark(e) + " *" + title + "*"
	if subject, _ := code(e.Subject, titleLimit); subject != "" {
		text += " " + subject
	}
	return text
}

// plainBody is the message without blocks, for when Slack refuses those. It is measured in
// bytes, as an update's text is.
func plainBody(n tocsin.Notification) slack.WebhookMessage {
	off := false
	text := escaper.Replace(alert.Headline(n))
	for i := range n.Events {
		next := "\n" + entry(&n.Events[i], compactTitle)
		more := fmt.Sprintf("\n+%d more", len(n.Events)-i)
		if len(text+next+more) > maxText {
			text += more
			break
		}
		text += next
	}
	return slack.WebhookMessage{Text: text, Parse: "none", UnfurlLinks: &off, UnfurlMedia: &off}
}

// headline is the text of the notification on a phone.
func headline(n tocsin.Notification) string {
	out, _ := fit(alert.Subject(n), notification)
	return out
}

// open is a button to the event's link; nil without one that Slack takes.
func open(e *tocsin.Event) *slack.ButtonBlockElement {
	link := alert.Link(e)
	if link == "" || length(link) > maxButtonURL {
		return nil
	}
	return slack.NewButtonBlockElement("", "", plainText("Open")).WithURL(link)
}

// footer says where this comes from, and how many events are not shown.
func footer(n tocsin.Notification, more int) slack.Block {
	webhook, _ := code(n.WebhookName, 100)
	id, _ := code(n.DeliveryID, 100)
	text := "Tocsin " + webhook + " " + id
	if link := alert.DeliveryLink(n); link != "" {
		text += " <" + escaper.Replace(link) + "|delivery>"
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
