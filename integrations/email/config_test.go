package email_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// TestConfigErrors: each mistake is said of its field, in words that help, without the
// password.
func TestConfigErrors(t *testing.T) {
	k := newKit(t, 0)
	for _, row := range []struct {
		field, words string
		changes      map[string]any
	}{
		{"host", "required", map[string]any{"host": nil}},
		{"host", "without scheme", map[string]any{"host": "smtp://127.0.0.1"}},
		{"host", "port has a key", map[string]any{"host": "127.0.0.1:25"}},
		{"host", "not a host", map[string]any{"host": "mail\r\nexample.com"}},
		{"host", "not a host", map[string]any{"host": "user@mail"}},
		{"host", "not a host", map[string]any{"host": "[::1]"}},
		{"host", "private", map[string]any{"host": "10.0.0.1"}},
		{"host", "another spelling", map[string]any{"host": "2130706433"}},
		{"port", "from 1 to 65535, got 0", map[string]any{"port": 0}},
		{"port", "got 65536", map[string]any{"port": 65536}},
		{"port", "got a string", map[string]any{"port": "587"}},
		{"tls", `"ssl"; allowed: starttls, implicit, none`, map[string]any{"tls": "ssl"}},
		{"tls", "want implicit", map[string]any{"port": 465}},
		{"tls", "want starttls", map[string]any{"port": 587, "tls": "implicit"}},
		{"tls", "expressly allowed", map[string]any{"host": "8.8.8.8", "tls": "none"}},
		{"auth", "allowed: auto, plain, login, xoauth2, none", map[string]any{"auth": "cram-md5"}},
		{"auth", "leave them out", map[string]any{"auth": "none"}},
		{"username", "required", map[string]any{"username": nil}},
		{"password", "required", map[string]any{"password": nil}},
		{"password", "required", map[string]any{"password": nil, "auth": "auto"}},
		{"password", "control character", map[string]any{"password": password + "\n"}},
		{"password", "stands for a stored secret", map[string]any{"password": tocsin.Redacted}},
		{"username", "control character", map[string]any{"username": "a\x00b"}},
		{"username", "control character", map[string]any{"username": "a\x01auth=Bearer x"}},
		{"password", "at most 4096", map[string]any{"password": strings.Repeat("x", 4097)}},
		{"from", "required", map[string]any{"from": nil}},
		{"from", "no address", map[string]any{"from": "Tocsin"}},
		{"from", "no address", map[string]any{"from": "a@example.com, b@example.com"}},
		{"from", "control character", map[string]any{"from": "a@example.com\r\nBcc: x@example.com"}},
		{"from", "control character", map[string]any{"from": "\"a\nb\" <a@example.com>"}},
		{"from", "encoded line break", map[string]any{"from": "=?utf-8?q?a=0D=0ABcc=3A_x?= <a@example.com>"}},
		{"from", "must be ASCII", map[string]any{"from": "wächter@example.com"}},
		{"from", "xn--", map[string]any{"from": "alerts@bücher.example"}},
		{"from", "domain name", map[string]any{"from": "alerts@[127.0.0.1]"}},
		{"from", "domain name", map[string]any{"from": "alerts@-example.com"}},
		{"from", "at most 254 and 64", map[string]any{"from": strings.Repeat("a", 65) + "@example.com"}},
		{"from", "at most 254 and 64", map[string]any{"from": "a@" + strings.Repeat("a.", 126) + "example.com"}},
		{"from", "at most 200", map[string]any{"from": strings.Repeat("a", 201) + " <a@example.com>"}},
		{"reply_to", "no address", map[string]any{"reply_to": "<>"}},
		{"to", "required", map[string]any{"to": nil}},
		{"to", "required", map[string]any{"to": []string{}}},
		{"to", "is empty", map[string]any{"to": []string{""}}},
		{"to[1]", "no address", map[string]any{"to": []string{"a@example.com", "b"}}},
		{"to[0]", "got a number", map[string]any{"to": []any{1, "a@example.com"}}},
		{"cc", "no address", map[string]any{"cc": "undisclosed-recipients:;"}},
		{"bcc", "control character", map[string]any{"bcc": "a@example.com\n"}},
		{"to", "101 recipients with cc and bcc; at most 100", map[string]any{"to": many(99)}},
		{"subject_prefix", "at most 40", map[string]any{"subject_prefix": strings.Repeat("名", 41)}},
		{"subject_prefix", "control character", map[string]any{"subject_prefix": "a\r\nBcc: x"}},
		{"helo", "this machine's name", map[string]any{"helo": "a b"}},
		{"helo", "this machine's name", map[string]any{"helo": "a\r\nMAIL FROM:<x>"}},
		{"ca_cert", "holds no certificate", map[string]any{"ca_cert": "-----BEGIN"}},
		{"pasword", `did you mean "password"?`, map[string]any{"pasword": "x"}},
	} {
		err := k.channel.Validate(t.Context(), json.RawMessage(configOf("127.0.0.1:2525", row.changes)))
		invalid, ok := err.(*tocsin.Error)
		if !ok || len(invalid.Fields) != 1 || invalid.Fields[0].Field != "config."+row.field || !strings.Contains(invalid.Fields[0].Message, row.words) {
			t.Errorf("%v: got %v, want one error about %s with %q", row.changes, err, row.field, row.words)
		}
		if err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("%v: the error shows the password", row.changes)
		}
	}
}

// many are n addresses.
func many(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = strings.Repeat("a", i%50+1) + "@" + strings.Repeat("b", i/50+1) + ".example.com"
	}
	return out
}

// TestConfigAccepted: what may look odd and is right.
func TestConfigAccepted(t *testing.T) {
	k := newKit(t, 0)
	for _, changes := range []map[string]any{
		{"to": "one@example.com"}, {"to": many(98)}, {"from": `"quoted local"@example.com`}, {"from": "alerts@xn--bcher-kva.example"}, {"from": "root@localhost"},
		{"auth": nil}, {"auth": "none", "username": nil, "password": nil}, {"auth": "auto", "username": nil, "password": nil}, {"auth": "xoauth2"},
		{"tls": "none"}, {"tls": "implicit"}, {"tls": nil}, {"port": nil}, {"cc": nil, "bcc": []string{}, "reply_to": "", "subject_prefix": "", "ca_cert": "", "helo": ""},
		{"subject_prefix": strings.Repeat("名", 40)}, {"helo": "[192.0.2.1]"}, {"host": "localhost"},
	} {
		if err := k.channel.Validate(t.Context(), json.RawMessage(configOf("127.0.0.1:2525", changes))); err != nil {
			t.Errorf("%v: %v", changes, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	k := newKit(t, 0)
	for given, want := range map[string]string{
		`{}`:                                 `{"tls":"starttls","port":587,"auth":"auto"}`,
		`{"tls":"implicit"}`:                 `{"tls":"implicit","port":465,"auth":"auto"}`,
		`{"tls":"none","auth":"none"}`:       `{"tls":"none","port":25,"auth":"none"}`,
		`{"tls":"starttls","port":2525}`:     `{"tls":"starttls","port":2525,"auth":"auto"}`,
		`{"tls":"other"}`:                    `{"tls":"other","auth":"auto"}`,
		`{"tls":7,"port":null,"auth":false}`: `{"tls":7,"port":null,"auth":false}`,
	} {
		got, generated, err := k.channel.Complete(json.RawMessage(given))
		if err != nil || generated != nil {
			t.Errorf("%s: %v, generated %q", given, err, generated)
		}
		var a, b any
		if json.Unmarshal(got, &a) != nil || json.Unmarshal([]byte(want), &b) != nil || !cmp.Equal(a, b) {
			t.Errorf("%s became %s, want %s", given, got, want)
		}
	}
}

// TestNobodyToSendTo: a configuration without recipients, however it is written, is neither
// valid nor opened, so that nothing counts as delivered to nobody.
func TestNobodyToSendTo(t *testing.T) {
	k := newKit(t, 0)
	whole := configOf("127.0.0.1:2525", map[string]any{"to": "TO", "cc": nil, "bcc": "archive@example.com"})
	for _, to := range []string{"[]", "[ ]", "[\n\t]", "null", `""`, `[null]`, `[""]`, `{}`} {
		raw := json.RawMessage(strings.Replace(whole, `"TO"`, to, 1))
		if err := k.channel.Validate(t.Context(), raw); err == nil || !strings.Contains(err.Error(), "config.to: ") {
			t.Errorf("%s: valid (%v)", to, err)
		}
		if _, err := k.channel.Open(raw); err == nil {
			t.Errorf("%s: opened", to)
		}
	}
}
