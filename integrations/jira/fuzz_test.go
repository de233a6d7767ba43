package jira

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
)

var seeds = []string{
	"*bold* _it_ ??c?? -d- +i+ ^s^ ~s~ {{m}}", "h1. x\n  h2. y\nbq. z\n----\n# a\n* b\n|c|", "[~admin] [w|https://e] https://e mailto:a@b :) :P",
	"{code}{noformat}{NoFormat}\\{noformat} {adf}", `\*x\* \\ \\* \`, "&lt;&#91;~a&#93;", "a\r\nb\u202e\x00", "12:30 a:b", "!x.png!", strings.Repeat("名\\{", 50), "\u2060\u00a0h3. x",
}

// active finds what wiki markup, mentions and links consist of, where it is not escaped.
var active = regexp.MustCompile(`(^|[^\\])[-#*_+?^~|%{}\[\]()!@]|\\\\|&[^\x{2060}]|&$|://|(?m:^[ \t\x{00a0}]*(?:h[1-6]|bq)\.)`)

// FuzzProse: nothing active comes out of prose, and without the escapes it is the text.
func FuzzProse(f *testing.F) {
	for _, s := range seeds {
		f.Add(s, 20)
	}
	plain := strings.NewReplacer(joiner, "")
	unescape := regexp.MustCompile(`\\([-#*_+?^~|%{}\[\]()!@])`)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		text = clean(text, false)
		out := prose(text)
		// Escaped characters are out of the way first; those are what is to be shown.
		rest := unescape.ReplaceAllString(out, "x")
		if found := active.FindString(rest); found != "" {
			t.Errorf("%q becomes %q, where %q is active", text, out, found)
		}
		if got := plain.Replace(unescape.ReplaceAllString(out, "$1")); got != plain.Replace(text) {
			t.Errorf("%q is shown as %q", text, got)
		}
		limit = 2 + limit&0xff
		if short, cut := fitProse(text, limit); alert.UTF16(short) > limit || !utf8.ValidString(short) || !cut && short != out {
			t.Errorf("%q in %d units: %q, %v", text, limit, short, cut)
		}
	})
}

// TestQuote: a JQL string ends where it should.
func TestQuote(t *testing.T) {
	for text, want := range map[string]string{`SEC`: `"SEC"`, `a"b`: `"a\"b"`, `a\`: `"a\\"`, `\"`: `"\\\""`, "a\nb\r": `"a\nb\r"`} {
		if got := quote(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

// FuzzLiteral: what stands in {noformat} does not end it, and mentions nobody.
func FuzzLiteral(f *testing.F) {
	for _, s := range seeds {
		f.Add(s, 20)
	}
	bad := regexp.MustCompile(`(?i)\{noformat|\[~`)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		text = clean(text, false)
		out := literal(text)
		if found := bad.FindString(out); found != "" {
			t.Errorf("%q becomes %q, with %q", text, out, found)
		}
		limit = 2 + limit&0xff
		if short, _ := fitLiteral(text, limit); alert.UTF16(short) > limit || bad.MatchString(short) {
			t.Errorf("%q in %d units: %q", text, limit, short)
		}
	})
}

// FuzzTicket renders whatever an event may hold: within the limits, on one line where it
// must be, and with as many blocks as were begun.
func FuzzTicket(f *testing.F) {
	for i, s := range seeds {
		data, _ := json.Marshal(map[string]any{"method": s, "url": s, "overview": map[string]string{"impact": s}, "references": []string{s}, "evidence": s,
			"maliciousPayloadsResponses": []any{map[string]any{"orig": s, "ts": i}}, "remediation": s})
		f.Add(s, s, string(data), 1)
		f.Add(s, s, string(data), 3000)
	}
	guide := catalog.Default()
	blocks := regexp.MustCompile(`(?i)(?:^|[^\\])\{noformat`) // not escaped
	f.Fuzz(func(t *testing.T, title, summary, data string, times int) {
		times = 1 + times&0x3ff
		e := tocsin.Event{ID: "1", Source: "/s", Type: threatType, Title: title, Summary: strings.Repeat(summary, min(times, 1+50_000/(1+len(summary)))), Time: time.Unix(1, 0)}
		if json.Valid([]byte(data)) {
			e.Data = json.RawMessage(data)
		}
		n := tocsin.Notification{DeliveryID: "dlv_1", WebhookName: title, Events: []tocsin.Event{e}, PublicURL: "https://t.example"}
		if s, _ := summaryOf(n, &e); alert.UTF16(s) > maxSummary || strings.ContainsAny(s, "\r\n") || s == "" {
			t.Errorf("summary %q", s)
		}
		description, _ := descriptionOf(guide, n, &e, "")
		comment, _ := commentOf(n, &e, occasion(&e), summary)
		for _, text := range []string{description, comment} {
			if alert.UTF16(text) > maxText || !utf8.ValidString(text) || !strings.HasSuffix(text, eventMark(n.WebhookID, &e)) {
				t.Errorf("%d characters, ending in %q", alert.UTF16(text), text[max(0, len(text)-40):])
			}
			if n := len(blocks.FindAllString(text, -1)); n%2 != 0 || n != strings.Count("\n"+text+"\n", "\n{noformat}\n") {
				t.Errorf("%d marks of blocks in %.1000q", n, text)
			}
		}
	})
}

// FuzzAnswer reads whatever Jira, or something in its place, may say.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{"", "{", "[]", "<html>", `{"errorMessages":["no"],"errors":{}}`, `{"errors":{"summary":"x"}}`, `{"errors":{"project":"x","summary":"y"}}`,
		`{"errors":[{"status":400,"failedElementNumber":0,"elementErrors":{"errors":{"labels":"x"}}}]}`, `{"id":"1","key":"A-1"}`, `{"issues":[{"id":"1"},{"id":"2"}]}`,
		`{"issues":[{"id":"1"}],"errors":[{"failedElementNumber":-1}]}`, `{"issues":[{"id":"1"}],"errors":[{"failedElementNumber":1},{"failedElementNumber":1}]}`, `{"issues":[{"id":"../x"},{"key":"a b"}]}`} {
		for _, status := range []int{200, 201, 400, 404, 410, 429, 503} {
			f.Add(status, body)
		}
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		a, err := newAPI(config{url: "http://h"}, nil, func(*http.Request, []byte, int) answer {
			return answer{status: status, header: http.Header{}, body: []byte(body), shown: body}
		})
		if err != nil || status < 100 || status > 999 {
			return
		}
		refused := a.answerOf(status, body).classify()
		if (refused == nil) != (status >= 200 && status <= 299) {
			t.Errorf("%d %q: %v", status, body, refused)
		}
		if s := tocsin.Classify(refused); refused != nil && status >= 500 && status <= 599 && (s.Fault != tocsin.FaultRetry || !s.Unsure) {
			t.Errorf("%d %q: %+v", status, body, s)
		}
		if issue, err := a.create(t.Context(), emptyIssue()); err == nil && (ref{ID: issue.ID, Key: issue.Key}).ticket() == "" {
			t.Errorf("%d %q: created %+v", status, body, issue)
		}
		issues := twoIssues()
		created, errs, err := a.createAll(t.Context(), issues)
		if err != nil {
			return
		}
		for i := range issues {
			if (errs[i] == nil) != ((ref{ID: created[i].ID, Key: created[i].Key}).ticket() != "") {
				t.Errorf("%d %q: place %d: %+v, %v", status, body, i, created[i], errs[i])
			}
		}
	})
}
