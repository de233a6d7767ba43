package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// In an open loop every request is due at its own moment, whoever takes it.
func TestOpenLoopIsDueOnTime(t *testing.T) {
	began := time.Now()
	run := &turn{generator: &generator{}, load: load{perRequest: 10, rate: 100, duration: time.Second}, began: began}
	for n := range uint64(10) {
		got, due, ok := run.take()
		if want := began.Add(time.Duration(n) * 100 * time.Millisecond); !ok || got != n || !due.Equal(want) {
			t.Errorf("request %d is due %v after the beginning (%v)", got, due.Sub(began), ok)
		}
	}
	if n, _, ok := run.take(); ok {
		t.Errorf("request %d is past the duration", n)
	}
}

// A connection that was held up sends what became due meanwhile at once, and its events say
// when they were due.
func TestNoCoordinatedOmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		run := &turn{generator: &generator{}, load: load{perRequest: 1, rate: 10, duration: 10 * time.Second}, began: began}
		time.Sleep(5 * time.Second) // an answer that was long in coming
		for range 3 {
			_, due, _ := run.take()
			if !sleepUntil(t.Context(), due) || time.Since(began) != 5*time.Second {
				t.Fatalf("after a stall of 5 s it waits until %v", time.Since(began))
			}
		}
		if _, due, _ := run.take(); due.Sub(began) != 300*time.Millisecond {
			t.Errorf("the fourth request is due after %v", due.Sub(began))
		}
	})
}

func TestLoadEnds(t *testing.T) {
	now := time.Now()
	if _, _, ok := (&turn{load: load{perRequest: 1, duration: time.Second}, began: now.Add(-2 * time.Second)}).take(); ok {
		t.Error("it goes on after its duration")
	}
	stop := make(chan struct{})
	run := &turn{load: load{perRequest: 100, duration: time.Hour, most: 150, stop: stop}, began: now}
	for n := range 3 {
		if _, _, ok := run.take(); ok != (n < 2) {
			t.Errorf("request %d of 150 events in hundreds: %v", n, ok)
		}
	}
	close(stop)
	run.most = 0
	if _, _, ok := run.take(); ok {
		t.Error("it goes on when it was stopped")
	}
}

// Everything up to the last number was acknowledged, each event once, whatever was refused
// before.
func TestGeneratorSendsUntilAcknowledged(t *testing.T) {
	var mu sync.Mutex
	var requests atomic.Int64
	got := map[uint64]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1)%4 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if r.Header.Get("Authorization") != "Bearer key" {
			t.Errorf("the key is %q", r.Header.Get("Authorization"))
		}
		var body strings.Builder
		if _, err := io.Copy(&body, r.Body); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if err := scanIDs([]byte(body.String()), func(seq uint64, _ int64) { got[seq]++ }); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	g, err := newGenerator(server.URL, "key", 4)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	for round := range uint64(2) {
		s, err := g.run(t.Context(), load{connections: 4, perRequest: 5, duration: time.Hour, most: 100})
		if err != nil {
			t.Fatal(err)
		}
		if s.first != 100*round || s.events() != 100 || s.answers.N != 20 || s.refused == 0 {
			t.Errorf("sent %+v", s)
		}
	}
	for seq := range uint64(200) {
		if got[seq] != 1 {
			t.Errorf("event %d was acknowledged %d times", seq, got[seq])
		}
	}
}

func TestGeneratorStopsAtAnotherAnswer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "data.finding is required", http.StatusUnprocessableEntity)
	}))
	defer server.Close()
	g, err := newGenerator(server.URL, "", 2)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	if _, err := g.run(t.Context(), load{connections: 2, perRequest: 1, duration: time.Hour}); err == nil || !strings.Contains(err.Error(), "422: data.finding is required") {
		t.Errorf("got %v", err)
	}
}
