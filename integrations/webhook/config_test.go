package webhook_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/webhook"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func newChannel(t *testing.T) *webhook.Channel {
	c := post.New(post.Options{AllowCIDRs: loopback})
	t.Cleanup(c.Close)
	return webhook.New(c, catalog.Default(), nil)
}

func TestCompleteFillsIn(t *testing.T) {
	c := newChannel(t)
	complete, generated, err := c.Complete(json.RawMessage(`{"url":"http://127.0.0.1/h?b=2&a=1%262","method":"put","query":{"b":"old","c":"3"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"signing_secret"}, generated); diff != "" {
		t.Errorf("generated (-want +got):\n%s", diff)
	}
	var got map[string]any
	if err := json.Unmarshal(complete, &got); err != nil {
		t.Fatal(err)
	}
	fresh, _ := got["signing_secret"].(string)
	if !strings.HasPrefix(fresh, "whsec_") || len(fresh) < 6+32 {
		t.Errorf("the fresh secret has %d characters", len(fresh))
	}
	delete(got, "signing_secret")
	want := map[string]any{"url": "http://127.0.0.1/h", "method": "PUT", "format": "tocsin",
		"query": map[string]any{"a": "1&2", "b": "2", "c": "3"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("complete (-want +got):\n%s", diff)
	}
	if err := c.Validate(t.Context(), complete); err != nil {
		t.Errorf("Validate: %v", err)
	}
	again, _, err := c.Complete(json.RawMessage(`{"url":"http://127.0.0.1/h"}`))
	if err != nil || strings.Contains(string(again), fresh) {
		t.Errorf("the same secret was generated twice, error %v", err)
	}
}

func TestValidateSaysWhatIsWrong(t *testing.T) {
	c := newChannel(t)
	const url = `"url":"http://127.0.0.1/h"`
	for config, want := range map[string]string{ // field, then words; the bound of time may come before another
		`{}`:                                 "config.url|required",
		`{"url":""}`:                         "config.url|required",
		`{"url":7}`:                          "config.url|want a string, got a number",
		`{"url":"ftp://h"}`:                  "config.url|allowed: https, http",
		`{"url":"http://10.0.0.1"}`:          "config.url|private",
		`{"url":"http://u:p@h.example"}`:     "config.url|credentials",
		`{"url":"http://h.example?a=1&a=2"}`: "config.url|given twice",
		`{"url":"http://h.example?a=%zz"}`:   "config.url|cannot be read",
		`{` + url + `,"method":"GET"}`:       `config.method|"GET" is not available; allowed: POST, PUT, PATCH`,
		`{` + url + `,"method":[]}`:          "config.method|want a string, got a list",
		`{` + url + `,"format":"ecs"}`:       `config.format|"ecs" is not available; allowed: tocsin, ocsf, cloudevents`,
		`{` + url + `,"format":"ocsf","body_template":"{}"}`:                                                  `config.body_template|goes with format tocsin only, not with "ocsf"`,
		`{` + url + `,"headers":[]}`:                                                                          "config.headers|want an object of strings, got a list",
		`{` + url + `,"headers":{"X":1}}`:                                                                     "config.headers.X|want a string, got a number",
		`{` + url + `,"headers":{"Host":"h"}}`:                                                                "config.headers.Host|set by the client",
		`{` + url + `,"headers":{"X-A":"a\r\nB: c"}}`:                                                         "config.headers.X-A|line break",
		`{` + url + `,"headers":{"Webhook-Id":"x"}}`:                                                          "config.headers.Webhook-Id|signature",
		`{` + url + `,"headers":{"X-A":"1","x-a":"2"}}`:                                                       "config.headers.x-a|given twice",
		`{` + url + `,"headers":{"X-A":"[redacted]"}}`:                                                        "config.headers.X-A|there is none",
		`{` + url + `,"headers":{"content-type":"json; ;"}}`:                                                  "config.headers.content-type|media type",
		`{` + url + `,"query":{"a":{}}}`:                                                                      "config.query.a|want a string, got an object",
		`{` + url + `,"signing_secret":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}`:                       "config.signing_secret|want whsec_",
		`{` + url + `,"signing_secret":"whsec_not base64"}`:                                                   "config.signing_secret|not standard base64",
		`{` + url + `,"signing_secret":"whsec_c2hvcnQ="}`:                                                     "config.signing_secret|5 bytes; want 24 to 64",
		`{` + url + `,"signing_secret":"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY="}`:                             "config.signing_secret|23 bytes",
		`{` + url + `,"signing_secret":["` + secret + `","whsec_x"]}`:                                         "config.signing_secret[1]|base64",
		`{` + url + `,"signing_secret":["` + secret + `","` + secret + `","whsec_x"]}`:                        "config.signing_secret|3 secrets; at most 2",
		`{` + url + `,"signing_secret":["` + secret + `","` + oldSecret + `"],"old_secret_until":"tomorrow"}`: `config.old_secret_until|"tomorrow" is not a time`,
		`{` + url + `,"signing_secret":["` + secret + `","` + oldSecret + `"],"old_secret_until":5}`:          "config.old_secret_until|want a string, got a number",
		`{` + url + `,"signing_secret":"` + secret + `","old_secret_until":"2999-01-01T00:00:00Z"}`:           "config.old_secret_until|a list of two",
		`{` + url + `,"old_secret_until":"2999-01-01T00:00:00Z"}`:                                             "config.old_secret_until|a list of two",
		`{` + url + `,"body_template":"{{.Nope}}"}`:                                                           "config.body_template|Nope",
		`{` + url + `,"body_template":"{{range .Events}"}`:                                                    "config.body_template|does not render: 1:",
		`{` + url + `,"body_template":"{{nofunc .}}"}`:                                                        "config.body_template|nofunc",
		`{` + url + `,"body_template":"not json"}`:                                                            "config.body_template|not JSON",
		`{` + url + `,"body_template":"{\"t\":\"{{(index .Events 0).title}}\"}"}`:                             "config.body_template|toJSON",
		`{` + url + `,"body_template":"[{{range .Events}}{{toJSON .}},{{end}}]"}`:                             "config.body_template|not JSON",
		`{` + url + `,"body_template":"${AKTO.changes_info.newEndpoint}"}`:                                    "config.body_template|did you mean ${AKTO.changes_info.newEndpoints}?",
		`{` + url + `,"body_template":"\n\n${AKTO.other}"}`:                                                   "config.body_template|line 3: ${AKTO.other} is unknown; allowed after",
		`{` + url + `,"body_template":"${AKTO.changes_info.newEndpoints"}`:                                    "config.body_template|not closed",
		`{` + url + `,"body_template":"\"{{range 2000000000}}{{end}}\""}`:                                     "config.body_template|steps|takes longer",
		`{` + url + `,"body_template":"\"{{range 200000}}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa{{end}}\""}`: "config.body_template|over 16777216 bytes|takes longer",
		`{` + url + `,"body_template":"\"{{printf \"%999999d\" 1}}\""}`:                                   "config.body_template|three digits",
		`{` + url + `,"body_template":"{{define \"a\"}}{{template \"a\" .}}{{end}}{{template \"a\" .}}"}`: "config.body_template|nest deeper than 1000",
		`{` + url + `,"body_template":"{{$x := \"\\\"\"}}{{range 100}}{{$x = toJSON $x}}{{end}}{}"}`:      "config.body_template|toJSON: a text is over 16777216 bytes|takes longer",
	} {
		err := c.Validate(t.Context(), json.RawMessage(config))
		field, words, _ := strings.Cut(want, "|")
		var invalid *tocsin.Error
		if !errors.As(err, &invalid) || invalid.Code != tocsin.CodeInvalid {
			t.Errorf("%s: got %v, want invalid", config, err)
			continue
		}
		found := false
		for _, f := range invalid.Fields {
			found = found || f.Field == field && slices.ContainsFunc(strings.Split(words, "|"), func(w string) bool { return strings.Contains(f.Message, w) })
		}
		if !found {
			t.Errorf("%s: got %v, want %s with %q", config, err, field, words)
		}
	}
}

func TestEveryProblemAtOnce(t *testing.T) {
	err := newChannel(t).Validate(t.Context(), json.RawMessage(`{"url":"http://10.0.0.1","method":"GET","headers":{"Host":"x"},"urk":1}`))
	var invalid *tocsin.Error
	if !errors.As(err, &invalid) || len(invalid.Fields) != 4 {
		t.Errorf("got %v, want four fields", err)
	}
}

func TestTemplatesThatAreTaken(t *testing.T) {
	c := newChannel(t)
	for _, template := range []string{
		`{"text":{{toJSON (index .Events 0).title}}}`,
		`[{{range $i, $e := .Events}}{{if $i}},{{end}}{{toJSON $e.title}}{{end}}]`,
		`{"actor":{{toJSON (index .Events 0).data.actor}}}`, // for one alert type only
		`{"New Endpoints": ${AKTO.changes_info.newEndpoints}, "n": ${AKTO.changes_info.newEndpointsCount}}`,
		`{{define "x"}}{{toJSON .id}}{{end}}[{{range $i, $e := .Alerts}}{{if $i}},{{end}}{{template "x" $e}}{{end}}]`,
		`{"who":{{toJSON .Webhook}},"id":{{toJSON .Delivery}},"n":{{.Count}},"at":{{toJSON .Timestamp}},"c":${AKTO.changes_info.apiThreatPayloads}}`,
		`{"s":{{range .Events}}{{with .subject}}{{toJSON (truncate 10 (upper .))}}{{else}}""{{end}}{{break}}{{end}}}`,
	} {
		config, err := json.Marshal(map[string]string{"url": "http://127.0.0.1/h", "body_template": template})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Validate(t.Context(), config); err != nil {
			t.Errorf("%s: %v", template, err)
		}
	}
	plain := json.RawMessage(`{"url":"http://127.0.0.1/h","headers":{"content-type":"text/plain"},"body_template":"{{.Count}} alerts"}`)
	if err := c.Validate(t.Context(), plain); err != nil {
		t.Errorf("text that does not claim to be JSON: %v", err)
	}
}
