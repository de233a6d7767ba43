package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/api"
)

type whoami struct {
	Key     *tocsin.Key
	Open    bool
	Version string
	Now     time.Time
}

func TestWhoamiIsForEveryKey(t *testing.T) {
	k := newKit(t, func(c *api.Config) { c.Version = "v1.2.3" })
	for name, scopes := range map[string][]string{"in": {"ingest"}, "see": {"read"}, "all": {"ingest", "admin"}} {
		k.key = k.newKey(name, scopes...)
		var got whoami
		k.want(http.StatusOK, &got, "GET", "/v1/whoami", "")
		if got.Key == nil || got.Key.Name != name || got.Open || got.Version != "v1.2.3" || got.Now.IsZero() {
			t.Errorf("got %+v", got)
		} else if diff := cmp.Diff(scopes, got.Key.Scopes); diff != "" {
			t.Error(diff)
		}
	}
	k.key = ""
	k.refused(http.StatusUnauthorized, tocsin.CodeUnauthorized, "GET", "/v1/whoami", "")
}

func TestWhoamiWithoutKeys(t *testing.T) {
	k := newKit(t, open)
	k.key = ""
	var got whoami
	k.want(http.StatusOK, &got, "GET", "/v1/whoami", "", "Host", "localhost")
	if got.Key != nil || !got.Open || got.Version != "dev" {
		t.Errorf("got %+v", got)
	}
}
