package email_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
)

// TestSizes: however much there is, the message stays small, says how many events it leaves
// out, and shows the worst.
func TestSizes(t *testing.T) {
	long := integrationtest.Pick(t, "it-mcp")[0]
	long.Title, long.Subject, long.Summary = strings.Repeat("🧨", 500), strings.Repeat("<&\">", 500), strings.Repeat("名.a", 20000)
	for name, row := range map[string]struct {
		base  []tocsin.Event
		count int
	}{
		"one": {integrationtest.Pick(t, "it-agent"), 1}, "hundred": {integrationtest.Pick(t, "it-agent", "it-finding"), 100}, "over": {integrationtest.Pick(t, "it-agent"), 101},
		"thousand": {integrationtest.Pick(t, "it-agent"), 1000}, "a long one": {[]tocsin.Event{long}, 1}, "ten long ones": {[]tocsin.Event{long}, 10},
		"a thousand long ones": {[]tocsin.Event{long}, 1000}, "unicode": {integrationtest.Shared(t, "evt-unicode-1"), 100},
	} {
		events := repeat(row.base, row.count)
		worst := integrationtest.Pick(t, "it-finding")[0]
		worst.Title = "the worst of all"
		n := integrationtest.Notify(append(slices.Clone(events), worst)...)
		raw := preview(t, nil, n)
		p := read(t, raw)
		if len(raw) > 500_000 || len(p.parts["text/html"]) > 95_000 {
			t.Errorf("%s: %d bytes, %d of HTML", name, len(raw), len(p.parts["text/html"]))
		}
		checkWire(t, raw)
		shown := len(find(p.tree(t), "h1"))
		for _, row := range find(p.tree(t), "tr") {
			if len(row.Attr) == 1 && len(find(row, "td")) == 2 && strings.Contains("⚪🔵🟡🟠🔴✅", textOf(find(row, "td")[0])) {
				shown++
			}
		}
		more := 0
		if m := regexp.MustCompile(`(?m)^\+(\d+) more$`).FindStringSubmatch(p.parts["text/plain"]); m != nil {
			if _, err := fmt.Sscan(m[1], &more); err != nil {
				t.Fatal(err)
			}
		}
		if shown+more != len(n.Events) || shown == 0 {
			t.Errorf("%s: %d shown and %d more of %d", name, shown, more, len(n.Events))
		}
		if !strings.Contains(p.parts["text/plain"], "the worst of all") {
			t.Errorf("%s: the worst is left out", name)
		}
	}
}

// TestTruncatedIsCounted as far as something was left out.
func TestTruncatedIsCounted(t *testing.T) {
	server := (&smtpd{auth: []string{"PLAIN"}}).start(t)
	s := newKit(t, 0).open(config(server.addr()))
	for want, n := range map[int]tocsin.Notification{
		0: one(t), 1: integrationtest.Notify(append(integrationtest.Shared(t, "evt-unicode-1"), integrationtest.Pick(t, "it-agent")...)...),
		150: integrationtest.Notify(repeat(integrationtest.Pick(t, "it-agent"), 150)...),
	} {
		receipt, err := s.Send(t.Context(), n)
		if err != nil || receipt.Truncated != want {
			t.Errorf("%d events: %d counted, want %d, %v", len(n.Events), receipt.Truncated, want, err)
		}
	}
}
