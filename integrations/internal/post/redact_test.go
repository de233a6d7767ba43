package post_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// TestSpellingsOfASecret repeats secrets as receivers do.
func TestSpellingsOfASecret(t *testing.T) {
	const bearer, password = `tok/"en" <a>&b+c`, "pass word/1"
	credentials := base64.StdEncoding.EncodeToString([]byte("robot:" + password))
	r := post.NewRedactor("Bearer "+bearer, "Basic "+credentials)
	var plainJSON bytes.Buffer
	e := json.NewEncoder(&plainJSON)
	e.SetEscapeHTML(false)
	if err := e.Encode(bearer); err != nil {
		t.Fatal(err)
	}
	escaped, err := json.Marshal(bearer)
	if err != nil {
		t.Fatal(err)
	}
	for _, said := range []string{
		bearer, url.QueryEscape(bearer), url.PathEscape(bearer), strings.ToLower(url.QueryEscape(bearer)), string(escaped), plainJSON.String(),
		strings.ReplaceAll(string(escaped), "/", `\/`), html.EscapeString(bearer), base64.StdEncoding.EncodeToString([]byte(bearer)),
		credentials, "robot:" + password, password, url.QueryEscape(password),
	} {
		text := r.Text("you said " + said + ", which is wrong")
		if !strings.Contains(text, tocsin.Redacted) || strings.Contains(text, strings.Trim(strings.TrimSpace(said), `"`)) {
			t.Errorf("%q is shown as %q", said, text)
		}
	}
	if got := r.Text("robot said nothing"); got != "robot said nothing" {
		t.Errorf("a user's name is no secret: %q", got)
	}
}

// TestWhatIsKeptStaysSmall: bytes that are no text grow when they are replaced.
func TestWhatIsKeptStaysSmall(t *testing.T) {
	for name, body := range map[string]string{
		"zeros": strings.Repeat("\x00", 40<<10), "no text": strings.Repeat("\xff", 40<<10), "runes": "a" + strings.Repeat("€", 20<<10), "short zeros": strings.Repeat("\x00", 6<<10),
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
		c := post.New(post.Options{AllowCIDRs: loopback})
		res, err := c.Do(t.Context(), post.Request{Method: "POST", URL: server.URL, Redact: post.NewRedactor("secret")})
		c.Close()
		server.Close()
		if err != nil {
			t.Fatal(err)
		}
		got := res.Exchange.ResponseBody
		if len(got) > tocsin.MaxResponseKept || got == "" || !utf8.ValidString(got) || strings.Contains(got, "\x00") {
			t.Errorf("%s: kept %d bytes, valid %v", name, len(got), utf8.ValidString(got))
		}
	}
}

// TestLocalhostNeverLeavesTheMachine, however it is spelt.
func TestLocalhostNeverLeavesTheMachine(t *testing.T) {
	resolver := &asked{}
	c := post.New(post.Options{Resolver: resolver})
	defer c.Close()
	for _, host := range []string{"localhost", "LocalHost.", "a.localhost", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "ｌｏｃａｌｈｏｓｔ", "loc\u00adalhost"} {
		if err := c.CheckURL(t.Context(), "http://"+host+"/"); err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%q: %v", host, err)
		}
	}
	if len(resolver.names) != 0 {
		t.Errorf("the resolver was asked for %q", resolver.names)
	}
}

// TestAPreviewIsWhole also where a secret is shorter than what stands for it.
func TestAPreviewIsWhole(t *testing.T) {
	c := post.New(post.Options{})
	defer c.Close()
	x := c.Preview(post.Request{Method: "POST", URL: "https://h.example/", Body: []byte(`{"env":"prod","a":"prod","end":"here"}`), Redact: post.NewRedactor("prod")})
	if x.RequestBody != `{"env":"[redacted]","a":"[redacted]","end":"here"}` {
		t.Errorf("the preview is %s", x.RequestBody)
	}
}
