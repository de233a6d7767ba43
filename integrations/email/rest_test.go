package email_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
)

// later is a server that puts one recipient off, and gives the second attempt and all after
// it another answer, but for an attempt when that is over.
func later(t *testing.T, attempt *atomic.Int32, verb, reply string, over ...int32) *smtpd {
	t.Helper()
	return (&smtpd{auth: []string{"PLAIN"}, script: func(v, arg string) string {
		switch n := attempt.Load(); {
		case slices.Contains(over, n):
		case n == 1 && v == "RCPT" && arg == put:
			return off
		case n > 1 && v == verb:
			return reply
		}
		return ""
	}}).start(t)
}

// TestTheRestIsPutOff: where others have the mail, a server that puts off all of the rest is
// waited for as long as one that puts off a recipient, and the webhook has not failed.
func TestTheRestIsPutOff(t *testing.T) {
	for _, row := range []struct{ verb, reply string }{
		{"RCPT", "421 4.7.0 Try later"}, {"RCPT", "450 4.2.1 Busy"}, {"RCPT", "451 4.7.1 Try later"}, {"RCPT", "452 4.3.1 Full"},
		{"DATA", "451 4.7.1 Greylisted"}, {"DATA", "421 4.3.2 Going down"},
		{".", "451 4.7.1 Greylisted"}, {".", "421 4.3.0 Temporary System Problem"},
	} {
		var attempt atomic.Int32
		server := later(t, &attempt, row.verb, row.reply)
		k := newKit(t, 0)
		waits := deliver(t, k.open(config(server.addr())), one(t), func(n int) { attempt.Store(int32(n)) })
		if want := "[30s 1m0s 2m0s 5m0s 10m0s 10m0s 1m30s]"; fmt.Sprint(waits) != want {
			t.Errorf("%s to %s: waits %s, want %s", row.reply, row.verb, waits, want)
		}
		if lost := strings.Count(k.log.String(), "gets no mail"); lost != 1 || len(server.received()) != 1 {
			t.Errorf("%s to %s: %d left out, %d mails", row.reply, row.verb, lost, len(server.received()))
		}
	}
}

// TestTheRestHasItInTheEnd: a deferral of the rest is over, and they alone get the mail.
func TestTheRestHasItInTheEnd(t *testing.T) {
	for _, verb := range []string{"RCPT", "DATA", "."} {
		var attempt atomic.Int32
		server := later(t, &attempt, verb, "421 4.7.0 Try later", 4)
		k := newKit(t, 0)
		waits := deliver(t, k.open(config(server.addr())), one(t), func(n int) { attempt.Store(int32(n)) })
		if got := server.received(); len(waits) != 3 || len(got) != 2 || !slices.Equal(got[1].to, []string{put}) || strings.Contains(k.log.String(), put) {
			t.Errorf("%s: waits %s, %d mails; logged: %s", verb, waits, len(got), k.log)
		}
	}
}

// TestTheRestIsRefused: a no for good to the rest leaves them out, for the others have it.
func TestTheRestIsRefused(t *testing.T) {
	for _, row := range []struct{ verb, reply string }{
		{"MAIL", "550 5.7.1 Sender rejected"}, {"DATA", "554 5.5.1 No valid recipients"}, {".", "550 5.7.60 Not as this sender"},
	} {
		var attempt atomic.Int32
		server := later(t, &attempt, row.verb, row.reply)
		k := newKit(t, 0)
		waits := deliver(t, k.open(config(server.addr())), one(t), func(n int) { attempt.Store(int32(n)) })
		if len(waits) != 1 || len(server.received()) != 1 || !strings.Contains(k.log.String(), put) {
			t.Errorf("%s to %s: waits %s, %d mails; logged: %s", row.reply, row.verb, waits, len(server.received()), k.log)
		}
	}
}

// TestTheRestIsNotReached: what says nothing of a recipient stays the webhook's: the way to
// the first command of the mail, and a connection without an answer.
func TestTheRestIsNotReached(t *testing.T) {
	for _, row := range []struct {
		verb, reply string
		want        integrationtest.Outcome
	}{
		{"connect", "421 4.3.2 Service not available", integrationtest.Outcome{Fault: tocsin.FaultRetry}},
		{"connect", "554 5.7.1 No SMTP service here", integrationtest.Outcome{Fault: tocsin.FaultWebhook}},
		{"STARTTLS", "454 4.7.0 TLS not available", integrationtest.Outcome{Fault: tocsin.FaultRetry}},
		{"AUTH", "454 4.7.0 Temporary authentication failure", integrationtest.Outcome{Fault: tocsin.FaultRetry}},
		{"AUTH", "535 5.7.8 Not accepted", integrationtest.Outcome{Fault: tocsin.FaultWebhook}},
		{"MAIL", "451 4.3.0 Local error", integrationtest.Outcome{Fault: tocsin.FaultRetry}},
		{"RCPT", "drop", integrationtest.Outcome{Fault: tocsin.FaultRetry}},
		{"DATA", "drop", integrationtest.Outcome{Fault: tocsin.FaultRetry}},
		{".", "drop", integrationtest.Outcome{Fault: tocsin.FaultRetry, Unsure: true}},
		{".", "354 go on", integrationtest.Outcome{Fault: tocsin.FaultRetry, Unsure: true}},
	} {
		var attempt atomic.Int32
		attempt.Store(1)
		server := later(t, &attempt, row.verb, row.reply)
		s := newKit(t, 0).open(config(server.addr()))
		n := one(t)
		first, err := s.Send(t.Context(), n)
		if err == nil {
			t.Fatal("want another attempt")
		}
		attempt.Store(2)
		n.Attempt, n.Refs = 2, first.Refs
		receipt, err := s.Send(t.Context(), n)
		if got := outcomeOf(err); got != row.want || tocsin.Classify(err).Taken || receipt.Refs != nil {
			t.Errorf("%s to %s: got %+v, want %+v, refs %s (%v)", row.reply, row.verb, got, row.want, receipt.Refs, err)
		}
	}
}
