package jira

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
)

// escapable are the characters that a backslash takes out of force, in Data Center's
// renderer and in the converter of Cloud, which was ported from it:
// https://unpkg.com/@atlaskit/editor-wikimarkup-transformer@11.20.13/dist/esm/parser/utils/escape.js
// A backslash after a backslash escapes nothing, and two are a line break. The notation
// itself: https://jira.atlassian.com/secure/WikiRendererHelpAction.jspa?section=all
const escapable = `-#*_+?^~|%{}[]()!@`

// joiner is the word joiner, which has no width. It stands between two characters that
// together mean something and cannot be escaped.
const joiner = "\u2060"

// lineStart is what makes a line a heading or a quotation.
var lineStart = regexp.MustCompile(`(?m)^([ \t\x{00a0}]*)((?:h[1-6]|bq)\.)`)

// cleanPiece is how much of a text alert.Clean is given at a time, in bytes: it takes no more
// than 64 KiB, and Jira's 32,767 characters may be twice that.
const cleanPiece = 48 << 10

// clean is alert.Clean for texts of any length.
func clean(text string, oneLine bool) string {
	var b strings.Builder
	for len(text) > cleanPiece {
		// Between two characters that are not trimmed, where there are any.
		cut := cleanPiece
		for cut > cleanPiece/2 && (!utf8.RuneStart(text[cut]) || text[cut] <= ' ' || text[cut-1] <= ' ') {
			cut--
		}
		b.WriteString(alert.Clean(text[:cut], oneLine))
		text = text[cut:]
	}
	b.WriteString(alert.Clean(text, oneLine))
	return b.String()
}

// head is at most the first n bytes of text, and whether that is less than all.
func head(text string, n int) (string, bool) {
	if len(text) <= n {
		return text, false
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n], true
}

// prose escapes text for a place where markup is parsed: nothing in it is markup then, no
// mention is one, and no address becomes a link.
func prose(text string) string {
	text = lineStart.ReplaceAllString(text, "${1}"+joiner+"${2}")
	var b strings.Builder
	runes := []rune(text)
	for i, r := range runes {
		b.WriteString(escapeRune(r, at(runes, i-1), at(runes, i+1)))
	}
	return b.String()
}

// at is the rune at i, 0 beyond the ends.
func at(runes []rune, i int) rune {
	if i < 0 || i >= len(runes) {
		return 0
	}
	return runes[i]
}

func escapeRune(r, before, after rune) string {
	switch {
	case strings.ContainsRune(escapable, r):
		return `\` + string(r)
	case r == '\\':
		// It must not escape what follows, nor be a line break with a second one.
		return `\` + joiner
	case r == '&':
		// Entities are kept as they are, so &lt; would be shown as something else.
		return "&" + joiner
	case r == ':' && after > ' ' && (!unicode.IsDigit(before) || !unicode.IsDigit(after)):
		// Schemes (https://…, mailto:…) and smileys.
		return ":" + joiner
	}
	return string(r)
}

// proseSize is how long prose becomes, in UTF-16 units as Java counts. It adds up over
// runes, and never says too little.
func proseSize(text string) int {
	n := 0
	for _, r := range text {
		n += utf16.RuneLen(r)
		if r == '\n' || r == ':' || r == '\\' || r == '&' || strings.ContainsRune(escapable, r) {
			n++
		}
	}
	return n
}

// fitProse is prose of at most limit units, and whether something was cut.
func fitProse(text string, limit int) (string, bool) {
	if alert.UTF16(text) <= limit {
		if escaped := prose(text); alert.UTF16(escaped) <= limit {
			return escaped, false
		}
	}
	// One unit for a joiner at the very beginning.
	short, _ := alert.Cut(text, limit-1, proseSize)
	return prose(short), true
}

// breakers find what means something even in {noformat}: its own end, and mentions, which
// are looked for in the text as it is.
var breakers = regexp.MustCompile(`(?i)\{(noformat|code|adf)|\[~`)

// literal is text for the inside of {noformat}, where nothing else is parsed.
func literal(text string) string {
	return breakers.ReplaceAllStringFunc(text, func(found string) string { return found[:1] + joiner + found[1:] })
}

// literalSize is to literal what proseSize is to prose.
func literalSize(text string) int {
	n := alert.UTF16(text)
	return n + strings.Count(text, "{") + strings.Count(text, "[")
}

// fitLiteral is literal of at most limit units, and whether something was cut.
func fitLiteral(text string, limit int) (string, bool) {
	if alert.UTF16(text) <= limit {
		if safe := literal(text); alert.UTF16(safe) <= limit {
			return safe, false
		}
	}
	short, _ := alert.Cut(text, limit, literalSize)
	return literal(short), true
}

// noformat puts lines of literal text into a block. A block without lines is none.
func noformat(lines ...string) string {
	text := strings.Join(lines, "\n")
	if strings.TrimSpace(text) == "" {
		return ""
	}
	return "{noformat}\n" + text + "\n{noformat}"
}

// linkEscaper encodes what an address may hold and markup would take for its own.
var linkEscaper = strings.NewReplacer("*", "%2A", "!", "%21", "^", "%5E", "~", "%7E", "+", "%2B", "@", "%40", "'", "%27", `"`, "%22",
	"<", "%3C", ">", "%3E", "|", "%7C", `\`, "%5C", "{", "%7B", "}", "%7D", "[", "%5B", "]", "%5D", "(", "%28", ")", "%29", "`", "%60", " ", "%20")

// link is a link with words of ours; "" for an address that is none.
func link(words, address string) string {
	if address == "" {
		return ""
	}
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return ""
	}
	host, path, _ := strings.Cut(rest, "/")
	if strings.ContainsAny(host, `|[]{}!*^~@'"<>\ ()`) {
		return ""
	}
	path, query, asked := strings.Cut(path, "?")
	// In a query + is a space and stays one; _ means itself in either spelling.
	text := scheme + "://" + host + "/" + linkEscaper.Replace(path)
	if asked {
		text += "?" + linkEscaper.Replace(strings.ReplaceAll(query, "+", "%20"))
	}
	return "[" + words + "|" + text + "]"
}

// reference is an address of an event as a link that shows where it leads, or as prose.
func reference(address string, limit int) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || len(address) > limit/3 {
		return fitProse(address, limit)
	}
	host := prose(u.Hostname())
	if l := link(host, strings.SplitN(u.String(), "#", 2)[0]); l != "" && alert.UTF16(l) <= limit {
		return l, false
	}
	return fitProse(address, limit)
}
