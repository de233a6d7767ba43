package email_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
)

// replies scripts a server to answer RCPT by address.
func replies(byAddress map[string]string) func(verb, arg string) string {
	return func(verb, arg string) string {
		if verb == "RCPT" {
			return byAddress[arg]
		}
		return ""
	}
}

// TestRecipients: what becomes of a delivery by what becomes of its recipients.
func TestRecipients(t *testing.T) {
	const a, b, c, d = "security@example.com", "oncall@example.com", "lead@example.com", "archive@example.com"
	const no, later = "550 5.1.1 No such user", "450 4.2.1 Mailbox busy"
	for name, row := range map[string]struct {
		replies map[string]string
		want    tocsin.Fault
		reached []string
		logged  []string
		refs    bool
	}{
		"one refused":         {map[string]string{b: no}, "", []string{a, c, d}, []string{b}, false},
		"all but one refused": {map[string]string{a: no, b: no, d: no}, "", []string{c}, []string{a, b, d}, false},
		"all refused":         {map[string]string{a: no, b: no, c: no, d: no}, tocsin.FaultWebhook, nil, nil, false},
		"one put off":         {map[string]string{b: later}, tocsin.FaultRetry, []string{a, c, d}, nil, true},
		"all put off":         {map[string]string{a: later, b: later, c: later, d: later}, tocsin.FaultRetry, nil, nil, false},
		"some of each":        {map[string]string{a: no, b: later}, tocsin.FaultRetry, []string{c, d}, []string{a}, true},
		"none of each":        {map[string]string{a: no, b: later, c: no, d: no}, tocsin.FaultRetry, nil, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := (&smtpd{auth: []string{"PLAIN"}, script: replies(row.replies)}).start(t)
			k := newKit(t, 0)
			receipt, err := k.open(config(server.addr())).Send(t.Context(), one(t))
			if got, want := outcomeOf(err), (integrationtest.Outcome{Fault: row.want, Unsure: row.refs}); got != want {
				t.Errorf("got %+v, want %+v (%v)", got, want, err)
			}
			if taken := err != nil && tocsin.Classify(err).Taken; taken != row.refs {
				t.Errorf("a failure of the webhook: %v, want %v", !taken, !row.refs)
			}
			var reached []string
			for _, m := range server.received() {
				reached = append(reached, m.to...)
			}
			if !slices.Equal(reached, row.reached) {
				t.Errorf("reached %q, want %q", reached, row.reached)
			}
			for _, addr := range []string{a, b, c, d} {
				if logged := strings.Contains(k.log.String(), addr); logged != slices.Contains(row.logged, addr) {
					t.Errorf("%s is in the log: %v:\n%s", addr, logged, k.log)
				}
			}
			said := receipt.Exchanges[0].ResponseBody
			for addr, reply := range row.replies {
				if !strings.Contains(said, "> RCPT TO:<"+addr+">\n< "+reply+"\n") {
					t.Errorf("the refusal of %s is not in the exchange:\n%s", addr, said)
				}
			}
			if (len(receipt.Refs) > 0) != row.refs || receipt.Results != nil {
				t.Errorf("refs %s, results %v", receipt.Refs, receipt.Results)
			}
			if want := map[bool]int{true: 250, false: receipt.Exchanges[0].Status}[row.reached != nil]; receipt.Exchanges[0].Status != want {
				t.Errorf("status %d, want %d", receipt.Exchanges[0].Status, want)
			}
		})
	}
}

// TestWhoWasPutOffIsTriedAlone follows a delivery through its attempts.
func TestWhoWasPutOffIsTriedAlone(t *testing.T) {
	const late, gone = "oncall@example.com", "lead@example.com"
	answers := map[string]string{late: "450 4.7.1 Greylisted", gone: "550 5.1.1 No such user"}
	server := (&smtpd{auth: []string{"PLAIN"}, script: replies(answers)}).start(t)
	s := newKit(t, 0).open(config(server.addr()))
	n := one(t)
	first, err := s.Send(t.Context(), n)
	if outcomeOf(err).Fault != tocsin.FaultRetry {
		t.Fatalf("first attempt: %v", err)
	}
	for key, ref := range first.Refs {
		if key != n.Events[0].DedupKey || strings.Contains(string(ref), "example.com") {
			t.Errorf("stored under %q: %s", key, ref)
		}
	}
	n.Attempt, n.Refs = 2, first.Refs
	second, err := s.Send(t.Context(), n)
	if outcomeOf(err).Fault != tocsin.FaultRetry || len(server.received()) != 1 {
		t.Fatalf("second attempt: %v, %d mails", err, len(server.received()))
	}
	delete(answers, late)
	n.Attempt, n.Refs = 3, second.Refs
	if _, err = s.Send(t.Context(), n); err != nil {
		t.Fatalf("third attempt: %v", err)
	}
	got := server.received()
	if len(got) != 2 || !slices.Equal(got[1].to, []string{late}) {
		t.Fatalf("arrived: %d mails, the last to %q", len(got), got[len(got)-1].to)
	}
	if a, b := read(t, got[0].data).Header.Get("Message-ID"), read(t, got[1].data).Header.Get("Message-ID"); a != b {
		t.Errorf("two messages, %s and %s, for one delivery", a, b)
	}
	// What is stored is about that delivery only.
	other := one(t)
	other.DeliveryID, other.Refs = "dlv_other", second.Refs
	if _, err := s.Send(t.Context(), other); err != nil || len(server.received()[2].to) != 3 {
		t.Errorf("the next delivery went to %q, %v", server.received()[2].to, err)
	}
}

// TestContentRefusedForTheLast: what the others have is not split, and its events do not die.
func TestContentRefusedForTheLast(t *testing.T) {
	answers := map[string]string{"lead@example.com": "450 4.2.1 Busy"}
	spam := ""
	server := (&smtpd{auth: []string{"PLAIN"}, script: func(verb, arg string) string {
		if verb == "." {
			return spam
		}
		return replies(answers)(verb, arg)
	}}).start(t)
	k := newKit(t, 0)
	s := k.open(config(server.addr()))
	n := integrationtest.Notify(integrationtest.Pick(t, "it-agent", "it-mcp")...)
	receipt, err := s.Send(t.Context(), n)
	if err == nil {
		t.Fatal("want a retry")
	}
	delete(answers, "lead@example.com")
	spam = "554 5.7.1 Spam message rejected"
	n.Attempt, n.Refs = 2, receipt.Refs
	if _, err := s.Send(t.Context(), n); err != nil || !strings.Contains(k.log.String(), "lead@example.com") {
		t.Errorf("got %v; logged: %s", err, k.log)
	}
	n.Refs = nil
	if _, err := s.Send(t.Context(), n); outcomeOf(err).Fault != tocsin.FaultEvent {
		t.Errorf("for all: %v", err)
	}
}

// TestNobodyIsLeft: the recipient who was put off is no longer one.
func TestNobodyIsLeft(t *testing.T) {
	server := (&smtpd{auth: []string{"PLAIN"}, script: replies(map[string]string{"lead@example.com": "450 4.2.1 Busy"})}).start(t)
	k := newKit(t, 0)
	n := one(t)
	receipt, err := k.open(config(server.addr())).Send(t.Context(), n)
	if err == nil {
		t.Fatal("want a retry")
	}
	n.Attempt, n.Refs = 2, receipt.Refs
	receipt, err = k.open(configOf(server.addr(), map[string]any{"cc": nil})).Send(t.Context(), n)
	if err != nil || len(receipt.Exchanges) != 0 || len(server.received()) != 1 {
		t.Errorf("got %v, %d exchanges, %d mails", err, len(receipt.Exchanges), len(server.received()))
	}
}

// TestEachRecipientOnce: an address in to and cc gets one mail.
func TestEachRecipientOnce(t *testing.T) {
	server := (&smtpd{auth: []string{"PLAIN"}}).start(t)
	config := configOf(server.addr(), map[string]any{"to": []string{"a@example.com", "A@Example.com"}, "cc": "a@example.com", "bcc": `"b c"@example.com`})
	if _, err := newKit(t, 0).open(config).Send(t.Context(), one(t)); err != nil {
		t.Fatal(err)
	}
	if got := server.received()[0].to; !slices.Equal(got, []string{"a@example.com", `"b c"@example.com`}) {
		t.Errorf("sent to %q", got)
	}
}

// TestHundredRecipients is the most there can be.
func TestHundredRecipients(t *testing.T) {
	server := (&smtpd{auth: []string{"PLAIN"}}).start(t)
	s := newKit(t, 0).open(configOf(server.addr(), map[string]any{"to": many(98)}))
	if _, err := s.Send(t.Context(), one(t)); err != nil || len(server.received()[0].to) != 100 {
		t.Errorf("got %v, %d recipients", err, len(server.received()[0].to))
	}
}

// TestUnreadableRefs: what is stored may be anything.
func TestUnreadableRefs(t *testing.T) {
	server := (&smtpd{auth: []string{"PLAIN"}}).start(t)
	s := newKit(t, 0).open(config(server.addr()))
	n := one(t)
	for _, ref := range []string{`null`, `7`, `{"v":1}`, `{"delivery":7}`, `{`, ``, `{"delivery":"` + n.DeliveryID + `","done":["x",""]}`} {
		n.Refs = map[string]json.RawMessage{n.Events[0].DedupKey: json.RawMessage(ref)}
		if _, err := s.Send(t.Context(), n); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
	}
	for _, m := range server.received() {
		if len(m.to) != 4 {
			t.Errorf("sent to %q", m.to)
		}
	}
}
