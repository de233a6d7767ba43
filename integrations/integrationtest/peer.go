package integrationtest

import (
	"context"
	"testing"
	"time"
)

// Behaviour is how a Peer treats whoever connects.
type Behaviour string

// The behaviours.
const (
	// Accepts takes everything.
	Accepts Behaviour = "accepts"
	// Hangs takes connections and never says a word.
	Hangs Behaviour = "hangs"
	// Drops closes each connection at once.
	Drops Behaviour = "drops"
)

// Peer is a receiver that does not speak HTTP. It ends with the test.
type Peer struct {
	// Addr is host:port on loopback.
	Addr string
	// Received returns what arrived, in order; Body is what people would read.
	Received func() []Received
	// Want is what a send to it comes to, Class the class of its error; of no meaning for one that
	// Accepts.
	Want  Outcome
	Class string
}

// testBehaviours sends to peers that misbehave: each send ends in time, classified, and shows
// no secret.
func testBehaviours(t *testing.T, s Spec) {
	for _, b := range []Behaviour{Hangs, Drops} {
		peer := s.Peer(t, b)
		receipt, err := s.open(t, client(t, 200*time.Millisecond), peer.Addr).Send(bg(t), one(t))
		if got := outcome(err); got != peer.Want || classOf(err) != peer.Class {
			t.Errorf("a peer that %s: got %+v of class %q, want %+v of class %q (%v)", b, got, classOf(err), peer.Want, peer.Class, err)
		}
		noSecret(t, s, "a send to a peer that "+string(b), everything(t, receipt, err))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	peer := s.Peer(t, Accepts)
	if _, err := s.open(t, client(t, 0), peer.Addr).Send(ctx, one(t)); outcome(err).Fault != "retry" {
		t.Errorf("with a context that is over: got %v, want something to retry", err)
	}
}
