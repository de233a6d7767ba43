package api_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/api"
)

type caller struct {
	Actor, Name, Version string
	Scopes               []string
	Open                 bool
	Now                  time.Time
}

func TestMeSaysWhoAsksAndWhatTheyMay(t *testing.T) {
	k := newKit(t, func(c *api.Config) { c.Version = "v1.2.3" })
	k.key = k.newKey("sensor", "ingest")
	var got caller
	k.want(http.StatusOK, &got, "GET", "/v1/me", "")
	if got.Actor != "key sensor" || got.Name != "sensor" || !slices.Equal(got.Scopes, []string{"ingest"}) ||
		got.Open || got.Version != "v1.2.3" || got.Now.IsZero() {
		t.Errorf("got %+v", got)
	}
	k.key = ""
	k.refused(http.StatusUnauthorized, tocsin.CodeUnauthorized, "GET", "/v1/me", "")
	k.key = "tk_wrong"
	k.refused(http.StatusUnauthorized, tocsin.CodeUnauthorized, "GET", "/v1/me", "")
}

func TestMeWithoutKeysIsAnybody(t *testing.T) {
	k := newKit(t, func(c *api.Config) { c.Open = true })
	k.key = ""
	var got caller
	k.want(http.StatusOK, &got, "GET", "/v1/me", "")
	if got.Actor != "anonymous" || !slices.Contains(got.Scopes, "admin") || !got.Open || got.Version != "dev" {
		t.Errorf("got %+v", got)
	}
}
