package splunk_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

func TestCheck(t *testing.T) {
	for name, row := range map[string]struct {
		more   string
		change func(*hec)
		want   tocsin.Fault
		words  string
	}{
		"well":          {"", func(*hec) {}, "", "knows the token"},
		"with ack":      {withAck, func(h *hec) { h.useACK = true }, "", "acknowledges what is indexed"},
		"ack disabled":  {withAck, func(*hec) {}, tocsin.FaultWebhook, "enable indexer acknowledgment"},
		"another token": {"", func(h *hec) { h.token = "other" }, tocsin.FaultWebhook, "Invalid token"},
	} {
		h := newHEC(t)
		row.change(h)
		server := httptest.NewServer(h)
		found, exchanges, err := open(t, server.URL, row.more).(tocsin.Checker).Check(t.Context())
		server.Close()
		fault := tocsin.Fault("")
		if err != nil {
			fault, found = tocsin.Classify(err).Fault, err.Error()
		}
		if fault != row.want || !strings.Contains(found, row.words) || len(exchanges) < 2 || len(h.taken) != 0 {
			t.Errorf("%s: %q %q, %d exchanges, %d records", name, fault, found, len(exchanges), len(h.taken))
		}
		if text, _ := json.Marshal(exchanges); strings.Contains(string(text)+found, token) {
			t.Errorf("%s: the token is shown", name)
		}
	}
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"text":"HEC is unhealthy, queues are full","code":18}`))
	}))
	defer down.Close()
	if _, _, err := open(t, down.URL, "").(tocsin.Checker).Check(t.Context()); tocsin.Classify(err).Fault != tocsin.FaultRetry {
		t.Errorf("queues are full: %v", err)
	}
}

func TestValidate(t *testing.T) {
	c := post.New(post.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	defer c.Close()
	ch := newChannel(c, slog.New(slog.DiscardHandler))
	const good = `"url":"https://8.8.8.8:8088","token":"t0ken"`
	for text, want := range map[string]string{
		`{` + good + `}`: "",
		`{"url":"http://127.0.0.1:8088/","token":"t0ken"}`:               "",
		`{"url":"http://8.8.8.8:8088","token":"t0ken"}`:                  "config.url: the scheme is http",
		`{"url":"https://8.8.8.8/services/collector/event","token":"t"}`: "config.url: leave out /services/collector",
		`{"url":"https://8.8.8.8?index=x","token":"t"}`:                  "config.url: has a query",
		`{"url":"https://10.0.0.1","token":"t"}`:                         "config.url: ",
		`{"url":"https://8.8.8.8"}`:                                      "config.token: required",
		`{"url":"https://8.8.8.8","token":"Splunk abc"}`:                 "without the word Splunk",
		`{"url":"https://8.8.8.8","token":"a b"}`:                        "config.token: contains a space",
		`{"url":"https://8.8.8.8","token":"a\nb"}`:                       "config.token: contains",
		`{` + good + `,"index":"Main!"}`:                                 `config.index: "Main!" is not`,
		`{` + good + `,"source":"a\nb"}`:                                 "config.source: want one line",
		`{` + good + `,"format":"leef"}`:                                 "config.format: ",
		`{` + good + `,"fields":{"event_uid":"x"}}`:                      "event_uid is set by Tocsin",
		`{` + good + `,"fields":{"_raw":"x"}}`:                           "config.fields: ",
		`{` + good + `,"fields":{"a":""}}`:                               "config.fields.a: ",
		`{` + good + `,"ca_cert":"nonsense"}`:                            "config.ca_cert: ",
		`{` + good + `,"gzip":"yes"}`:                                    "config.gzip: ",
	} {
		err := ch.Validate(t.Context(), json.RawMessage(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
