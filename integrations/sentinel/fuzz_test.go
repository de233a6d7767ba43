package sentinel

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// FuzzToken reads whatever Entra, or something in its place, may answer: a token that can
// stand in a header and lives for a while, or an error that is no event's and leaves no
// doubt.
func FuzzToken(f *testing.F) {
	for _, body := range []string{`{"access_token":"eyJ","expires_in":3599}`, `{"access_token":"eyJ","expires_in":"3599"}`, `{"access_token":"a\r\nX: y","expires_in":1}`, `{"access_token":"eyJ","expires_in":-1}`,
		`{"access_token":"eyJ","expires_in":1e308}`, `{"error":"invalid_client","error_description":"AADSTS7000215: no"}`, `{"error":"temporarily_unavailable"}`, "", "{", "<html>", `[]`} {
		for _, status := range []int{200, 400, 401, 410, 429, 503} {
			f.Add(status, body)
		}
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		var g granted
		_ = json.Unmarshal([]byte(body), &g)
		if d := life(g.ExpiresIn); d < 0 || d > 7*24*time.Hour {
			t.Errorf("%q: a life of %s", body, d)
		}
		err := refusedToken(post.Response{Status: status, Header: http.Header{}, Body: []byte(body)}, g)
		if err == nil {
			if status != http.StatusOK || !usable(g.Token) {
				t.Errorf("%d %q: taken for a token", status, body)
			}
			return
		}
		if s := tocsin.Classify(err); s.Unsure || s.Fault == tocsin.FaultEvent || s.Fault == tocsin.FaultGone {
			t.Errorf("%d %q: %+v", status, body, s)
		}
	})
}
