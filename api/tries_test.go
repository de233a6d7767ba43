package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-alerts/tocsin/api"
)

// from sends a request to a handler as if it came from an address.
func from(h http.Handler, address, key string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/v1/channels", nil)
	r.RemoteAddr = address
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// wantFrom fails unless the address gets this status.
func wantFrom(t *testing.T, status int, h http.Handler, address, key string) *httptest.ResponseRecorder {
	t.Helper()
	w := from(h, address, key)
	if w.Code != status {
		t.Fatalf("from %s: got %d %s, want %d", address, w.Code, w.Body, status)
	}
	return w
}

func TestFailedTriesAreLimited(t *testing.T) {
	k := newKit(t)
	for i := range 10 {
		key := ""
		if i%2 == 1 {
			key = "tk_guess" + strconv.Itoa(i)
		}
		wantFrom(t, http.StatusUnauthorized, k.handler, "192.0.2.1:1000", key)
	}
	for _, key := range []string{"", "tk_guess", "tk_other"} {
		w := wantFrom(t, http.StatusTooManyRequests, k.handler, "192.0.2.1:2000", key)
		if after, err := strconv.Atoi(w.Header().Get("Retry-After")); err != nil || after < 1 || after > 60 {
			t.Errorf("got Retry-After %q, want 1 to 60", w.Header().Get("Retry-After"))
		}
		if !strings.Contains(w.Body.String(), `"too_many_tries"`) {
			t.Errorf("got %s", w.Body)
		}
	}
	// A good key works from there, also one that this process has not seen before.
	wantFrom(t, http.StatusOK, k.handler, "192.0.2.1:1000", k.newKey("fresh", "read"))
	wantFrom(t, http.StatusOK, k.handler, "192.0.2.1:1000", k.key)
	// Others are not concerned.
	wantFrom(t, http.StatusUnauthorized, k.handler, "192.0.2.2:1000", "")
}

func TestTriesBeginAnewAfterAMinute(t *testing.T) {
	tr := &api.Tries{}
	now := time.Now()
	for range 10 {
		if got := tr.Failed("192.0.2.1", now, errSecret{}); got != error(errSecret{}) {
			t.Fatalf("got %v", got)
		}
	}
	if got := tr.Failed("192.0.2.1", now.Add(59*time.Second), errSecret{}); got == error(errSecret{}) {
		t.Error("an eleventh try in the minute is let pass")
	}
	if got := tr.Failed("192.0.2.1", now.Add(time.Minute), errSecret{}); got != error(errSecret{}) {
		t.Errorf("after the minute: got %v", got)
	}
}

func TestNeighboursOfIPv6AreOneClient(t *testing.T) {
	k := newKit(t)
	for i := range 10 {
		wantFrom(t, http.StatusUnauthorized, k.handler, fmt.Sprintf("[2001:db8:0:1::%x]:1", i), "")
	}
	wantFrom(t, http.StatusTooManyRequests, k.handler, "[2001:db8:0:1:ffff::1]:1", "")
	wantFrom(t, http.StatusUnauthorized, k.handler, "[2001:db8:0:2::1]:1", "")
	// An IPv4 address in IPv6's clothes is that address.
	for range 10 {
		wantFrom(t, http.StatusUnauthorized, k.handler, "[::ffff:192.0.2.9]:1", "")
	}
	wantFrom(t, http.StatusTooManyRequests, k.handler, "192.0.2.9:1", "")
	wantFrom(t, http.StatusUnauthorized, k.handler, "192.0.2.10:1", "")
}

func TestTriesTakeBoundedMemory(t *testing.T) {
	tr := &api.Tries{}
	now := time.Now()
	for i := range 25_000 {
		tr.Failed(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), now, errSecret{})
	}
	if got := tr.Clients(); got > 10_001 {
		t.Errorf("%d clients are remembered, want at most 10,001", got)
	}
	// Those beyond share one count, and have used it up.
	if got := tr.Failed("203.0.113.1", now, errSecret{}); got == error(errSecret{}) {
		t.Error("a client beyond the bound is not limited")
	}
	// One who is counted apart still is.
	if got := tr.Failed("10.0.0.1", now, errSecret{}); got != error(errSecret{}) {
		t.Errorf("got %v for a second try", got)
	}
}

func TestUnknownKeysOfABlockedClientCostFewLookUps(t *testing.T) {
	tr := &api.Tries{}
	now := time.Unix(1000, 0)
	for range 10 {
		tr.Failed("192.0.2.1", now, errSecret{})
	}
	allowed := 0
	for range 1000 {
		if tr.MayLookUp("192.0.2.1", now) == nil {
			allowed++
		}
	}
	if allowed != 50 {
		t.Errorf("%d look-ups in a second, want 50", allowed)
	}
	if tr.MayLookUp("192.0.2.1", now.Add(time.Second)) != nil || tr.MayLookUp("192.0.2.2", now) != nil {
		t.Error("the next second, or another client, is refused")
	}
}

// The handler with a clock that does not wait.
func TestRetryAfterIsWhenTriesAreAllowedAgain(t *testing.T) {
	k := newKit(t)
	synctest.Test(t, func(t *testing.T) {
		h := k.inBubble(t, &auditLog{})
		for range 10 {
			wantFrom(t, http.StatusUnauthorized, h, "192.0.2.1:1", "")
			time.Sleep(time.Second)
		}
		w := wantFrom(t, http.StatusTooManyRequests, h, "192.0.2.1:1", "")
		after, err := strconv.Atoi(w.Header().Get("Retry-After"))
		if err != nil || after != 50 {
			t.Errorf("got Retry-After %q, want 50", w.Header().Get("Retry-After"))
		}
		time.Sleep(time.Duration(after)*time.Second - time.Millisecond)
		wantFrom(t, http.StatusTooManyRequests, h, "192.0.2.1:1", "")
		time.Sleep(time.Millisecond)
		wantFrom(t, http.StatusUnauthorized, h, "192.0.2.1:1", "")
	})
}
