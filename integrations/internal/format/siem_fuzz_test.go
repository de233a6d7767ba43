package format_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/format"
)

// shown is what a reader must get back for a text: the same but for control characters,
// marks that reverse the display, and white space at the ends.
func shown(text string) string {
	var out []rune
	runes := []rune(strings.ToValidUTF8(text, "\uFFFD"))
	for i, r := range runes {
		switch {
		case r == '\r' && i+1 < len(runes) && runes[i+1] == '\n':
		case strings.ContainsRune("\r\n\u0085\u2028\u2029", r):
			out = append(out, '\n')
		case strings.ContainsRune("\t\v\f", r):
			out = append(out, ' ')
		case strings.ContainsRune("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\ufeff", r), unicode.Is(unicode.Cc, r):
		default:
			out = append(out, r)
		}
	}
	return strings.TrimSpace(string(out))
}

// agrees compares what was read with the text that was written, which may be cut at most bytes.
func agrees(t *testing.T, where, got, want string, most int) {
	t.Helper()
	kept, cut := strings.CutSuffix(got, "…")
	switch {
	case got == want:
	case !cut || len(want) <= most || len(got) > most || !strings.HasPrefix(want, kept):
		t.Errorf("%s: read %q, written %q", where, got, want)
	case strings.Trim(want[len(kept):max(len(kept), most-8)], " ") != "": // spaces before the … go
		t.Errorf("%s: %d bytes read, at most %d of %d wanted", where, len(got), most, len(want))
	}
}

// FuzzSIEM writes whatever an event may say and reads it with parsers that are not ours:
// exactly those fields come back, none is forged and none is lost.
func FuzzSIEM(f *testing.F) {
	f.Add("1", "/s", "custom.x", "title", "summary", "subject", "key", "actor", "url", int64(1772436600123))
	f.Add(`\`, "|", "^", "a|b\\|c\\\\|", "x src=1.2.3.4\nmsg=forged\\", "\\=", "=", " cs1=x", "\\n", int64(0))
	f.Add("a^src=1", "LEEF:2.0|", "\r\n", "CEF:0|a|b|c|d|e|10|", "\u2028", "\x00\x07", "\u202e", "a\\", "b\\\\=", int64(-1))
	f.Fuzz(func(t *testing.T, id, source, typ, title, summary, subject, key, actor, url string, ms int64) {
		data, err := json.Marshal(map[string]string{"actor": actor, "url": url})
		if err != nil {
			t.Skip()
		}
		var readable struct{ Actor, URL string } // json.Marshal replaces what is no UTF-8
		if err := json.Unmarshal(data, &readable); err != nil {
			t.Fatal(err)
		}
		e := tocsin.Event{ID: id, Source: source, Type: typ, Title: title, Summary: summary, Subject: subject, DedupKey: key, Time: time.UnixMilli(ms % 1e14), Data: data}
		checkCEF(t, &e, readable.URL)
		checkLEEF(t, &e, readable.URL)
	})
}

func checkCEF(t *testing.T, e *tocsin.Event, url string) {
	header, extension, err := parseCEF(format.CEF(e, "1"))
	if err != nil {
		t.Fatalf("CEF: %v: %q", err, format.CEF(e, "1"))
	}
	agrees(t, "class", header[4], strings.ReplaceAll(shown(e.Type), "\n", " "), 255)
	if title := strings.ReplaceAll(shown(e.Title), "\n", " "); title != "" {
		agrees(t, "name", header[5], strings.TrimSpace(title), 512)
	}
	agrees(t, "deviceExternalId", extension["deviceExternalId"], shown(e.Source), 255)
	agrees(t, "msg", extension["msg"], shown(e.Summary), 1023)
	agrees(t, "cs3", extension["cs3"], shown(e.Subject), 4000)
	agrees(t, "request", extension["request"], shown(url), 1023)
	if e.DedupKey != "" {
		agrees(t, "cs1", extension["cs1"], shown(e.DedupKey), 4000)
	}
	for field := range extension {
		if _, known := cefDictionary[field]; !known {
			t.Errorf("the field %s=%q was forged", field, extension[field])
		}
	}
	if id := extension["externalId"]; id != e.ID && id != format.UID(e) {
		t.Errorf("externalId %q", id)
	}
}

func checkLEEF(t *testing.T, e *tocsin.Event, url string) {
	header, attributes, err := parseLEEF(format.LEEF(e, "1"))
	if err != nil {
		t.Fatalf("LEEF: %v: %q", err, format.LEEF(e, "1"))
	}
	// LEEF has no escapes: three characters have stand-ins.
	written := func(text string) string {
		return strings.NewReplacer("\n", " ", "^", "ˆ", "|", "¦").Replace(shown(text))
	}
	within := func(where, got, text string, most int) {
		if len(shown(text)) <= most {
			agrees(t, where, got, written(text), 1<<20)
		}
	}
	within("event id", header[3], e.Type, 255)
	within("eventSource", attributes["eventSource"], e.Source, 255)
	within("msg", attributes["msg"], e.Summary, 1023)
	within("subject", attributes["subject"], e.Subject, 2048)
	within("url", attributes["url"], url, 2048)
	for field := range attributes {
		if !strings.Contains(" externalId devTime sev cat title status src dedupKey eventSource usrName httpMethod url subject link collection msg data ", " "+field+" ") {
			t.Errorf("the attribute %s was forged", field)
		}
	}
}
