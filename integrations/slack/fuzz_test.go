package slack

import (
	"net/http"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// FuzzAnswer reads whatever Slack, or something in its place, may say.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{"ok", "ok\n", "", "invalid_blocks: no", `{"ok":true}`, `{"ok":false,"error":"rate_limited","retry_after":30}`, `{"retry_after":1e400}`,
		`{"retry_after":-1}`, `{"retry_after":1e-320}`, `{"retry_after":604801}`, `{"retry_after":"30"}`, `{"retry_after":0.5,"error":"is_archived"}`, `{"retry_after":null}`, "{", "<html>"} {
		for _, status := range []int{200, 400, 429, 503} {
			f.Add(status, body, "7")
		}
	}
	f.Fuzz(func(t *testing.T, status int, body, header string) {
		a := read([]byte(body))
		if a.after < 0 || a.after > 7*24*time.Hour {
			t.Errorf("%q: retry_after %s", body, a.after)
		}
		err := classify(status, http.Header{"Retry-After": {header}}, a, body)
		if (err == nil) != (status == http.StatusOK && a.ok) {
			t.Errorf("%d %q: %v", status, body, err)
		}
		if err == nil {
			return
		}
		s := tocsin.Classify(err)
		if s.After < a.after || s.After > 7*24*time.Hour {
			t.Errorf("%d %q: the wait is %s, and the body says %s", status, body, s.After, a.after)
		}
		if status >= 500 && status <= 599 && (s.Fault != tocsin.FaultRetry || !s.Unsure) {
			t.Errorf("%d %q: %+v", status, body, s)
		}
	})
}
