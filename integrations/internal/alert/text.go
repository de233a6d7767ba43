package alert

import (
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// mentions are the words that notify everybody in chats even without brackets; a word
// joiner after the @ takes them out of force.
var mentions = strings.NewReplacer("@channel", "@\u2060channel", "@here", "@\u2060here", "@everyone", "@\u2060everyone",
	"@all", "@\u2060all")

// maxCleaned bounds the work on one text, in bytes: an event's text may have 256 KiB, and
// no place that people read takes more.
const maxCleaned = 64 << 10

// Clean drops what attackers use to forge a display: control characters and the marks
// that reverse text. It is valid UTF-8, trimmed, and at most 64 KiB of the text. Line
// breaks stay unless oneLine.
func Clean(text string, oneLine bool) string {
	text = strings.ToValidUTF8(head(text, maxCleaned), "\uFFFD")
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' && !oneLine:
			return r
		case r == '\n' || r == '\t' || r == '\u2028' || r == '\u2029':
			return ' '
		case unicode.IsControl(r), r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069', r == '\u200e', r == '\u200f', r == '\ufeff':
			return -1
		}
		return r
	}, text)
	return strings.TrimSpace(mentions.Replace(text))
}

// head is at most the first n bytes of text, cut between runes.
func head(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// Bytes measures text in bytes.
func Bytes(text string) int { return len(text) }

// Runes measures text in characters.
func Runes(text string) int { return utf8.RuneCountInString(text) }

// UTF16 measures text as JavaScript and Java do.
func UTF16(text string) int {
	n := 0
	for _, r := range text {
		n += utf16.RuneLen(r)
	}
	return n
}

// Cut shortens text to at most limit as size measures it, on a rune border and ending in
// …, and reports whether something was cut. size must add up over runes. Where not even
// the … fits, nothing is left.
func Cut(text string, limit int, size func(string) int) (string, bool) {
	total, room := 0, 0 // room is how much of text leaves space for the …
	dots := size("…")
	for i, r := range text {
		n := size(string(r))
		if total+n > limit {
			if dots > limit {
				return "", true
			}
			return strings.TrimRight(text[:room], " ") + "…", true
		}
		total += n
		if total+dots <= limit {
			room = i + utf8.RuneLen(r)
		}
	}
	return text, false
}
