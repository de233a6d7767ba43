package settings_test

import (
	"encoding/json"
	"strings"
	"testing"

	"go.uber.org/goleak"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// FuzzConfig takes apart whatever may be sent as a configuration: every problem names a
// field, no value of another type than asked for gets through, and none is repeated.
func FuzzConfig(f *testing.F) {
	for _, text := range []string{
		``, `null`, `{}`, `[]`, `"x"`, `{"s":"text","l":["a","b"],"m":{"k":"v"}}`, `{"s":1,"l":[1,null,"[redacted]"],"m":{"k":[]}}`, `{"s":null,"l":"one","m":null}`,
		`{"s":"[redacted]","l":{},"m":[]}`, `{"S":"other","s ":1,"":2}`, `{"s":"\u0000\ud800","l":[],"m":{"":""}}`, `{"s":"a","s":"b"}`, `{`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := settings.Parse(raw)
		if err != nil {
			if tocsin.CodeOf(err) != tocsin.CodeInvalid {
				t.Errorf("Parse: %v", err)
			}
			return
		}
		var p settings.Problems
		o.Unknown(&p, "s", "l", "m")
		texts := append([]string{o.String(&p, "s")}, o.Strings(&p, "l")...)
		for _, v := range o.Map(&p, "m") {
			texts = append(texts, v)
		}
		for _, text := range texts {
			if text == tocsin.Redacted {
				t.Error("the redacted form got through")
			}
		}
		for _, problem := range p {
			if !strings.HasPrefix(problem.Field, "config.") || problem.Message == "" {
				t.Errorf("a problem without a field or words: %+v", problem)
			}
		}
		if len(p) > 0 != (p.Err() != nil) || len(p) > 0 && tocsin.CodeOf(p.Err()) != tocsin.CodeInvalid {
			t.Errorf("%d problems: %v", len(p), p.Err())
		}
		text, err := o.JSON()
		if err != nil {
			t.Fatalf("JSON: %v", err)
		}
		again, err := settings.Parse(text)
		if err != nil || len(again) != len(o) || !json.Valid(text) {
			t.Errorf("reading it back: %v, %d keys, want %d", err, len(again), len(o))
		}
	})
}
