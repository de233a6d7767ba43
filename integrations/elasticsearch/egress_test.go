package elasticsearch_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/elasticsearch"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// moving is a name that leads somewhere else after it was configured.
type moving struct{ moved atomic.Bool }

func (m *moving) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	if m.moved.Load() {
		return []netip.Addr{netip.MustParseAddr("8.8.8.8")}, nil
	}
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// TestCredentialsStayOffPlainHTTP: the name was allowed by its address when it was
// configured, and has a public one at the send and at the check.
func TestCredentialsStayOffPlainHTTP(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(yes))
	defer server.Close()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	names := &moving{}
	c := post.New(post.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Resolver: names})
	defer c.Close()
	config := json.RawMessage(configOf(t, map[string]any{"url": "http://es.example.com:" + u.Port(), "username": "u", "password": "s3cret-password"}))
	ch := elasticsearch.New(c)
	if err := ch.Validate(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	s, err := ch.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Send(t.Context(), integrationtest.Notify(numbered(1)...)); err != nil {
		t.Fatalf("before it moved: %v", err)
	}
	names.moved.Store(true)
	receipt, sent := s.Send(t.Context(), integrationtest.Notify(numbered(1)...))
	_, exchanges, checked := s.(tocsin.Checker).Check(t.Context())
	for what, err := range map[string]error{"send": sent, "check": checked} {
		if outcome(err) != "webhook" || !strings.Contains(err.Error(), "want https") || len(receipt.Exchanges)+len(exchanges) > 0 {
			t.Errorf("%s: %v, %d requests", what, err, len(receipt.Exchanges)+len(exchanges))
		}
	}
}
