package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

func mustReceive(t *testing.T, paths int) *receiver {
	t.Helper()
	r, err := newReceiver(paths)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return r
}

// deliver posts events to path n and returns the status.
func deliver(t *testing.T, r *receiver, n int, due time.Time, seqs ...uint64) int {
	t.Helper()
	var body []byte
	for _, seq := range seqs {
		body = appendEvent(body, collection, seq, due.UnixMicro())
	}
	resp, err := http.Post(r.url(n), "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestReceiverCountsEachEventOnce(t *testing.T) {
	r := mustReceive(t, 2)
	due := time.Now().Add(-time.Minute)
	deliver(t, r, 0, due, 0, 1, 2)
	deliver(t, r, 0, due, 2, 200)
	deliver(t, r, 1, due, 2)
	if got := r.arrived.Load(); got != 5 {
		t.Errorf("%d events arrived, want 5", got)
	}
	if got := r.again.Load(); got != 1 {
		t.Errorf("%d came again, want 1", got)
	}
	if got := r.deliveries.Load(); got != 3 {
		t.Errorf("%d deliveries, want 3", got)
	}
	if err := r.await(t.Context(), 5); err != nil {
		t.Errorf("awaiting what is there: %v", err)
	}
	if err := r.complete(0, 0, 3); err != nil {
		t.Errorf("events 0 to 2 are complete, but: %v", err)
	}
	for n, upTo := range []uint64{201, 3} {
		if err := r.complete(n, 0, upTo); err == nil || !strings.Contains(err.Error(), "LOST") {
			t.Errorf("path %d misses events, and complete says %v", n, err)
		}
	}
	if p := r.latency.take(); p.N != 5 || p.P50 < time.Minute {
		t.Errorf("latency since a minute ago is %+v", p)
	}
}

func TestReceiverFails(t *testing.T) {
	r := mustReceive(t, 1)
	r.every.Store(2)
	statuses := map[int]int{}
	for seq := range uint64(10) {
		statuses[deliver(t, r, 0, time.Now(), seq)]++
	}
	if statuses[http.StatusOK] != 5 || statuses[http.StatusServiceUnavailable] != 5 || r.arrived.Load() != 5 {
		t.Errorf("every second fails: %v, %d arrived", statuses, r.arrived.Load())
	}
}

func TestReceiverRefusesWhatItDoesNotExpect(t *testing.T) {
	for name, send := range map[string]func(r *receiver) int{
		"another path":  func(r *receiver) int { return deliver(t, r, 7, time.Now(), 1) },
		"no events":     func(r *receiver) int { return deliver(t, r, 0, time.Now()) },
		"another range": func(r *receiver) int { r.paths[0].base = 100; return deliver(t, r, 0, time.Now(), 99) },
	} {
		t.Run(name, func(t *testing.T) {
			r := mustReceive(t, 1)
			if status := send(r); status != http.StatusInternalServerError {
				t.Errorf("answered %d", status)
			}
			if err := r.await(t.Context(), 1); err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("await says %v", err)
			}
		})
	}
}
