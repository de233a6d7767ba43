package email_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
)

// FuzzMessage renders whatever an event may say: the headers stay ours, both parts can be
// read, no line is too long for SMTP, and nothing in the HTML is the event's but text.
func FuzzMessage(f *testing.F) {
	for _, text := range hostile {
		if len(text) < 1000 {
			f.Add(text, text, "https://console.example.com/"+text)
		}
	}
	f.Add("", "", "")
	f.Fuzz(func(t *testing.T, title, subject, link string) {
		e := tocsin.Event{ID: "1", Source: "/s", Type: "custom.x", Title: title, Summary: title, Subject: subject, Link: link, Severity: tocsin.SeverityHigh}
		n := integrationtest.Notify(e)
		raw := preview(t, nil, n)
		checkWire(t, raw)
		p := read(t, raw)
		want := []string{"Auto-Submitted", "Cc", "Content-Type", "Date", "From", "In-Reply-To", "Message-Id", "Mime-Version", "References", "Reply-To", "Subject", "To",
			"X-Auto-Response-Suppress", "X-Tocsin-Delivery", "X-Tocsin-Webhook"}
		if got := slices.Sorted(maps.Keys(p.Header)); !slices.Equal(got, want) {
			t.Errorf("headers %q, want %q", got, want)
		}
		if !slices.Equal(p.order, []string{"text/plain", "text/html"}) {
			t.Errorf("parts %q", p.order)
		}
		links := []string{"https://tocsin.example.com/v1/deliveries/" + n.DeliveryID}
		for _, a := range find(p.tree(t), "a") {
			if href := a.Attr[0].Val; strings.HasPrefix(href, "https://") {
				links = append(links, href)
			}
		}
		if len(links) > 3 {
			t.Errorf("links: %q", links)
		}
		checkHTML(t, p, links...)
	})
}

// FuzzConfig takes whatever may be sent as a configuration. What is accepted cannot break
// a line of SMTP or of a header.
func FuzzConfig(f *testing.F) {
	f.Add(`{"host":"h","from":"a@b.c","to":"d@e.f"}`)
	f.Add(`{"host":"h","from":"\"a b\"@b.c","to":["=?utf-8?q?a=0D=0ABcc=3A?= <d@e.f>"],"helo":"[1.2.3.4]","subject_prefix":"[x]"}`)
	f.Add(configOf("mail.example.com:587", withoutCA(nil)))
	f.Fuzz(func(t *testing.T, text string) {
		ch := newChannel(nil, nil)
		complete, _, err := ch.Complete(json.RawMessage(text))
		if err != nil {
			return
		}
		var keys map[string]any
		if json.Unmarshal(complete, &keys) == nil && keys["ca_cert"] != nil && keys["ca_cert"] != "" {
			return // needs a client
		}
		s, err := ch.Open(complete)
		if err != nil {
			if tocsin.CodeOf(err) != tocsin.CodeInvalid {
				t.Errorf("Open: %v", err)
			}
			return
		}
		x, err := s.Preview(t.Context(), integrationtest.Notify(integrationtest.Pick(t, "it-agent")...))
		if err != nil {
			t.Fatal(err)
		}
		checkWire(t, x[0].RequestBody)
		for _, line := range x[0].RequestHeaders {
			if strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) || r > unicode.MaxASCII }) {
				t.Errorf("in the envelope: %q", line)
			}
		}
		if p := read(t, x[0].RequestBody); p.Header.Get("Bcc") != "" || len(p.order) != 2 {
			t.Errorf("headers %v, parts %q", p.Header, p.order)
		}
	})
}
