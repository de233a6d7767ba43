package email_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
)

// deliver makes attempts until the delivery is done, each when the one before asked for it,
// and returns the waits between them. before is called before each.
func deliver(t *testing.T, s tocsin.Sender, n tocsin.Notification, before func(attempt int)) []time.Duration {
	t.Helper()
	n.At = integrationtest.At
	var waits []time.Duration
	for n.Attempt = 1; n.Attempt < 200; n.Attempt++ {
		before(n.Attempt)
		receipt, err := s.Send(t.Context(), n)
		if err == nil {
			return waits
		}
		fail := tocsin.Classify(err)
		if fail.Fault != tocsin.FaultRetry || !fail.Taken {
			t.Fatalf("attempt %d is a failure of the webhook: %v", n.Attempt, err)
		}
		waits = append(waits, fail.After)
		n.At = n.At.Add(fail.After)
		if receipt.Refs != nil {
			n.Refs = maps.Clone(receipt.Refs)
		}
	}
	t.Fatal("the delivery never ends")
	return nil
}

func never(int) {}

// put is an address that is put off by a greylist's answer.
const put, off = "oncall@example.com", "450 4.7.1 Greylisted, try again in 300 seconds"

// TestGreylistedAfterAnOutage: attempts that reached no server say nothing of a recipient.
func TestGreylistedAfterAnOutage(t *testing.T) {
	answers := map[string]string{put: off}
	server := (&smtpd{auth: []string{"PLAIN"}, script: replies(answers)}).start(t)
	k := newKit(t, 0)
	n := one(t)
	n.Attempt = 6
	_, err := k.open(config(server.addr())).Send(t.Context(), n)
	if err == nil || !tocsin.Classify(err).Taken {
		t.Errorf("put off for the first time at the sixth attempt: got %v; logged: %s", err, k.log)
	}
}

// TestGreylisted: who is put off for a quarter of an hour has the mail in the end.
func TestGreylisted(t *testing.T) {
	answers := map[string]string{put: off}
	server := (&smtpd{auth: []string{"PLAIN"}, script: replies(answers)}).start(t)
	k := newKit(t, 0)
	deliver(t, k.open(config(server.addr())), one(t), func(attempt int) {
		if attempt == 6 { // 18 minutes later
			delete(answers, put)
		}
	})
	if got := server.received(); len(got) != 2 || !slices.Equal(got[1].to, []string{put}) || strings.Contains(k.log.String(), put) {
		t.Errorf("%d mails, logged: %s", len(got), k.log)
	}
}

// TestTheServerIsAwayMeanwhile: the clock alone is no reason to give somebody up.
func TestTheServerIsAwayMeanwhile(t *testing.T) {
	server := (&smtpd{auth: []string{"PLAIN"}, script: replies(map[string]string{put: off})}).start(t)
	s := newKit(t, 0).open(config(server.addr()))
	n := one(t)
	n.At = integrationtest.At
	receipt, err := s.Send(t.Context(), n)
	if err == nil {
		t.Fatal("want another attempt")
	}
	n.At, n.Attempt, n.Refs = n.At.Add(3*time.Hour), 20, receipt.Refs
	if _, err := s.Send(t.Context(), n); err == nil || tocsin.Classify(err).After != time.Minute {
		t.Errorf("put off for the second time, three hours later: got %v", err)
	}
}

// TestNobodyIsWaitedForForever: the waits grow, and end after half an hour. The next mail
// does not wait again, until the recipient has had one.
func TestNobodyIsWaitedForForever(t *testing.T) {
	answers := map[string]string{put: "452 4.2.2 Over quota"}
	server := (&smtpd{auth: []string{"PLAIN"}, script: replies(answers)}).start(t)
	k := newKit(t, 0)
	s := k.open(config(server.addr()))
	want := "[30s 1m0s 2m0s 5m0s 10m0s 10m0s 1m30s]"
	next := one(t)
	next.DeliveryID = "dlv_next"
	for _, step := range []struct {
		what  string
		n     tocsin.Notification
		full  bool
		waits string
		mails int
		lost  int
	}{
		{"for the first time", one(t), true, want, 1, 1},
		{"for the next mail", next, true, "[]", 2, 2},
		{"when there is room", next, false, "[]", 3, 2},
		{"when it is full again", next, true, want, 4, 3},
	} {
		if delete(answers, put); step.full {
			answers[put] = "452 4.2.2 Over quota"
		}
		if got := fmt.Sprint(deliver(t, s, step.n, never)); got != step.waits {
			t.Errorf("%s: waits %s, want %s", step.what, got, step.waits)
		}
		if mails, lost := len(server.received()), strings.Count(k.log.String(), "gets no mail"); mails != step.mails || lost != step.lost {
			t.Errorf("%s: %d mails, %d left out, want %d and %d", step.what, mails, lost, step.mails, step.lost)
		}
	}
}

// TestGivenUpIsNotCrowded: who was given up has a place in the next mail all the same.
func TestGivenUpIsNotCrowded(t *testing.T) {
	answers := map[string]string{put: off}
	server := (&smtpd{auth: []string{"PLAIN"}, script: replies(answers)}).start(t)
	s := newKit(t, 0).open(config(server.addr()))
	deliver(t, s, one(t), never)
	next := one(t)
	next.DeliveryID = "dlv_next"
	deliver(t, s, next, func(attempt int) {
		if answers[put] = "452 4.5.3 Too many recipients"; attempt == 2 {
			delete(answers, put)
		}
	})
	if got := server.received(); len(got) != 3 || !slices.Equal(got[2].to, []string{put}) {
		t.Errorf("%d mails", len(got))
	}
}

// TestRefusedAfterAll: who was put off is refused for good the next time.
func TestRefusedAfterAll(t *testing.T) {
	answers := map[string]string{put: off}
	server := (&smtpd{auth: []string{"PLAIN"}, script: replies(answers)}).start(t)
	k := newKit(t, 0)
	waits := deliver(t, k.open(config(server.addr())), one(t), func(attempt int) {
		if attempt == 2 {
			answers[put] = "550 5.1.1 No such user"
		}
	})
	if len(waits) != 1 || len(server.received()) != 1 || !strings.Contains(k.log.String(), put) {
		t.Errorf("waits %s, %d mails; logged: %s", waits, len(server.received()), k.log)
	}
}

// TestFewRecipientsAtATime: a server that takes ten in one mail gets seven mails for seventy,
// and nobody waits.
func TestFewRecipientsAtATime(t *testing.T) {
	for _, reply := range []string{"452 4.5.3 Too many recipients", "452 Too many recipients", "552 too many", "451 4.5.3 no more"} {
		count := 0
		server := (&smtpd{auth: []string{"PLAIN"}, script: func(verb, _ string) string {
			switch verb {
			case "MAIL":
				count = 0
			case "RCPT":
				if count++; count > 10 {
					return reply
				}
			}
			return ""
		}}).start(t)
		k := newKit(t, 0)
		s := k.open(configOf(server.addr(), map[string]any{"to": many(70), "cc": nil, "bcc": nil}))
		waits := deliver(t, s, one(t), never)
		got := map[string]bool{}
		for _, m := range server.received() {
			for _, to := range m.to {
				got[to] = true
			}
		}
		if len(got) != 70 || len(server.received()) != 7 || fmt.Sprint(waits) != "[0s 0s 0s 0s 0s 0s]" {
			t.Errorf("%s: %d of 70 have the mail, %d mails, waits %s; logged: %s", reply, len(got), len(server.received()), waits, k.log)
		}
	}
}
