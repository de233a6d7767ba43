package jira_test

import (
	"encoding/json"
	"encoding/pem"
	"net/http/httptest"
	"strings"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

func quoted(text string) string {
	out, _ := json.Marshal(text) // a string always encodes
	return string(out)
}

// certificate is a test server's own, as PEM.
func certificate(s *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

func TestDefaults(t *testing.T) {
	c := newChannel(post.New(post.Options{}), nil)
	for url, want := range map[string]string{
		"https://acme.atlassian.net": "cloud", "https://ACME.Atlassian.NET.": "cloud", "https://api.atlassian.com/ex/jira/1": "cloud",
		"https://jira.acme.example": "datacenter", "https://atlassian.net.evil.example": "datacenter", "https://notatlassian.net": "datacenter",
	} {
		out, generated, err := c.Complete(json.RawMessage(`{"url":"` + url + `"}`))
		if err != nil || len(generated) > 0 {
			t.Fatalf("Complete: %v, %v", generated, err)
		}
		var got struct {
			Deployment string `json:"deployment"`
			Type       string `json:"issue_type"`
			Comment    bool   `json:"comment_on_refire"`
		}
		if err := json.Unmarshal(out, &got); err != nil || got.Deployment != want || got.Type != "Task" || !got.Comment {
			t.Errorf("%s: %s, want deployment %s, issue type Task, comments", url, out, want)
		}
	}
}

// TestBadConfigurations: each names its field and says what is wanted.
func TestBadConfigurations(t *testing.T) {
	c := newChannel(post.New(post.Options{}), nil)
	const good = `"url":"https://acme.atlassian.net","email":"a@b.example","token":"t0ken-x","project":"SEC"`
	if err := c.Validate(t.Context(), json.RawMessage(`{`+good+`}`)); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for change, want := range map[string]string{
		`"url":null`: "config.url: required",
		`"url":"https://acme.atlassian.net/rest/api/2"`:   "config.url: leads into the REST API",
		`"url":"https://acme.atlassian.net/browse/SEC-1"`: "config.url: is a page of Jira",
		`"url":"https://acme.atlassian.net?x=1"`:          "config.url: has a query",
		`"url":"http://acme.atlassian.net"`:               "config.url: the scheme is http",
		`"url":"ftp://acme.atlassian.net"`:                `config.url: the scheme is "ftp"`,
		`"token":""`:                                      "config.token: required",
		`"token":"a b"`:                                   "config.token: contains a space",
		`"token":"[redacted]"`:                            "config.token: [redacted] stands for",
		`"email":null`:                                    "config.email: required for Jira Cloud",
		`"email":"a:b@c"`:                                 "config.email: contains",
		`"deployment":"datacenter"`:                       "config.email: is for Jira Cloud only",
		`"deployment":"server"`:                           `config.deployment: is "server"; allowed: cloud, datacenter`,
		`"project":""`:                                    "config.project: required",
		`"project":"SEC AND 1=1"`:                         `config.project: "SEC AND 1=1" is not a project key`,
		`"labels":["two words"]`:                          `config.labels[0]: "two words" contains a space`,
		`"labels":["` + strings.Repeat("x", 256) + `"]`:   "config.labels[0]: is 256 characters long; at most 255",
		`"priority":{"urgent":"High"}`:                    "config.priority.urgent: not a severity; allowed: info, low",
		`"custom_fields":{"summary":"x"}`:                 "config.custom_fields.summary: is set by the channel itself",
		`"custom_fields":{"a b":"x"}`:                     "config.custom_fields.a b: not the id of a field",
		`"components":["Gateway",""]`:                     "config.components[1]: is empty",
		`"components":["",null]`:                          "config.components[0]: is empty; want a name, or no entry; config.components[1]: is empty",
		`"components":" "`:                                "config.components[0]: is empty",
		`"components":7`:                                  "config.components: want",
		`"labels":["a",null]`:                             "config.labels[1]: is empty",
		`"custom_fields":{"":"x"}`:                        "config.custom_fields.: not the id of a field",
		`"custom_fields":[]`:                              "config.custom_fields: want an object",
		`"comment_on_refire":"yes"`:                       "config.comment_on_refire: want true or false",
		`"ca_cert":"no"`:                                  "config.ca_cert: the CA holds no certificate",
		`"isue_type":"Bug"`:                               `config.isue_type: unknown key; did you mean "issue_type"?`,
	} {
		err := c.Validate(t.Context(), json.RawMessage(`{`+good+`,`+change+`}`))
		if tocsin.CodeOf(err) != tocsin.CodeInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", change, err, want)
		}
	}
}
