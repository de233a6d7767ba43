package elasticsearch_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// FuzzAnswer reads whatever a cluster, or something in its place, may say about two
// documents.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"errors":false}`, `{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":429,"error":{"type":"x","reason":"y"}}}]}`,
		`{"errors":true,"items":[null,{"create":null}]}`, `{"errors":"no"}`, `{"errors":true,"items":{}}`, `{"error":"x","status":400}`, `{"error":{"type":7}}`,
		`{"errors":true,"items":[{"create":{"status":-1}},{"create":{"status":99999}}]}`, "", "{", "<html>", `{"errors":true,"items":[{"create":{"status":1e3}},{}]}`,
	} {
		for _, status := range []int{200, 201, 400, 403, 429, 503} {
			f.Add(status, body)
		}
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 || status == 204 || status == 304 {
			return
		}
		cluster := newFake(t)
		cluster.answer = func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return true
		}
		receipt, err := send(t, open(t, cluster.URL, nil), numbered(2)...)
		if len(receipt.Results) != 0 && len(receipt.Results) != 2 {
			t.Fatalf("%d results", len(receipt.Results))
		}
		var said struct {
			Errors *bool `json:"errors"`
		}
		yes := status < 300 && json.Unmarshal([]byte(body), &said) == nil && said.Errors != nil
		if err == nil && receipt.Results == nil && !yes {
			t.Errorf("%d %q: taken for a yes", status, body)
		}
		if status >= 500 && (err == nil || tocsin.Classify(err).Fault != tocsin.FaultRetry) && !strings.Contains(body, "cluster_block_exception") {
			t.Errorf("%d %q: %v", status, body, err)
		}
	})
}
