package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// frozen is a store that never answers, as a database does whose machine hangs. It
// returns what a driver returns when it is told to give up.
type frozen struct{ auditLog }

func (f *frozen) wait(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func (f *frozen) Ping(ctx context.Context) error { return f.wait(ctx) }

func (f *frozen) KeyByHash(ctx context.Context, _ []byte) (tocsin.Key, error) {
	return tocsin.Key{}, f.wait(ctx)
}

// TestAFrozenStoreIsNotWaitedFor: a store that hangs is a store that is away, after ten
// seconds.
func TestAFrozenStoreIsNotWaitedFor(t *testing.T) {
	k := newKit(t)
	for _, request := range []string{"GET /-/ready", "GET /v1/channels", "POST /v1/events", "POST /v1/mutes"} {
		synctest.Test(t, func(t *testing.T) {
			h := k.inBubble(t, &frozen{})
			method, path, _ := strings.Cut(request, " ")
			r := httptest.NewRequest(method, path, strings.NewReader("{}"))
			r.Header.Set("Authorization", "Bearer tk_x")
			w := httptest.NewRecorder()
			began := time.Now()
			h.ServeHTTP(w, r)
			if took := time.Since(began); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || took > 10*time.Second {
				t.Errorf("%s: got %d %s after %s, want 503 and Retry-After within ten seconds", request, w.Code, w.Body, took)
			}
		})
	}
}
