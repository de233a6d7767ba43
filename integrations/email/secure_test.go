package email_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// sendTo sends one notification with one change to the configuration.
func sendTo(t *testing.T, server *smtpd, changes map[string]any) (tocsin.Receipt, error) {
	t.Helper()
	return newKit(t, 0).open(configOf(server.addr(), changes)).Send(t.Context(), one(t))
}

// TestNothingInTheClear: a server without STARTTLS, or somebody who takes it out of the
// answer, gets neither password nor mail.
func TestNothingInTheClear(t *testing.T) {
	server := (&smtpd{plain: true, auth: []string{"PLAIN", "LOGIN"}}).start(t)
	for _, changes := range []map[string]any{nil, {"auth": "none", "username": nil, "password": nil}} {
		_, err := sendTo(t, server, changes)
		if got := outcomeOf(err); got.Fault != tocsin.FaultWebhook || classOf(err) != post.ClassTLS || !strings.Contains(err.Error(), "does not offer STARTTLS") {
			t.Errorf("got %+v of class %q: %v", got, classOf(err), err)
		}
	}
	if got := server.verbs(); !slices.Equal(got, []string{"EHLO", "EHLO"}) {
		t.Errorf("said: %q", got)
	}
}

// TestCertificates: one we cannot trust ends it before the login; it may be mended, so the
// send is tried again.
func TestCertificates(t *testing.T) {
	for _, mode := range []string{"starttls", "implicit"} {
		server := (&smtpd{implicit: mode == "implicit", auth: []string{"PLAIN"}}).start(t)
		for name, changes := range map[string]map[string]any{
			"an unknown authority": {"ca_cert": nil},
			"another name":         {"host": "mail.localhost"},
		} {
			changes["tls"], changes["port"] = mode, server.port()
			_, err := sendTo(t, server, changes)
			if got, want := outcomeOf(err), (integrationtest.Outcome{Fault: tocsin.FaultRetry}); got != want || classOf(err) != post.ClassTLS {
				t.Errorf("%s, %s: got %+v of class %q: %v", mode, name, got, classOf(err), err)
			}
		}
		if _, err := sendTo(t, server, map[string]any{"tls": mode}); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
		if got := server.verbs(); slices.Index(got, "AUTH") < len(got)-8 {
			t.Errorf("%s: logged in before the trusted connection: %q", mode, got)
		}
	}
	// TLS where none is spoken.
	clear := (&smtpd{}).start(t)
	_, err := newKit(t, 500*time.Millisecond).open(configOf(clear.addr(), map[string]any{"tls": "implicit"})).Send(t.Context(), one(t))
	if got := outcomeOf(err); got.Fault != tocsin.FaultRetry || got.Unsure {
		t.Errorf("implicit TLS to a server in the clear: %+v, %v", got, err)
	}
}

// TestInjectedBeforeTLS: what somebody on the way says before the handshake is not taken
// for the server's word (CVE-2011-0411).
func TestInjectedBeforeTLS(t *testing.T) {
	server := (&smtpd{auth: []string{"PLAIN"}, injected: "250-mx.example.com\n250 AUTH LOGIN"}).start(t)
	_, err := sendTo(t, server, map[string]any{"auth": "auto"})
	// Dropped, or taken for a broken handshake, as the packets fall.
	if err != nil {
		if got := outcomeOf(err); got.Fault != tocsin.FaultRetry || slices.Contains(server.verbs(), "AUTH") {
			t.Errorf("got %+v after %q (%v)", got, server.verbs(), err)
		}
	} else if m := server.received()[0]; m.login != "PLAIN" || !m.secure {
		t.Errorf("arrived: %+v", m)
	}
}

// turncoat is allowed when it is asked first, and public afterwards.
type turncoat struct{ asked atomic.Int32 }

func (r *turncoat) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	if r.asked.Add(1) <= 2 {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	return []netip.Addr{netip.MustParseAddr("8.8.8.8")}, nil
}

// TestPlainIsCheckedAtSend: a name that was allowed may have another address now.
func TestPlainIsCheckedAtSend(t *testing.T) {
	c := post.New(post.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Resolver: &turncoat{}})
	defer c.Close()
	ch := newChannel(c, slog.New(slog.DiscardHandler))
	config := json.RawMessage(configOf("mail.example:25", map[string]any{"tls": "none"}))
	if err := ch.Validate(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	s, err := ch.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := s.Send(t.Context(), one(t))
	if got := outcomeOf(err); got.Fault != tocsin.FaultWebhook || classOf(err) != post.ClassEgress || receipt.Exchanges[0].RemoteAddr != "" || !strings.Contains(err.Error(), "in the clear") {
		t.Errorf("got %+v of class %q, to %q (%v)", got, classOf(err), receipt.Exchanges[0].RemoteAddr, err)
	}
}

// TestLogins: what the server refuses or does not offer is the webhook's fault.
func TestLogins(t *testing.T) {
	for name, row := range map[string]struct {
		offered []string
		changes map[string]any
		words   string
	}{
		"a wrong password":     {[]string{"PLAIN"}, map[string]any{"password": "other-secret"}, "535 5.7.8"},
		"a wrong one by LOGIN": {[]string{"LOGIN"}, map[string]any{"password": "other-secret", "auth": "login"}, "535 5.7.8"},
		"an expired token":     {[]string{"XOAUTH2"}, map[string]any{"password": "other-secret", "auth": "xoauth2"}, "535 5.7.8"},
		"another mechanism":    {[]string{"GSSAPI", "XOAUTH2"}, nil, "auth is plain, and"},
		"auto without":         {[]string{"GSSAPI", "XOAUTH2"}, map[string]any{"auth": "auto"}, "offers GSSAPI, XOAUTH2"},
		"none":                 {nil, nil, "offers no login"},
	} {
		for _, implicit := range []bool{false, true} {
			changes := map[string]any{"tls": map[bool]string{true: "implicit", false: "starttls"}[implicit]}
			for k, v := range row.changes {
				changes[k] = v
			}
			server := (&smtpd{implicit: implicit, auth: row.offered}).start(t)
			receipt, err := sendTo(t, server, changes)
			if got := outcomeOf(err); got.Fault != tocsin.FaultWebhook || got.Unsure || !strings.Contains(err.Error(), row.words) {
				t.Errorf("%s: got %+v, %v", name, got, err)
			}
			text, jerr := json.Marshal(receipt)
			if jerr != nil || strings.Contains(string(text)+err.Error(), "other-secret") {
				t.Errorf("%s: the secret is shown, %v", name, jerr)
			}
		}
	}
}

// TestEchoes: a server that repeats the password in each of its forms, at each step, finds
// it in no error, exchange or log.
func TestEchoes(t *testing.T) {
	plain := "\x00" + user + "\x00" + password
	xoauth2 := "user=" + user + "\x01auth=Bearer " + password + "\x01\x01"
	forms := []string{password, base64.StdEncoding.EncodeToString([]byte(password)), base64.StdEncoding.EncodeToString([]byte(plain)),
		base64.StdEncoding.EncodeToString([]byte(xoauth2))}
	echo := strings.Join(forms, " ")
	for _, verb := range []string{"connect", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", ".", "QUIT"} {
		for _, code := range []string{"450", "550", "250", ""} {
			for _, auth := range []string{"plain", "login", "xoauth2"} {
				server := (&smtpd{auth: []string{"PLAIN", "LOGIN", "XOAUTH2"}, script: func(v, arg string) string {
					if v == verb && (verb != "RCPT" || arg == "oncall@example.com") {
						return strings.TrimSpace(code + " " + echo)
					}
					return ""
				}}).start(t)
				k := newKit(t, 2*time.Second)
				s := k.open(configOf(server.addr(), map[string]any{"auth": auth}))
				receipt, err := s.Send(t.Context(), one(t))
				found, exchanges, cerr := s.(tocsin.Checker).Check(t.Context())
				preview, perr := s.Preview(t.Context(), one(t))
				text, jerr := json.Marshal([]any{receipt, exchanges, preview})
				all := fmt.Sprintf("%s %v %+v %v %v %s %s %v", text, err, err, cerr, perr, found, k.log, jerr)
				for _, form := range forms {
					quoted, qerr := json.Marshal(form)
					if qerr != nil {
						t.Fatal(qerr)
					}
					if strings.Contains(all, form) || strings.Contains(all, strings.Trim(string(quoted), `"`)) {
						t.Errorf("%s to %s with %s shows %q", code, verb, auth, form)
					}
				}
			}
		}
	}
}

// TestFloods: a server that never stops talking is left, and little of it is kept.
func TestFloods(t *testing.T) {
	for _, verb := range []string{"connect", "EHLO", "AUTH", "RCPT", "."} {
		for name, line := range map[string]string{"lines": "250-" + strings.Repeat("x", 500) + "\n", "a line": strings.Repeat("250-", 100)} {
			server := (&smtpd{auth: []string{"PLAIN"}, script: func(v, _ string) string {
				if v == verb {
					return strings.Repeat(line, 40<<20/len(line))
				}
				return ""
			}}).start(t)
			s := newKit(t, 0).open(config(server.addr()))
			receipt, err := s.Send(t.Context(), one(t))
			if got := outcomeOf(err); got.Fault != tocsin.FaultRetry || got.Unsure != (verb == ".") || classOf(err) != post.ClassReset {
				t.Errorf("%s to %s: %+v of class %q (%.200v)", name, verb, got, classOf(err), err)
			}
			if n := len(receipt.Exchanges[0].ResponseBody); n > tocsin.MaxResponseKept {
				t.Errorf("%s to %s: kept %d bytes", name, verb, n)
			}
			server.mu.Lock()
			if server.sent > 20<<20 {
				t.Errorf("%s to %s: %d MB were taken", name, verb, server.sent>>20)
			}
			server.mu.Unlock()
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("%s to %s: an error of %d bytes", name, verb, len(err.Error()))
			}
		}
	}
}

// TestHostileReplies: what a server says is shown without control characters.
func TestHostileReplies(t *testing.T) {
	server := (&smtpd{auth: []string{"PLAIN"}, script: func(verb, _ string) string {
		if verb == "MAIL" {
			return "550-no \x1b[31m\x00\xff\u202e\n550 " + strings.Repeat("long ", 100)
		}
		return ""
	}}).start(t)
	receipt, err := sendTo(t, server, nil)
	for _, text := range []string{err.Error(), receipt.Exchanges[0].ResponseBody} {
		if strings.ContainsAny(text, "\x1b\x00\u202e") || strings.ToValidUTF8(text, "") != text || !strings.Contains(text, "no \uFFFD[31m") {
			t.Errorf("shown: %q", text)
		}
	}
	if len(err.Error()) > 500 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}

// TestCheck proves a configuration and sends nothing.
func TestCheck(t *testing.T) {
	for name, row := range map[string]struct {
		server  *smtpd
		changes map[string]any
		want    string // of what was found
		fault   tocsin.Fault
	}{
		"starttls":         {&smtpd{auth: []string{"PLAIN"}}, nil, "over TLS 1.3, logs in as alerts@example.com (PLAIN), and would send as alerts@example.com to 4 recipients", ""},
		"nobody":           {&smtpd{plain: true}, map[string]any{"tls": "none", "auth": "none", "username": nil, "password": nil, "to": "a@b.c", "cc": nil, "bcc": nil}, "without encryption, and would send as alerts@example.com to 1 recipient", ""},
		"a wrong password": {&smtpd{auth: []string{"PLAIN"}}, map[string]any{"password": "wrong"}, "", tocsin.FaultWebhook},
		"in the clear":     {&smtpd{plain: true}, nil, "", tocsin.FaultWebhook},
		"it is ill":        {&smtpd{auth: []string{"PLAIN"}, script: only("NOOP", "421 4.3.2 Going down")}, nil, "", tocsin.FaultRetry},
	} {
		row.server.start(t)
		found, exchanges, err := newKit(t, 0).open(configOf(row.server.addr(), row.changes)).(tocsin.Checker).Check(t.Context())
		if got := outcomeOf(err); got.Fault != row.fault || (row.want == "") != (found == "") || !strings.HasSuffix(found, row.want) {
			t.Errorf("%s: found %q, %+v (%v)", name, found, got, err)
		}
		if len(exchanges) != 1 || exchanges[0].Method != "SMTP" || exchanges[0].ResponseBody == "" || slices.Contains(row.server.verbs(), "MAIL") {
			t.Errorf("%s: %+v after %q", name, exchanges, row.server.verbs())
		}
	}
	_, exchanges, err := newKit(t, 0).open(config("127.0.0.1:1")).(tocsin.Checker).Check(t.Context())
	if classOf(err) != post.ClassConnect || len(exchanges) != 1 || errors.Is(err, context.Canceled) {
		t.Errorf("nobody there: %v", err)
	}
}

// only scripts one answer.
func only(verb, reply string) func(string, string) string {
	return func(v, _ string) string {
		if v == verb {
			return reply
		}
		return ""
	}
}
