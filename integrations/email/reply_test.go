package email

import (
	"net/textproto"
	"strings"
	"testing"
	"unicode"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// FuzzReply reads whatever a server may say.
func FuzzReply(f *testing.F) {
	for _, text := range []string{"OK", "5.7.1 no", "5.1.1 a\n5.1.1 b", "5.2.2 full", "\x00\xff\u202e", "", strings.Repeat("x", 5000), "5.7.60 x", "send as this sender"} {
		for _, code := range []int{0, 250, 354, 421, 450, 535, 550, 552, 554, 999, -1} {
			f.Add(code, text)
		}
	}
	f.Fuzz(func(t *testing.T, code int, text string) {
		for _, at := range []step{stepGreeting, stepHello, stepTLS, stepAuth, stepNoop, stepFrom, stepTo, stepData, stepMessage} {
			d := &dialogue{}
			err := d.classify(at, &textproto.Error{Code: code, Msg: text})
			s := tocsin.Classify(err)
			if permanent := code >= 500 && code <= 599; !permanent && s.Fault != tocsin.FaultRetry {
				t.Errorf("%d to %s: %+v", code, at, s)
			}
			if s.Fault == tocsin.FaultEvent && at != stepMessage || s.Fault == tocsin.FaultGone || s.Unsure && at != stepMessage {
				t.Errorf("%d to %s: %+v", code, at, s)
			}
			if said := err.Error(); len(said) > 2000 || strings.ContainsFunc(said, unicode.IsControl) || strings.ToValidUTF8(said, "") != said {
				t.Errorf("%d to %s: %q", code, at, said)
			}
			d.failed(at, &textproto.Error{Code: code, Msg: text})
			if d.status != code || strings.ContainsFunc(strings.ReplaceAll(d.text.String(), "\n", ""), unicode.IsControl) {
				t.Errorf("%d to %s: heard %q", code, at, d.text.String())
			}
		}
	})
}
