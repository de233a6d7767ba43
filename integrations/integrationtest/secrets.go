package integrationtest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// testFormatted prints a sender in every way in which one could end up in a log.
func testFormatted(t *testing.T, s Spec) {
	o := s.open(t, client(t, 0), s.somewhere())
	holder := struct{ Sender tocsin.Sender }{o.Sender}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X"} {
		noSecret(t, s, "a sender as "+verb, fmt.Sprintf(verb+" "+verb+" "+verb, o.Sender, holder, []tocsin.Sender{o.Sender}))
		noSecret(t, s, "a channel as "+verb, fmt.Sprintf(verb, o.Channel))
	}
	text, err := json.Marshal(o.Sender)
	noSecret(t, s, "a sender as JSON", fmt.Sprint(string(text), err))
}

// testUserInfo opens configurations whose URLs hold credentials or cannot be read, as
// they could be stored by hand, and looks for them and all other secrets in what is shown.
func testUserInfo(t *testing.T, s Spec) {
	const password = "canary-passw0rd"
	s.Secrets = append([]string{password}, s.Secrets...)
	for _, url := range []string{
		"http://user:" + password + "@127.0.0.1:1", "http://" + password + "@receiver.invalid", "http://user:" + password + "@[::1",
		"http://user:" + password + "@127.0.0.1:x", "http://user:" + password + "@h/%zz", "http://user:" + password + "@10.0.0.1",
		"://" + password, "http://h\x7f" + password, "http://h?" + password + "=1&" + password + "=2",
	} {
		encoded, err := json.Marshal(url)
		if err != nil {
			t.Fatal(err)
		}
		c := client(t, time.Second)
		ch := s.New(c, discard())
		text := s.configFor(strings.Trim(string(encoded), `"`))
		err = ch.Validate(bg(t), text)
		if err == nil {
			t.Errorf("a URL like %q is valid", url)
		}
		complete, _, cerr := ch.Complete(text)
		noSecret(t, s, "Validate", fmt.Sprintf("%v %+v %v", err, err, cerr))
		for _, config := range []json.RawMessage{text, complete} {
			public, err := ch.Public(config)
			noSecret(t, s, "Public", fmt.Sprint(string(public), err))
			sender, err := ch.Open(config)
			noSecret(t, s, "Open", fmt.Sprint(err))
			if err != nil {
				continue
			}
			receipt, err := sender.Send(bg(t), one(t))
			if err == nil {
				t.Errorf("a send to a URL like %q went through", url)
			}
			noSecret(t, s, "Send", everything(t, receipt, err))
			preview, err := sender.Preview(bg(t), one(t))
			noSecret(t, s, "Preview", everything(t, tocsin.Receipt{Exchanges: preview}, err))
			noSecret(t, s, "a sender", fmt.Sprintf("%v %+v %#v", sender, sender, sender))
		}
	}
}
