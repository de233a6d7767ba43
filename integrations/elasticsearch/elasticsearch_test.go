package elasticsearch_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/elasticsearch"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

func yes(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, `{"errors":false,"items":[]}`)
}

func TestConformance(t *testing.T) {
	const password = `p"ss/w rd?`
	integrationtest.Run(t, integrationtest.Spec{
		New: func(c *post.Client, _ *slog.Logger) tocsin.Channel { return elasticsearch.New(c) },
		Config: func(url string) string {
			return configOf(t, map[string]any{"url": url + "/es", "username": "tocsin", "password": password, "index": "sec-alerts",
				"index_date": "daily", "pipeline": "my pipeline", "format": "tocsin", "gzip": true})
		},
		Secrets:     []string{`p\"ss/w rd?`},
		Accept:      yes,
		BodyDecides: true,
		// The id of a document is the event's and not the delivery's: see TestASecondTimeIsNoSecondDocument.
	})
}

// TestConformanceCloudEvents holds it to the same with that format, an API key and no date.
func TestConformanceCloudEvents(t *testing.T) {
	const key = "key-id:k3y-secret"
	integrationtest.Run(t, integrationtest.Spec{
		New: func(c *post.Client, _ *slog.Logger) tocsin.Channel { return elasticsearch.New(c) },
		Config: func(url string) string {
			return configOf(t, map[string]any{"url": url, "api_key": key, "index": "sec-alerts", "format": "cloudevents", "gzip": false})
		},
		Secrets: []string{key, "k3y-secret"}, Accept: yes, BodyDecides: true, Golden: "golden-cloudevents",
	})
}

func configOf(t *testing.T, values map[string]any) string {
	t.Helper()
	text, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// open opens a sender for a cluster, with more keys.
func open(t *testing.T, url string, more map[string]any) tocsin.Sender {
	t.Helper()
	c := post.New(post.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	t.Cleanup(c.Close)
	values := map[string]any{"url": url}
	for k, v := range more {
		values[k] = v
	}
	ch := elasticsearch.New(c)
	complete, _, err := ch.Complete(json.RawMessage(configOf(t, values)))
	if err != nil {
		t.Fatal(err)
	}
	s, err := ch.Open(complete)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestValidate(t *testing.T) {
	c := post.New(post.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	defer c.Close()
	ch := elasticsearch.New(c)
	const at = `"url":"http://127.0.0.1:9200"`
	for config, want := range map[string]string{
		`{` + at + `}`: "",
		`{` + at + `,"api_key":"VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw=="}`: "",
		`{` + at + `,"api_key":"VuaCfGcBCdbkQm-e5aOx:ui2lp2axTNmsyakw9tvNnw"}`:                  "",
		`{` + at + `,"username":"u","password":"p"}`:                                            "",
		`{"url":"https://8.8.8.8/es/"}`:                                                         "",
		`{"url":"http://8.8.8.8"}`:                                                              "", // no secret travels
		`{"url":"http://8.8.8.8","username":"u","password":"p"}`:                                "config.url|want https",
		`{"url":"https://10.0.0.1"}`:                                                            "config.url|private",
		`{"url":"https://u:p@8.8.8.8"}`:                                                         "config.url|credentials",
		`{"url":"https://8.8.8.8?x=1"}`:                                                         "config.url|has a query",
		`{"url":"https://8.8.8.8/idx/_bulk"}`:                                                   "config.url|leave out",
		`{}`:                                                                                    "config.url|required",
		`{` + at + `,"api_key":"secretsecret"}`:                                                 "config.api_key|neither an encoded key",
		`{` + at + `,"api_key":"ApiKey VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw=="}`: "config.api_key|without the word",
		`{` + at + `,"api_key":"a:b\nc"}`:                                              "config.api_key|space or a control",
		`{` + at + `,"api_key":"a:b","username":"u"}`:                                  "config.api_key|one or the other",
		`{` + at + `,"username":"u"}`:                                                  "config.password|required",
		`{` + at + `,"password":"p"}`:                                                  "config.username|required",
		`{` + at + `,"username":"a:b","password":"p"}`:                                 "config.username|colon",
		`{` + at + `,"index":"Alerts"}`:                                                "config.index|lower case",
		`{` + at + `,"index":"a b"}`:                                                   "config.index|none of",
		`{` + at + `,"index":"<a-{now}>"}`:                                             "config.index|none of",
		`{` + at + `,"index":"_all"}`:                                                  "config.index|may not begin",
		`{` + at + `,"index":".."}`:                                                    "config.index|may not begin",
		`{` + at + `,"index":"` + strings.Repeat("x", 256) + `"}`:                      "config.index|at most 255",
		`{` + at + `,"index":"` + strings.Repeat("x", 245) + `","index_date":"daily"}`: "config.index|256 bytes long with its date",
		`{` + at + `,"index":"` + strings.Repeat("x", 244) + `","index_date":"daily"}`: "",
		`{` + at + `,"index_date":"weekly"}`:                                           "config.index_date|allowed: none, daily, monthly",
		`{` + at + `,"format":"ecs"}`:                                                  "config.format|allowed: tocsin, ocsf, cloudevents",
		`{` + at + `,"pipeline":"a\nb"}`:                                               "config.pipeline|one line",
		`{` + at + `,"gzip":"yes"}`:                                                    "config.gzip|true or false",
		`{` + at + `,"ca_cert":"nonsense"}`:                                            "config.ca_cert|no certificate",
	} {
		err := ch.Validate(t.Context(), json.RawMessage(config))
		field, words, _ := strings.Cut(want, "|")
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", config, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), field) || !strings.Contains(err.Error(), words)):
			t.Errorf("%s: got %v, want %s", config, err, want)
		case err != nil && (strings.Contains(err.Error(), "secretsecret") || strings.Contains(err.Error(), "VnVhQ2")):
			t.Errorf("%s: the error shows the key: %v", config, err)
		}
	}
}
