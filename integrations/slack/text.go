package slack

import (
	"strings"

	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
)

// escaper replaces the three characters that Slack parses. All mentions and links are
// written with them (<!channel>, <@U…>, <https://…|text>), so escaping takes them out
// of force: https://docs.slack.dev/messaging/formatting-message-text#escaping
var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// lookalikes replace mrkdwn's own marks in text that stands among our formatting, so
// that a title cannot close our bold and open its own.
var lookalikes = strings.NewReplacer("*", "∗", "~", "∼", "`", "ʹ")

// plain is attacker text for a plain_text object: nothing in it is markup.
func plain(text string, limit int) (string, bool) { return fit(alert.Clean(text, false), limit) }

// line is plain on one line.
func line(text string, limit int) (string, bool) { return fit(alert.Clean(text, true), limit) }

// among is attacker text on one line among our own mrkdwn.
func among(text string, limit int) (string, bool) {
	text = lookalikes.Replace(alert.Clean(text, true))
	// An underscore formats only at the edge of a word; inside one it stays, for copying.
	words := strings.Split(text, " ")
	for i, w := range words {
		if strings.HasPrefix(w, "_") || strings.HasSuffix(w, "_") {
			words[i] = strings.ReplaceAll(w, "_", "＿")
		}
	}
	return fit(strings.Join(words, " "), limit)
}

// code is attacker text as inline code: everything in it is literal but the backtick.
func code(text string, limit int) (string, bool) {
	text, cut := fit(strings.ReplaceAll(alert.Clean(text, true), "`", "ʹ"), limit-2)
	if text == "" {
		return "", cut
	}
	return "`" + text + "`", cut
}

// length is how Slack counts characters: in UTF-16 units, escapes included. Where that
// is not documented it errs on the short side.
func length(text string) int { return alert.UTF16(text) }

// fit escapes text and shortens it to at most limit characters, ending in … when
// something was cut. It cuts between runes and never inside an escape.
func fit(text string, limit int) (string, bool) {
	if limit < 1 {
		return "", text != ""
	}
	var b strings.Builder
	n, room := 0, 0 // room is how much of b leaves space for the …
	for _, r := range text {
		piece := escape(r)
		if n += length(piece); n > limit {
			return strings.TrimRight(b.String()[:room], " ") + "…", true
		}
		b.WriteString(piece)
		if n < limit {
			room = b.Len()
		}
	}
	return b.String(), false
}

// escape is one rune as mrkdwn.
func escape(r rune) string {
	switch r {
	case '&', '<', '>':
		return escaper.Replace(string(r))
	}
	return string(r)
}
