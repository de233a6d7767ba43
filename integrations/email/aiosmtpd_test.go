package email_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
)

// aiosmtpd is a server that is not ours (https://aiosmtpd.aio-libs.org), with Python's own
// reader of mail behind it. It requires TLS and a login, refuses one recipient, writes its
// port, and then each message as a line of JSON.
const aiosmtpd = `
import asyncio, email, email.policy, json, logging, ssl, sys
logging.disable(logging.WARNING)
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
cert, key, user, password, implicit = sys.argv[1:6]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("gone@"):
            return "550 5.1.1 No such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"
    async def handle_DATA(self, server, session, envelope):
        m = email.message_from_bytes(envelope.content, policy=email.policy.default)
        print(json.dumps({"from": envelope.mail_from, "to": envelope.rcpt_tos, "subject": m["subject"], "headers": m.keys(),
            "defects": [str(d) for part in m.walk() for d in part.defects] + [str(d) for v in m.values() for d in v.defects],
            "id": m["message-id"], "text": m.get_body(("plain",)).get_content(), "html": m.get_body(("html",)).get_content(), "login": session.authenticated}), flush=True)
        return "250 2.0.0 OK"
def login(server, session, envelope, mechanism, data):
    ok = isinstance(data, LoginPassword) and data.login == user.encode() and data.password == password.encode()
    return AuthResult(success=ok)
def smtp():
    if implicit == "yes":
        return SMTP(Handler(), hostname="mx.example.com", authenticator=login, auth_required=True, auth_require_tls=False)
    return SMTP(Handler(), hostname="mx.example.com", tls_context=context, require_starttls=True, authenticator=login, auth_required=True)
async def main():
    server = await asyncio.get_running_loop().create_server(smtp, "127.0.0.1", 0, ssl=context if implicit == "yes" else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
asyncio.run(main())
`

// aiomail is a message as Python read it.
type aiomail struct {
	From, Subject, ID, Text, HTML string
	To, Headers, Defects          []string
	Login                         bool
}

// startAiosmtpd runs the server for the length of the test; it returns its address, and a
// reader of its messages.
func startAiosmtpd(t *testing.T, implicit string) (string, *bufio.Reader) {
	t.Helper()
	const python = "/usr/bin/python3" // Debian's, which has Debian's packages
	if err := exec.Command(python, "-c", "import aiosmtpd").Run(); err != nil {
		t.Skip("Debian's python3-aiosmtpd is not installed; the test server of this package stands alone")
	}
	cert, key := theAuthority().issue(t)
	dir := t.TempDir()
	for name, text := range map[string][]byte{"cert.pem": cert, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(python, "-W", "ignore", "-c", aiosmtpd, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), user, password, implicit)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()                     // which ends it
		_, _ = io.Copy(io.Discard, out)    // to its end
		if err := cmd.Wait(); err != nil { // an error there is one of the server
			t.Errorf("aiosmtpd: %v", err)
		}
	})
	r := bufio.NewReader(out)
	port, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("starting aiosmtpd: %v", err)
	}
	return "127.0.0.1:" + strings.TrimSpace(port), r
}

func portOf(t *testing.T, addr string) int {
	t.Helper()
	port, err := strconv.Atoi(addr[strings.LastIndexByte(addr, ':')+1:])
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// TestAiosmtpd sends ordinary and hostile mail through a server and a parser of others.
func TestAiosmtpd(t *testing.T) {
	for _, implicit := range []string{"no", "yes"} {
		addr, messages := startAiosmtpd(t, implicit)
		changes := map[string]any{"cc": "gone@example.com", "auth": "auto"}
		if implicit == "yes" {
			changes["tls"], changes["port"] = "implicit", portOf(t, addr)
		}
		k := newKit(t, 0)
		s := k.open(configOf(addr, changes))
		for i, text := range append([]string{"an ordinary title"}, hostile...) {
			e := hostileEvent(text)
			if i == 0 {
				e = integrationtest.Pick(t, "it-finding")[0]
			}
			n := integrationtest.Notify(e)
			receipt, err := s.Send(t.Context(), n)
			if err != nil {
				t.Fatalf("%.60q: %v\n%s", text, err, receipt.Exchanges[0].ResponseBody)
			}
			line, err := messages.ReadBytes('\n')
			if err != nil {
				t.Fatal(err)
			}
			var got aiomail
			if err := json.Unmarshal(line, &got); err != nil {
				t.Fatal(err)
			}
			got.Text, got.HTML = strings.ReplaceAll(got.Text, "\r\n", "\n"), strings.ReplaceAll(got.HTML, "\r\n", "\n")
			sent := read(t, preview(t, changes, n))
			if got.Subject != sent.Subject || got.Text != sent.parts["text/plain"] || got.HTML != sent.parts["text/html"] || got.ID != sent.Header.Get("Message-ID") {
				t.Errorf("%.60q: Python reads subject %q, and other bodies: %v, %v", text, got.Subject, got.Text == sent.parts["text/plain"], got.HTML == sent.parts["text/html"])
			}
			if len(got.Headers) != len(sent.Header) || len(got.Defects) > 0 || !got.Login {
				t.Errorf("%.60q: headers %q, defects %q, logged in %v", text, got.Headers, got.Defects, got.Login)
			}
			if want := []string{"security@example.com", "oncall@example.com", "archive@example.com"}; !slices.Equal(got.To, want) || got.From != "alerts@example.com" {
				t.Errorf("%.60q: from %s to %q", text, got.From, got.To)
			}
		}
		if !strings.Contains(k.log.String(), "gone@example.com") {
			t.Error("the refused recipient is not in the log")
		}
	}
}
