package chaos_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/devserver/devtest"
)

// under is a system that is being hurt.
type under struct {
	t        *testing.T
	specs    []webhookSpec
	webhooks []tocsin.Webhook
	tally    *tally
	load     *load
	api      devtest.Client
	// kill ends something as kill -9 does, and returns what starts it again.
	kill func() (restart func())
	// recount compares the ledger's counters with its rows.
	recount func() error
}

// newUnder configures webhooks, and starts the load, paused.
func newUnder(t *testing.T, list []webhookSpec, producers int, apis ...devtest.Client) *under {
	t.Helper()
	u := &under{t: t, specs: list, tally: newTally(list), api: apis[0]}
	url := startReceiver(t, list, u.tally)
	for _, s := range list {
		u.webhooks = append(u.webhooks, u.api.MustCreate(s.configuration(url+"/"+s.name)))
	}
	u.load = startLoad(t, u.tally, producers, apis...)
	return u
}

// killSome kills one of these processes, or all.
func killSome(all []*process) (restart func()) {
	if n := rand.IntN(len(all) + 1); n < len(all) {
		all = all[n : n+1]
	}
	for _, p := range all {
		p.Kill9()
	}
	return func() {
		for _, p := range all {
			p.launch()
		}
		for _, p := range all {
			p.await()
		}
	}
}

// rounds runs rounds until so many counted.
func (u *under) rounds(want int) result {
	u.t.Helper()
	begin := time.Now()
	var r result
	for tries := 0; len(r.undelivered) < want; tries++ {
		switch {
		case tries == 3*want:
			u.t.Fatalf("only %d of %d rounds had anything undelivered at the kill", len(r.undelivered), tries)
		case time.Since(began) > *budget:
			u.t.Fatalf("the time is up after %d of %d rounds", len(r.undelivered), want)
		}
		begin := time.Now()
		n := u.round()
		u.check()
		if n > 0 {
			r.undelivered = append(r.undelivered, n)
		} else {
			r.uncounted++
		}
		u.t.Logf("round %d: %d acknowledged events were undelivered at the kill; all arrived and the ledger was exact %.1f s after the round began", tries+1, n, time.Since(begin).Seconds())
	}
	r.took = time.Since(begin)
	r.acked, r.lost, r.sameID, r.otherID, r.overtaken = u.tally.counts()
	r.retried, r.resubmitted = u.tally.retried, u.tally.resubmitted
	return r
}

// round kills at a random moment under load, starts again, goes on for a while, and
// waits until everything has arrived. It returns how many acknowledged events were
// undelivered at the kill.
func (u *under) round() (undelivered int) {
	u.t.Helper()
	u.load.resume()
	u.ackMore(1)
	// The one wait for time's own sake: the moment is to be random.
	<-time.After(time.Duration(rand.Int64N(int64(2500 * time.Millisecond))))
	acked := u.tally.ackedEvents()
	restart := u.kill()
	undelivered = u.tally.undelivered(acked)
	restart()
	u.ackMore(200)
	u.load.pause(u.t)
	u.drain()
	return undelivered
}

// ackMore waits until n more events are acknowledged.
func (u *under) ackMore(n int) {
	u.t.Helper()
	count := func() int { return len(u.tally.acked) }
	before, _ := watch(u.tally, count)
	devtest.Until(u.t, fmt.Sprintf("%d more events to be acknowledged", n), func() error {
		if now, _ := watch(u.tally, count); now < before+n {
			return fmt.Errorf("%d were", now-before)
		}
		return nil
	})
}

// drain waits until every acknowledged event has arrived wherever it must, and the
// ledger says so too.
func (u *under) drain() {
	u.t.Helper()
	for _, s := range u.specs {
		if s.periodic {
			u.api.Must(http.MethodPost, "/v1/webhooks/"+s.name+"/run", nil, nil)
		}
	}
	devtest.Until(u.t, "every acknowledged event to be delivered", func() error {
		if missing := u.tally.missing(); missing != "" {
			return errors.New(missing + " are missing")
		}
		return nil
	})
	devtest.Until(u.t, "the ledger to settle", u.settled)
}

func (u *under) settled() error {
	balances, err := u.api.Balances()
	if err != nil {
		return err
	}
	for name, b := range balances {
		if b.Pending+b.InFlight > 0 {
			return fmt.Errorf("%s has %+v", name, b)
		}
	}
	return nil
}

// check compares the settled ledger with what the test knows, and with its rows.
func (u *under) check() {
	u.t.Helper()
	for _, wrong := range u.tally.complaints() {
		u.t.Error(wrong)
	}
	balances, err := u.api.Balances()
	if err != nil {
		u.t.Fatal(err)
	}
	acked, bad := int64(len(u.tally.ackedEvents())), u.tally.bad()
	for _, s := range u.specs {
		dead := int64(0)
		if s.picky {
			dead = bad
		}
		b := balances[s.name]
		if b.Accepted != acked || b.Dead != dead || b.Delivered != acked-dead || b.Difference() != 0 {
			u.t.Errorf("the ledger of %s says %+v; %d were acknowledged, of which %d are dead", s.name, b, acked, dead)
		}
	}
	if err := u.recount(); err != nil {
		u.t.Errorf("counting again: %v", err)
	}
	if u.t.Failed() {
		u.t.FailNow()
	}
}
