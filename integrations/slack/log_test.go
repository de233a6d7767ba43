package slack_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// TestLogShowsNoSecret: the line about refused blocks quotes the answer, which here
// repeats the URL.
func TestLogShowsNoSecret(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, "invalid_blocks: at http://%s%s", r.Host, r.URL)
	}))
	defer server.Close()
	c := post.New(post.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	defer c.Close()
	var log bytes.Buffer
	s, err := newChannel(c, slog.New(slog.NewTextHandler(&log, nil))).Open(json.RawMessage(config(server.URL)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Send(t.Context(), integrationtest.Notify(integrationtest.Pick(t, "it-agent")...)); err == nil {
		t.Error("want an error")
	}
	if text := log.String(); !strings.Contains(text, "invalid_blocks") || strings.Contains(text, token) || strings.Contains(text, "B0SUITE") {
		t.Errorf("logged: %s", text)
	}
}
