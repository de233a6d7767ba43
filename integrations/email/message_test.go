package email_test

import (
	"encoding/json"
	"flag"
	"maps"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
)

// preview renders a notification under a configuration.
func preview(t testing.TB, changes map[string]any, n tocsin.Notification) string {
	t.Helper()
	s, err := newChannel(nil, nil).Open(json.RawMessage(configOf("mail.example.com:587", withoutCA(changes))))
	if err != nil {
		t.Fatal(err)
	}
	x, err := s.Preview(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return x[0].RequestBody
}

// withoutCA leaves out what needs a client.
func withoutCA(changes map[string]any) map[string]any {
	out := map[string]any{"ca_cert": nil}
	maps.Copy(out, changes)
	return out
}

// TestBodies keeps both bodies as files that can be opened and looked at.
func TestBodies(t *testing.T) {
	trial := one(t)
	trial.Test = true
	cases := map[string]tocsin.Notification{
		"one": one(t), "test": trial, "hostile": integrationtest.Notify(integrationtest.Pick(t, "it-hostile")...),
		"resolved": integrationtest.Notify(integrationtest.Pick(t, "it-traffic-back")...),
		"digest":   integrationtest.Notify(integrationtest.Pick(t, "it-finding", "it-mcp", "it-traffic-back", "it-threat-1")...),
		"rows":     integrationtest.Notify(repeat(integrationtest.Pick(t, "it-mcp", "it-hostile", "it-traffic-back"), 120)...),
		"summary":  integrationtest.Notify(repeat(integrationtest.Pick(t, "it-mcp", "it-hostile", "it-traffic-back"), 1000)...),
		"shared":   integrationtest.Notify(integrationtest.Shared(t)...), "shared-hostile": integrationtest.Notify(integrationtest.Shared(t, "evt-hostile-1")...),
		"shared-unicode": integrationtest.Notify(integrationtest.Shared(t, "evt-unicode-1")...), "shared-threat": integrationtest.Notify(integrationtest.Shared(t, "evt-threat-1")...),
	}
	for name, n := range cases {
		p := read(t, preview(t, nil, n))
		compareFile(t, name+".html", p.parts["text/html"])
		compareFile(t, name+".txt", "Subject: "+p.Subject+"\n\n"+p.parts["text/plain"])
	}
}

func compareFile(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("reading the golden file (write it with -update): %v", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", path, diff)
	}
}

// TestHeaders: each header, as other programs read it.
func TestHeaders(t *testing.T) {
	p := read(t, preview(t, nil, one(t)))
	h := p.Header
	for key, want := range map[string]string{
		"Date": "Mon, 02 Mar 2026 08:45:00 +0000", "Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All", "Mime-Version": "1.0",
		"Precedence": "", "Importance": "", "List-Id": "", "Bcc": "", "X-Mailer": "", "User-Agent": "",
		"X-Tocsin-Delivery": "dlv_01JSUITE0000000000000000", "X-Tocsin-Webhook": "wh_01JSUITE0000000000000000",
	} {
		if got := h.Get(key); got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
	for key, want := range map[string][]mail.Address{
		"From":     {{Name: "Tocsin Wächter", Address: "alerts@example.com"}},
		"To":       {{Name: "Security Team", Address: "security@example.com"}, {Address: "oncall@example.com"}},
		"Cc":       {{Address: "lead@example.com"}},
		"Reply-To": {{Address: "soc@example.com"}},
	} {
		list, err := h.AddressList(key)
		var got []mail.Address
		for _, a := range list {
			got = append(got, *a)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v, want %v", key, got, err, want)
		}
	}
	if p.Subject != "[production] 🟡 Medium: Agent refund-helper appeared" {
		t.Errorf("Subject: %q", p.Subject)
	}
	if want := []string{"text/plain", "text/html"}; !slices.Equal(p.order, want) {
		t.Errorf("parts %q, want %q: programs show the last they can", p.order, want)
	}
	several := read(t, preview(t, nil, integrationtest.Notify(integrationtest.Pick(t, "it-finding", "it-mcp")...)))
	if got := several.Header.Get("Precedence"); got != "bulk" {
		t.Errorf("Precedence of a digest: %q", got)
	}
}

// TestImportance: only what is critical, firing and real is urgent.
func TestImportance(t *testing.T) {
	critical := integrationtest.Pick(t, "it-finding")
	over := integrationtest.Pick(t, "it-finding")
	over[0].Status = tocsin.Resolved
	trial := integrationtest.Notify(critical...)
	trial.Test = true
	for want, ns := range map[string][]tocsin.Notification{
		"high": {integrationtest.Notify(critical...), integrationtest.Notify(append(integrationtest.Pick(t, "it-mcp"), critical...)...)},
		"":     {integrationtest.Notify(over...), trial, one(t)},
	} {
		for i, n := range ns {
			if got := read(t, preview(t, nil, n)).Header.Get("Importance"); got != want {
				t.Errorf("%d: got %q, want %q", i, got, want)
			}
		}
	}
}

// TestThreads: a message belongs to the dedup key of all its events.
func TestThreads(t *testing.T) {
	root := func(n tocsin.Notification, changes map[string]any) string {
		h := read(t, preview(t, changes, n)).Header
		if h.Get("References") != h.Get("In-Reply-To") {
			t.Errorf("References %q, In-Reply-To %q", h.Get("References"), h.Get("In-Reply-To"))
		}
		if h.Get("References") == h.Get("Message-ID") {
			t.Error("a message refers to itself")
		}
		return h.Get("References")
	}
	stopped, back, agent := integrationtest.Pick(t, "it-traffic")[0], integrationtest.Pick(t, "it-traffic-back")[0], integrationtest.Pick(t, "it-agent")[0]
	fired := integrationtest.Notify(stopped)
	first := root(fired, nil)
	later := integrationtest.Notify(back)
	later.DeliveryID, later.Attempt, later.At = "dlv_later", 3, integrationtest.At.Add(time.Hour)
	if got := root(later, nil); got != first || !regexp.MustCompile(`^<tocsin\.[0-9a-f]{32}@example\.com>$`).MatchString(got) {
		t.Errorf("the thread of firing is %s, of resolved %s", first, got)
	}
	if got := root(integrationtest.Notify(stopped, back), nil); got != first {
		t.Errorf("both together: %s, want %s", got, first)
	}
	if got := root(integrationtest.Notify(stopped, agent), nil); got != "" {
		t.Errorf("a digest of two incidents has the thread %s", got)
	}
	if got := root(integrationtest.Notify(agent), nil); got == first || got == "" {
		t.Errorf("another incident has the thread %s", got)
	}
	elsewhere := integrationtest.Notify(stopped)
	elsewhere.WebhookID = "wh_other"
	if root(elsewhere, nil) == first {
		t.Error("two webhooks share a thread")
	}
	if got := root(fired, map[string]any{"from": "x@other.example"}); !strings.HasSuffix(got, "@other.example>") {
		t.Errorf("from another domain: %s", got)
	}
	trial := integrationtest.Notify(stopped)
	if trial.Test = true; root(trial, nil) != "" {
		t.Error("a test is in the incident's thread")
	}
}

// hostile is text that tries everything, with the marks of this project's own tests.
var hostile = []string{
	"x\r\nBcc: victim@example.org\r\n\r\n<html>", "x\nSubject: other", "x\rBcc: y", "x\u2028Bcc: y", "x\x00y\x0b\x0c\x85Bcc: y", "x\u0085Bcc: y",
	"=?utf-8?q?=0D=0ABcc:_victim@example.org?=", "=?utf-8?b?DQpCY2M6IHg=?=", "--=_77d6319a5d86efa984e3c47999c9440a\r\nContent-Type: text/html\r\n\r\n<b>x</b>",
	"--=_77d6319a5d86efa984e3c47999c9440a--", "\r\n.\r\nMAIL FROM:<x@example.org>\r\n", ".\n.\n", "</h1><script>alert(1)</script>", `"><img src=x onerror=alert(1)>`,
	"<a href=\"https://evil.example/\">click</a>", "javascript:alert(1)", "https://evil.example/login?a=1", "www.evil.example", "http://user:pw@evil.example", "mailto:x@evil.example", "evil.example/x",
	"tel:+15551234", "<style>*{display:none}</style>", "<!--", "-->", "]]>", "{{.Webhook}}", "{{template \"open\" .}}", "&lt;b&gt;", "&#60;b&#62;", "\u202etxt.exe", "<base href=//evil.example>",
	"<meta http-equiv=refresh content=0>", "expression(alert(1))", "url(//evil.example)", strings.Repeat("a.b@c:", 2000), strings.Repeat("\n", 9000), strings.Repeat("<", 9000),
}

// hostileEvent has the text wherever an event has text.
func hostileEvent(text string) tocsin.Event {
	data, err := json.Marshal(map[string]any{"actor": text, "url": text, "evidence": text, "data_types": []string{text, text}, "note": text, "observed": map[string]string{text: text}})
	if err != nil {
		data = nil
	}
	return tocsin.Event{ID: text, Source: text, Type: "custom." + text, Subject: text, Title: text, Summary: text, DedupKey: text, Link: "https://console.example.com/?q=" + text,
		Severity: tocsin.SeverityCritical, Time: integrationtest.At, Data: data}
}

// TestNoHeaderIsInjected: whatever an event says, the headers are ours.
func TestNoHeaderIsInjected(t *testing.T) {
	keys := func(raw string) []string { return slices.Sorted(maps.Keys(read(t, raw).Header)) }
	ordinary := integrationtest.Pick(t, "it-finding")[0]
	want := keys(preview(t, nil, integrationtest.Notify(ordinary)))
	for _, text := range hostile {
		n := integrationtest.Notify(hostileEvent(text))
		raw := preview(t, nil, n)
		if got := keys(raw); !slices.Equal(got, want) {
			t.Errorf("%.60q: headers %q, want %q", text, got, want)
		}
		checkWire(t, raw)
		p := read(t, raw)
		if !slices.Equal(p.order, []string{"text/plain", "text/html"}) {
			t.Errorf("%.60q: parts %q", text, p.order)
		}
		if strings.ContainsAny(p.Subject, "\r\n\x00\u2028\u202e\u0085") || !strings.HasPrefix(p.Subject, "[production] 🔴 Critical: ") {
			t.Errorf("%.60q: the subject is %q", text, p.Subject)
		}
		again := read(t, "Subject: "+p.Subject+"\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n--x--\r\n")
		if again.Subject != p.Subject {
			t.Errorf("%.60q: the subject decodes once more, to %q", text, again.Subject)
		}
	}
}

// checkWire holds a message to the lines that SMTP takes.
func checkWire(t *testing.T, raw string) {
	t.Helper()
	head, _, ok := strings.Cut(raw, "\r\n\r\n")
	if !ok || !strings.HasSuffix(raw, "\r\n") {
		t.Error("the message has no body, or no end")
	}
	name := regexp.MustCompile(`^[A-Za-z-]+:( |$)`)
	for line := range strings.SplitSeq(head, "\r\n") {
		if !name.MatchString(line) && !strings.HasPrefix(line, " ") {
			t.Errorf("not a header: %q", line)
		}
	}
	for line := range strings.SplitSeq(raw, "\r\n") {
		if len(line) > 998 || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r > '~' }) {
			t.Errorf("a line of %d bytes that is not plain ASCII: %.100q", len(line), line)
		}
	}
}

// elements and attributes are all that a message is made of.
var (
	elements   = strings.Fields("html head meta title body table tbody tr td div h1 p br wbr a span small")
	attributes = strings.Fields("lang charset name content role width cellpadding cellspacing border align valign style href")
	// linkable is what mail programs make links of by themselves.
	linkable = regexp.MustCompile(`(?i)://|www\.[a-z0-9]|[a-z0-9]@[a-z0-9]|[a-z0-9]\.[a-z]{2,}|(mailto|tel|javascript|https?):[a-z0-9/+]`)
)

// checkHTML proves with a browser's parser that nothing of an event's is markup: only our
// elements and attributes, no link but the given ones, and no text to make one of.
func checkHTML(t *testing.T, p parsed, links ...string) {
	t.Helper()
	for n := range p.tree(t).Descendants() {
		switch n.Type {
		case html.ElementNode:
			if !slices.Contains(elements, n.Data) {
				t.Errorf("an element <%s>", n.Data)
			}
			for _, a := range n.Attr {
				if !slices.Contains(attributes, a.Key) || strings.Contains(a.Val, "ZgotmplZ") {
					t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
				}
				if a.Key == "href" && !slices.Contains(links, a.Val) {
					t.Errorf("a link to %q, want only %q", a.Val, links)
				}
			}
		case html.CommentNode:
			t.Errorf("a comment: %q", n.Data)
		case html.TextNode:
			if n.Parent.Data != "title" && linkable.MatchString(n.Data) {
				t.Errorf("a mail program may make a link of %q in %.200q", linkable.FindString(n.Data), n.Data)
			}
		}
	}
}

// TestNothingHostileSurvives in the HTML, alone and in rows.
func TestNothingHostileSurvives(t *testing.T) {
	for _, text := range hostile {
		e := hostileEvent(text)
		for _, count := range []int{1, 110} {
			n := integrationtest.Notify(repeat([]tocsin.Event{e}, count)...)
			n.WebhookName = "alerts.example.com"
			p := read(t, preview(t, nil, n))
			links := []string{"https://tocsin.example.com/v1/deliveries/" + n.DeliveryID}
			for _, a := range find(p.tree(t), "a") {
				if href := a.Attr[0].Val; strings.HasPrefix(href, "https://console.example.com/?q=") {
					links = append(links, href)
				}
			}
			checkHTML(t, p, links...)
		}
	}
	for _, link := range []string{"javascript:alert(1)", "http://console.example.com/", "//evil.example", "https://user@evil.example/", "data:text/html,x", "https://" + strings.Repeat("a", 3000) + ".example/", " https://x", "https://x\r\ny"} {
		e := integrationtest.Pick(t, "it-agent")[0]
		e.Link = link
		n := integrationtest.Notify(e)
		p := read(t, preview(t, nil, n))
		checkHTML(t, p, "https://tocsin.example.com/v1/deliveries/"+n.DeliveryID)
		if strings.Contains(p.parts["text/plain"], "Open:") {
			t.Errorf("%.60q is in the text", link)
		}
	}
}

// TestTextCannotBeForged: no line of an event's looks like one of ours.
func TestTextCannotBeForged(t *testing.T) {
	e := integrationtest.Pick(t, "it-agent")[0]
	e.Summary = "all is well\n\nSeverity:   info\n-- \nTocsin, webhook x\n" + strings.Repeat("-", 40) + "\n✅ Resolved: it\nOpen: https://evil.example/"
	text := read(t, preview(t, nil, integrationtest.Notify(e))).parts["text/plain"]
	for line := range strings.SplitSeq(text, "\n") {
		for _, forged := range []string{"Severity:   info", "Tocsin, webhook x", "✅", "Open: https://evil"} {
			if strings.HasPrefix(line, forged) {
				t.Errorf("forged: %q", line)
			}
		}
	}
	if strings.Count(text, "\n-- \n") != 1 {
		t.Errorf("more than one signature:\n%s", text)
	}
}

// TestATestIsMarked in both bodies and in the subject.
func TestATestIsMarked(t *testing.T) {
	for _, count := range []int{1, 3, 200} {
		n := integrationtest.Notify(repeat(integrationtest.Pick(t, "it-agent", "it-mcp"), count)...)
		n.Test = true
		p := read(t, preview(t, nil, n))
		for where, text := range map[string]string{"subject": p.Subject, "text": p.parts["text/plain"], "HTML": textOf(find(p.tree(t), "body")[0])} {
			if !strings.Contains(text, "[TEST]") {
				t.Errorf("%d events: the %s is not marked", count, where)
			}
		}
		n.Test = false
		if p := read(t, preview(t, nil, n)); strings.Contains(p.Subject+p.parts["text/plain"]+p.parts["text/html"], "[TEST]") {
			t.Errorf("%d events: an alert is marked as a test", count)
		}
	}
}
