package email_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// TestWaysIn sends over every kind of connection with every login.
func TestWaysIn(t *testing.T) {
	none := map[string]any{"auth": "auto", "username": nil, "password": nil}
	for name, row := range map[string]struct {
		server  *smtpd
		changes map[string]any
		login   string
		secure  bool
	}{
		"starttls, plain":         {&smtpd{auth: []string{"LOGIN", "PLAIN"}}, nil, "PLAIN", true},
		"starttls, login":         {&smtpd{auth: []string{"LOGIN", "PLAIN"}}, map[string]any{"auth": "login"}, "LOGIN", true},
		"starttls, xoauth2":       {&smtpd{auth: []string{"PLAIN", "XOAUTH2"}}, map[string]any{"auth": "xoauth2"}, "XOAUTH2", true},
		"starttls, auto":          {&smtpd{auth: []string{"GSSAPI", "XOAUTH2", "LOGIN", "PLAIN"}}, map[string]any{"auth": "auto"}, "PLAIN", true},
		"starttls, auto is login": {&smtpd{auth: []string{"XOAUTH2", "LOGIN"}}, map[string]any{"auth": nil}, "LOGIN", true},
		"starttls, nobody":        {&smtpd{}, none, "", true},
		"implicit, plain":         {&smtpd{implicit: true, auth: []string{"PLAIN"}}, map[string]any{"tls": "implicit"}, "PLAIN", true},
		"implicit, login":         {&smtpd{implicit: true, auth: []string{"LOGIN"}}, map[string]any{"tls": "implicit", "auth": "login"}, "LOGIN", true},
		"in the clear, plain":     {&smtpd{plain: true, auth: []string{"PLAIN"}}, map[string]any{"tls": "none"}, "PLAIN", false},
		"in the clear, nobody":    {&smtpd{plain: true}, map[string]any{"tls": "none", "username": nil, "password": nil, "auth": "none"}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			server := row.server.start(t)
			s := newKit(t, 0).open(configOf(server.addr(), row.changes))
			receipt, err := s.Send(t.Context(), one(t))
			if err != nil {
				t.Fatal(err)
			}
			got := server.received()
			if len(got) != 1 || got[0].login != row.login || got[0].secure != row.secure || got[0].helo != "tocsin.example.com" {
				t.Fatalf("arrived: %+v", got)
			}
			want := []string{"security@example.com", "oncall@example.com", "lead@example.com", "archive@example.com"}
			if got[0].from != "alerts@example.com" || !slices.Equal(got[0].to, want) {
				t.Errorf("the envelope is from %s to %q", got[0].from, got[0].to)
			}
			x := receipt.Exchanges[0]
			if x.Method != "SMTP" || x.URL != "smtp://"+server.addr() || x.Status != 250 || x.RemoteAddr != server.addr() || x.RequestBytes != len(got[0].data) {
				t.Errorf("the exchange: %+v", x)
			}
			if x.Timings.Connect <= 0 || x.Timings.Total < x.Timings.FirstByte || (x.Timings.TLS > 0) != row.secure {
				t.Errorf("timings: %+v", x.Timings)
			}
			if x.RequestBody != got[0].data {
				t.Errorf("recorded and arrived differ:\n%s", cmp.Diff(x.RequestBody, got[0].data))
			}
		})
	}
}

// TestDialogue: what was said is there to be read.
func TestDialogue(t *testing.T) {
	server := (&smtpd{auth: []string{"PLAIN"}}).start(t)
	receipt, err := newKit(t, 0).open(config(server.addr())).Send(t.Context(), one(t))
	if err != nil {
		t.Fatal(err)
	}
	said := receipt.Exchanges[0].ResponseBody
	for _, want := range []string{
		"> EHLO tocsin.example.com\n", "< 250 STARTTLS\n", "> STARTTLS\n", "< 220 2.0.0 Go ahead\n", "< 235 2.7.0 Accepted\n",
		"> MAIL FROM:<alerts@example.com> BODY=8BITMIME\n", "> RCPT TO:<archive@example.com>\n< 250 2.1.5 OK\n", "> DATA\n< 354 ", "bytes)\n< 250 2.0.0 Queued as 4Wx\n", "> QUIT\n< 221 ",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in the dialogue:\n%s", want, said)
		}
	}
}

// TestReplies is the vocabulary: what each no means, at each step.
func TestReplies(t *testing.T) {
	const retry, event, webhook = tocsin.FaultRetry, tocsin.FaultEvent, tocsin.FaultWebhook
	for _, row := range []struct {
		verb, reply string
		want        tocsin.Fault
	}{
		{"connect", "421 4.3.2 Service not available", retry},
		{"connect", "450 4.7.0 Slow down", retry},
		{"connect", "554 5.7.1 No SMTP service here", webhook},
		{"connect", "521 example.com does not accept mail", webhook},
		{"EHLO", "421 4.7.0 Try again later, closing connection", retry},
		{"EHLO", "550 5.7.1 Your name is bad", webhook},
		{"STARTTLS", "454 4.7.0 TLS not available due to temporary reason", retry},
		{"STARTTLS", "501 5.5.4 Syntax error", webhook},
		{"AUTH", "454 4.7.0 Temporary authentication failure", retry},
		{"AUTH", "432 4.7.12 A password transition is needed", retry},
		{"AUTH", "421 4.7.0 Too many login attempts", retry},
		{"AUTH", "535 5.7.8 Username and Password not accepted", webhook},
		{"AUTH", "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant", webhook},
		{"AUTH", "534 5.7.9 Application-specific password required", webhook},
		{"AUTH", "530 5.7.0 Authentication required", webhook},
		{"AUTH", "538 5.7.11 Encryption required for requested authentication mechanism", webhook},
		{"AUTH", "504 5.5.4 Unrecognized authentication type", webhook},
		{"MAIL", "421 4.7.28 Gmail has detected an unusual rate of mail", retry},
		{"MAIL", "451 4.3.0 Local error", retry},
		{"MAIL", "452 4.3.1 Insufficient system storage", retry},
		{"MAIL", "530 5.7.57 Client not authenticated to send mail", webhook},
		{"MAIL", "550 5.7.1 Sender rejected", webhook},
		{"MAIL", "553 5.7.1 Sender address rejected: not owned by user", webhook},
		{"MAIL", "501 5.1.7 Bad sender address syntax", webhook},
		{"RCPT", "421 4.4.5 Server busy", retry},
		{"RCPT", "450 4.2.1 Mailbox busy", retry},
		{"RCPT", "450 4.2.0 Greylisted", retry},
		{"RCPT", "451 4.7.1 Try again later", retry},
		{"RCPT", "452 4.2.2 Over quota", retry},
		{"RCPT", "452 4.5.3 Too many recipients", retry},
		{"RCPT", "552 Too many recipients", retry},
		{"RCPT", "552 5.2.2 Mailbox full", webhook},
		{"RCPT", "550 5.1.1 No such user", webhook},
		{"RCPT", "551 5.1.6 User not local", webhook},
		{"RCPT", "553 5.1.3 Mailbox name not allowed", webhook},
		{"RCPT", "554 5.7.1 Relay access denied", webhook},
		{"RCPT", "530 5.7.1 Authentication required", webhook},
		{"DATA", "451 4.3.0 Not now", retry},
		{"DATA", "503 Administrative prohibition -- authorization required", webhook},
		{"DATA", "554 5.5.1 No valid recipients", webhook},
		{".", "421 4.3.0 Temporary System Problem", retry},
		{".", "450 4.7.0 Greylisted", retry},
		{".", "451 4.3.0 Queue file write error", retry},
		{".", "452 4.3.1 Insufficient system storage", retry},
		{".", "552 5.3.4 Message too big for system", event},
		{".", "552 5.7.0 This message was blocked because its content presents a potential security issue", event},
		{".", "554 5.7.1 Spam message rejected", event},
		{".", "554 Transaction failed", event},
		{".", "550 5.7.1 This message violates example.com email policy", event},
		{".", "550 5.7.60 SMTP; Client does not have permissions to send as this sender", webhook},
		{".", "550 5.7.1 Client does not have permissions to send as this sender", webhook},
		{".", "554 5.2.252 SendAsDenied; alerts@example.com not allowed to send as x@example.com", webhook},
		{".", "550 5.7.26 Unauthenticated email is not accepted due to the domain's DMARC policy", webhook},
		{".", "530 5.7.0 Authentication required", webhook},
		{".", "503 5.5.1 Bad sequence", webhook},
		{".", "556 5.1.10 Domain does not accept mail", webhook},
	} {
		server := &smtpd{auth: []string{"PLAIN"}, script: func(verb, _ string) string {
			if verb == row.verb || row.verb == "EHLO" && verb == "HELO" {
				return row.reply
			}
			return ""
		}}
		receipt, err := newKit(t, 0).open(config(server.start(t).addr())).Send(t.Context(), one(t))
		got, want := outcomeOf(err), integrationtest.Outcome{Fault: row.want}
		if got != want || classOf(err) != post.ClassStatus {
			t.Errorf("%s to %s: got %+v of class %q, want %+v (%v)", row.reply, row.verb, got, classOf(err), want, err)
		}
		if err != nil && !strings.Contains(err.Error(), "answered "+row.reply) {
			t.Errorf("%s to %s: the error does not say so: %v", row.reply, row.verb, err)
		}
		if x := receipt.Exchanges[0]; x.Status == 0 || !strings.HasPrefix(row.reply, status(x)) || !strings.Contains(x.ResponseBody, "< "+row.reply+"\n") {
			t.Errorf("%s to %s: the exchange has status %d:\n%s", row.reply, row.verb, x.Status, x.ResponseBody)
		}
		if len(server.received()) > 0 {
			t.Errorf("%s to %s: a mail was accepted", row.reply, row.verb)
		}
	}
}

func status(x tocsin.Exchange) string {
	text, err := json.Marshal(x.Status)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// classOf is the error's class.
func classOf(err error) string {
	var c interface{ ErrorClass() string }
	if errors.As(err, &c) {
		return c.ErrorClass()
	}
	return ""
}

// TestOddReplies: what is neither yes nor no.
func TestOddReplies(t *testing.T) {
	for _, row := range []struct {
		verb, reply string
		want        integrationtest.Outcome
	}{
		{"connect", "220-mx\n220 ready", integrationtest.Outcome{}},
		{"connect", "250 hello", integrationtest.Outcome{Fault: tocsin.FaultRetry}},
		{"connect", "HTTP/1.1 400 Bad Request", integrationtest.Outcome{Fault: tocsin.FaultRetry}},
		{"EHLO", "", integrationtest.Outcome{}},
		{"MAIL", "999 what", integrationtest.Outcome{Fault: tocsin.FaultRetry}},
		{"RCPT", "251 User not local; will forward", integrationtest.Outcome{}},
		{"RCPT", "252 Cannot verify", integrationtest.Outcome{}},
		{"DATA", "250 already?", integrationtest.Outcome{Fault: tocsin.FaultRetry}},
		{".", "251 OK", integrationtest.Outcome{}},
		{".", "250-first\n250 second", integrationtest.Outcome{}},
		{".", "354 go on", integrationtest.Outcome{Fault: tocsin.FaultRetry, Unsure: true}},
		{".", "what?", integrationtest.Outcome{Fault: tocsin.FaultRetry, Unsure: true}},
		{".", "25", integrationtest.Outcome{Fault: tocsin.FaultRetry, Unsure: true}},
		{"QUIT", "500 no", integrationtest.Outcome{}},
		{"QUIT", "drop", integrationtest.Outcome{}},
	} {
		server := &smtpd{auth: []string{"PLAIN"}, script: func(verb, _ string) string {
			if verb == row.verb {
				return row.reply
			}
			return ""
		}}
		// With 251 and 252 the server itself has taken nobody, and says no to DATA.
		if row.verb == "RCPT" {
			server.script = func(verb, arg string) string {
				if verb == "RCPT" && arg == "oncall@example.com" {
					return row.reply
				}
				return ""
			}
		}
		_, err := newKit(t, 0).open(config(server.start(t).addr())).Send(t.Context(), one(t))
		if got := outcomeOf(err); got != row.want {
			t.Errorf("%q to %s: got %+v, want %+v (%v)", row.reply, row.verb, got, row.want, err)
		}
	}
}

// TestLostConnections ends the connection at every step in three ways. Only after the
// message it is unknown whether it was accepted.
func TestLostConnections(t *testing.T) {
	for _, verb := range []string{"connect", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "."} {
		for _, how := range []string{"drop", "reset", "hang"} {
			t.Run(verb+" "+how, func(t *testing.T) {
				t.Parallel()
				server := &smtpd{auth: []string{"PLAIN"}, script: func(v, _ string) string {
					if v == verb || verb == "EHLO" && v == "HELO" {
						return how
					}
					return ""
				}}
				k := newKit(t, 0)
				if how == "hang" {
					k = newKit(t, 500*1e6)
				}
				receipt, err := k.open(config(server.start(t).addr())).Send(t.Context(), one(t))
				want, class := integrationtest.Outcome{Fault: tocsin.FaultRetry, Unsure: verb == "."}, post.ClassReset
				if how == "hang" {
					class = post.ClassTimeout
				}
				if verb == "STARTTLS" && how != "hang" {
					class = post.ClassTLS
				}
				// A reset at once may come while we still connect.
				early := verb == "connect" && how == "reset" && classOf(err) == post.ClassConnect
				if got := outcomeOf(err); got != want || classOf(err) != class && !early {
					t.Errorf("got %+v of class %q, want %+v of class %q (%v)", got, classOf(err), want, class, err)
				}
				if x := receipt.Exchanges[0]; x.Status != 0 {
					t.Errorf("the exchange has status %d", x.Status)
				}
			})
		}
	}
}

// TestCancelled ends the context while the server thinks about the message.
func TestCancelled(t *testing.T) {
	for verb, unsure := range map[string]bool{"RCPT": false, ".": true} {
		ctx, cancel := context.WithCancel(t.Context())
		server := &smtpd{auth: []string{"PLAIN"}, script: func(v, _ string) string {
			if v == verb {
				cancel()
				return "hang"
			}
			return ""
		}}
		_, err := newKit(t, 0).open(config(server.start(t).addr())).Send(ctx, one(t))
		if got, want := outcomeOf(err), (integrationtest.Outcome{Fault: tocsin.FaultRetry, Unsure: unsure}); got != want || !errors.Is(err, context.Canceled) {
			t.Errorf("at %s: got %+v, want %+v (%v)", verb, got, want, err)
		}
	}
}

// TestNoTimeLeft: a message that could be cut off is not begun.
func TestNoTimeLeft(t *testing.T) {
	server := (&smtpd{auth: []string{"PLAIN"}}).start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 900*1e6)
	defer cancel()
	_, err := newKit(t, 0).open(config(server.addr())).Send(ctx, one(t))
	if got, want := outcomeOf(err), (integrationtest.Outcome{Fault: tocsin.FaultRetry}); got != want || slices.Contains(server.verbs(), "DATA") {
		t.Errorf("got %+v, want %+v, after %q (%v)", got, want, server.verbs(), err)
	}
}

// TestLeaveIsNotAwaited: a server that is silent after it accepted has accepted.
func TestLeaveIsNotAwaited(t *testing.T) {
	server := (&smtpd{auth: []string{"PLAIN"}, script: func(verb, _ string) string {
		if verb == "QUIT" {
			return "hang"
		}
		return ""
	}}).start(t)
	receipt, err := newKit(t, 300*1e6).open(config(server.addr())).Send(t.Context(), one(t))
	if err != nil || receipt.Exchanges[0].Status != 250 || len(server.received()) != 1 {
		t.Errorf("got %v, status %d, %d mails", err, receipt.Exchanges[0].Status, len(server.received()))
	}
}

// TestSizeOffered: a message over the server's limit is not sent; a smaller batch may fit.
func TestSizeOffered(t *testing.T) {
	for size, want := range map[int]tocsin.Fault{3000: tocsin.FaultEvent, 1 << 20: ""} {
		server := (&smtpd{auth: []string{"PLAIN"}, size: size}).start(t)
		_, err := newKit(t, 0).open(config(server.addr())).Send(t.Context(), one(t))
		if got := outcomeOf(err); got.Fault != want || slices.Contains(server.verbs(), "MAIL") != (want == "") {
			t.Errorf("SIZE %d: got %+v after %q (%v)", size, got, server.verbs(), err)
		}
	}
}
