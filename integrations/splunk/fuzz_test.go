package splunk

import (
	"net/http"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// FuzzAnswer reads whatever a collector, or something in its place, may say.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{`{"text":"Success","code":0}`, `{"text":"Success","code":0,"ackId":7}`, `{"code":6,"invalid-event-number":2}`, `{"code":7,"invalid-event-number":1}`,
		`{"code":15,"invalid-event-number":1e99}`, `{"code":15,"invalid-event-number":-1}`, `{"code":null}`, `{"code":"0"}`, `{"acks":{"0":true}}`, "", "{", "<html>", `[0]`, `{"code":24}`} {
		for _, status := range []int{200, 400, 403, 429, 503} {
			f.Add(status, body, 5)
		}
	}
	f.Fuzz(func(t *testing.T, status int, body string, n int) {
		a := read([]byte(body))
		err := classify(status, http.Header{}, a, body)
		if (err == nil) != (status == http.StatusOK && accepted[a.code()]) {
			t.Errorf("%d %q: %v", status, body, err)
		}
		at, ok := poison(status, a, n)
		if !ok {
			return
		}
		if at <= 0 || at >= n || err == nil || tocsin.Classify(err).Fault != tocsin.FaultEvent {
			t.Errorf("%d %q blames %d of %d (%v)", status, body, at, n, err)
		}
	})
}
