package inbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// maxShown bounds how much of one body the page shows; the rest is a link away.
const maxShown = 16 << 10

// deliveryView is a delivery as the page shows it.
type deliveryView struct {
	Delivery
	Title    string
	Severity string // of its worst event, or ""
	Resolved bool
	Slack    *slackMessage // or another chat's
	Mail     *mailView
	Tokens   []token // the body
	Cut      bool    // more than the page shows
	Notable  []Header
	Others   []Header
}

// token is a piece of JSON in one color.
type token struct{ Class, Text string }

func view(d Delivery) deliveryView {
	v := deliveryView{Delivery: d}
	if m, title, ok := parseSlack(d.Body); ok && (d.Name == "slack" || strings.Contains(d.Name, "slack")) {
		v.Slack, v.Title = &m, title
	} else if m, title, ok := parseCard(d.Body); ok {
		v.Slack, v.Title = &m, title
	} else if d.Method == "SMTP" {
		v.Mail = parseMail(d.Body)
		v.Title = v.Mail.Subject
	} else if v.Title, v.Severity, v.Resolved = summary(d.Body); v.Title == "" {
		v.Title = titleOf(d.Body)
	}
	v.Title = shorten(v.Title, 200)
	text, isJSON := indented(d.Body)
	if len(text) > maxShown {
		text, v.Cut = strings.ToValidUTF8(text[:maxShown], ""), true
	}
	if isJSON {
		v.Tokens = colored(text)
	} else {
		v.Tokens = []token{{Text: strings.ToValidUTF8(text, "\uFFFD")}}
	}
	for _, h := range d.Headers {
		if strings.HasPrefix(h.Name, "webhook-") {
			v.Notable = append(v.Notable, h)
		} else {
			v.Others = append(v.Others, h)
		}
	}
	return v
}

// indented is a body of one JSON value, or of several in a row, laid out for reading; false
// for any other, as it is.
func indented(body string) (string, bool) {
	var out bytes.Buffer
	values := json.NewDecoder(strings.NewReader(body))
	for {
		var raw json.RawMessage
		err := values.Decode(&raw)
		if errors.Is(err, io.EOF) && out.Len() > 0 {
			return out.String(), true
		}
		if err != nil {
			return body, false
		}
		if out.Len() > 0 {
			out.WriteByte('\n')
		}
		if err := json.Indent(&out, raw, "", "  "); err != nil {
			return body, false
		}
	}
}

// summary says in a line what a body of channel webhook is about.
func summary(body string) (title, severity string, resolved bool) {
	var b struct {
		Data struct {
			Count  int `json:"count"`
			Alerts []struct {
				Title, Type, Severity, Status string
			} `json:"alerts"`
		} `json:"data"`
		MaliciousEvents []struct{ SubCategory, FilterID, URL string } `json:"maliciousEvents"`
		Overview        struct{ Description string }                  `json:"overview"`
	}
	if json.Unmarshal([]byte(body), &b) != nil {
		return "", "", false
	}
	if n := len(b.MaliciousEvents); n > 0 {
		first := b.MaliciousEvents[0]
		return counted(n, "threat", firstOf(first.SubCategory, first.FilterID)), "", false
	}
	if len(b.Data.Alerts) == 0 {
		return "", "", false
	}
	worst := tocsin.SeverityNone
	resolved = true
	for _, a := range b.Data.Alerts {
		// A word that is no severity counts as none.
		if s, err := tocsin.ParseSeverity(a.Severity); err == nil {
			worst = max(worst, s)
		}
		resolved = resolved && a.Status == string(tocsin.Resolved)
	}
	first := b.Data.Alerts[0]
	return counted(len(b.Data.Alerts), "alert", firstOf(first.Title, first.Type)), worst.String(), resolved
}

func counted(n int, noun, first string) string {
	if n == 1 {
		return first
	}
	return fmt.Sprintf("%d %ss: %s, …", n, noun, first)
}

func shorten(s string, limit int) string {
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit]) + "…"
}

// colored splits indented JSON, possibly cut off, into tokens.
func colored(text string) []token {
	var out []token
	plain := 0
	flush := func(to int) {
		if to > plain {
			out = append(out, token{Text: text[plain:to]})
		}
	}
	for n := 0; n < len(text); n++ {
		if text[n] != '"' {
			continue
		}
		flush(n)
		end := endOfString(text, n)
		class := "str"
		if end < len(text) && text[end] == ':' {
			class = "key"
		}
		out = append(out, token{Class: class, Text: text[n:end]})
		plain, n = end, end-1
	}
	flush(len(text))
	return out
}

// endOfString returns the place after the string that begins at text[n].
func endOfString(text string, n int) int {
	for n++; n < len(text); n++ {
		switch text[n] {
		case '\\':
			n++
		case '"':
			return n + 1
		}
	}
	return len(text)
}
