package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"net/url"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// fuzzChannel looks nothing up.
func fuzzChannel(t *testing.T) *Channel {
	c := post.New(post.Options{Resolver: nowhere{}})
	t.Cleanup(c.Close)
	return New(c, catalog.Default(), nil)
}

type nowhere struct{}

func (nowhere) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, errors.New("no such host")
}

// FuzzTemplate compiles and renders whatever a user may write as a template.
func FuzzTemplate(f *testing.F) {
	for _, text := range []string{
		`{"text":{{toJSON (index .Events 0).title}}}`, `[{{range $i, $e := .Events}}{{if $i}},{{end}}{{toJSON $e.title}}{{end}}]`,
		`{"n": ${AKTO.changes_info.newEndpointsCount}}`, `${AKTO.`, `${AKTO.changes_info.apiThreatPayloads}`, `{{range 2000000000}}{{end}}`,
		`{{define "a"}}{{template "a" .}}{{end}}{{template "a" .}}`, `{{$x := "\""}}{{range 100}}{{$x = toJSON $x}}{{end}}`, `{{printf "%999d" 1}}`, `{{printf "%*d" 999999 1}}`,
		`{{join "," .Events}}`, `{{truncate -1 "x"}}`, `{{with .Overview}}{{.}}{{end}}`, `{{slice "abc" 1 9}}`, `{{index .Events 99}}`, `{{call .Events}}`, `{{_tick}}{{_leave}}{{_leave}}`,
		`{{block "x" .}}{{break}}{{end}}`, `{{range .Events}}{{break}}{{else}}{{continue}}{{end}}`, `{{range $k, $v := .}}{{$k}}{{end}}`, `{{js .}}{{html .}}{{urlquery .}}{{print .}}`,
		`{{- /* c */ -}}`, `{{/*`, "\xff\x00", `{{"\xff"}}`, `{{range 3}}{{template "x"}}{{end}}{{define "x"}}{{range 3}}y{{end}}{{end}}`,
	} {
		f.Add(text, true)
		f.Add(text, false)
	}
	events := samples(tocsin.Event{ID: "1", Source: "/s", Type: "custom.x", Time: time.Unix(0, 0).UTC(), Data: json.RawMessage(`{"a":[1,2.5,"x",null,{"b":true}]}`)})[2]
	f.Fuzz(func(t *testing.T, text string, isJSON bool) {
		compiled, err := compile(text)
		if err != nil {
			return
		}
		s := &sender{channel: fuzzChannel(t), config: config{template: compiled, json: isJSON}}
		n := tocsin.Notification{DeliveryID: "dlv_1", WebhookName: "w", Events: events}
		body, err := soon(t, s, n)
		if len(body) > maxRenderBytes {
			t.Errorf("the output has %d bytes", len(body))
		}
		if err != nil {
			return
		}
		if isJSON && !json.Valid(body) {
			t.Errorf("the output is not JSON: %.200q", body)
		}
		again, err := soon(t, s, n)
		if bound := (*boundError)(nil); !errors.As(err, &bound) && (err != nil || !bytes.Equal(body, again)) {
			t.Errorf("another rendering of the same: %v, %.200q, then %.200q", err, body, again)
		}
	})
}

// soon renders with little time, which the rendering must keep to, if not by far.
func soon(t *testing.T, s *sender, n tocsin.Notification) ([]byte, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	before := time.Now()
	body, err := s.body(ctx, n)
	if took := time.Since(before); took > maxRenderTime {
		t.Errorf("the rendering took %s", took)
	}
	return body, err
}

// FuzzConfig reads whatever may be sent as a configuration. What is shown of it has no
// secret, what is valid can be opened, and completing twice changes nothing.
func FuzzConfig(f *testing.F) {
	for _, text := range []string{
		`{}`, `null`, `[]`, `{"url":"https://8.8.8.8/h?token=t","method":"put","headers":{"Authorization":"Bearer x"},"query":{"a":"b"}}`,
		`{"url":"https://u:p@8.8.8.8/","headers":[1],"query":"q","signing_secret":{"a":1}}`, `{"url":"https://8.8.8.8/?a=1&a=2","query":{"a":3}}`,
		`{"url":"https://8.8.8.8/","signing_secret":["whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=","whsec_b2xkZXIgc2VjcmV0IG9mIDMyIGJ5dGVzIGluIGFsbCE="],"old_secret_until":"2999-01-01T00:00:00Z"}`,
		`{"url":"https://8.8.8.8/","signing_secret":["[redacted]"],"old_secret_until":"2000-01-01T00:00:00Z"}`, `{"url":"https://8.8.8.8/","body_template":"{}"}`,
		`{"URL":"https://8.8.8.8/","url":null,"signing_secret":[]}`, `{"url":"https://8.8.8.8/?%zz","headers":{"content-type":"text/plain","Content-Type":"x"}}`,
		`{"url":"https://8.8.8.8/?","query":null}`, `{"url":7,"query":{"":"x"},"format":"ocsf"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) || bytes.Contains(raw, []byte("body_template")) && len(raw) > 512 {
			return // others read JSON, and templates have a target of their own
		}
		c := fuzzChannel(t)
		for _, config := range [][]byte{raw, completed(t, c, raw)} {
			if config == nil {
				continue
			}
			public, err := c.Public(config)
			if err == nil {
				checkPublic(t, public)
			}
			valid := c.Validate(t.Context(), config)
			if valid != nil && tocsin.CodeOf(valid) != tocsin.CodeInvalid {
				t.Errorf("Validate: %v", valid)
			}
			if s, err := c.Open(config); err == nil && valid == nil {
				if _, err := s.Preview(t.Context(), tocsin.Notification{DeliveryID: "dlv_1", Events: []tocsin.Event{{ID: "1"}}}); err != nil && !errors.Is(err, context.Canceled) {
					if tocsin.Classify(err).Fault != tocsin.FaultWebhook {
						t.Errorf("Preview of a valid configuration: %v", err)
					}
				}
			}
		}
	})
}

// completed is the complete configuration, nil when it cannot be.
func completed(t *testing.T, c *Channel, raw []byte) []byte {
	once, _, err := c.Complete(raw)
	if err != nil {
		return nil
	}
	twice, generated, err := c.Complete(once)
	if err != nil || len(generated) != 0 || !bytes.Equal(once, twice) {
		t.Errorf("completing twice: %v, generated %q, %s, then %s", err, generated, once, twice)
	}
	return once
}

// checkPublic looks at every place for a secret.
func checkPublic(t *testing.T, public []byte) {
	var p struct {
		URL     any            `json:"url"`
		Headers any            `json:"headers"`
		Query   any            `json:"query"`
		Secret  any            `json:"signing_secret"`
		Rest    map[string]any `json:"-"`
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(public, &keys); err != nil {
		t.Fatalf("Public: %v", err)
	}
	for key, into := range map[string]*any{"url": &p.URL, "headers": &p.Headers, "query": &p.Query, "signing_secret": &p.Secret} {
		if raw, ok := keys[key]; ok && json.Unmarshal(raw, into) != nil {
			t.Fatalf("Public: %s is %s", key, raw)
		}
	}
	if text, ok := p.URL.(string); ok && text != tocsin.Redacted {
		if u, err := url.Parse(text); err != nil || u.User != nil || u.RawQuery != "" {
			t.Errorf("Public shows the URL %q", text)
		}
	}
	for name, v := range members(p.Headers) {
		if v != tocsin.Redacted && !post.OpenHeader(name) {
			t.Errorf("Public shows the header %q: %v", name, v)
		}
	}
	for name, v := range members(p.Query) {
		if v != tocsin.Redacted {
			t.Errorf("Public shows the parameter %q: %v", name, v)
		}
	}
	list, ok := p.Secret.([]any)
	if !ok {
		list = []any{p.Secret}
	}
	for _, v := range list {
		if v != nil && v != tocsin.Redacted && v != "" {
			t.Errorf("Public shows the secret %v", v)
		}
	}
}

// members are the values of an object; any other value is its own only member.
func members(v any) map[string]any {
	if m, ok := v.(map[string]any); ok {
		return m
	}
	if v == nil || v == "" {
		return nil
	}
	return map[string]any{"": v}
}
