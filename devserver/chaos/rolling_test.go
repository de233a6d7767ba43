package chaos_test

import (
	"testing"

	"github.com/tocsin-alerts/tocsin/devserver/devtest"
)

// rolledVersion is the name of the version that is rolled out.
const rolledVersion = "rolled-out"

// A new version takes the place of the old one under constant load, one process after
// the other, as docs/operations.md says: workers first, then serves. Nobody who goes to
// the other serve when one is gone is refused; nothing is lost, owed twice, or overtaken;
// and what is delivered afterwards comes from the new version.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	p := newProduction(t)
	next := devtest.Versioned(t, rolledVersion)
	u := newUnder(t, specs(), crowd, p.apis()...)
	u.load.resume()
	u.ackMore(200)
	for _, worker := range p.workers {
		u.roll(worker, next.Worker)
	}
	for _, serve := range p.serves {
		u.roll(serve, next.Tocsin)
	}
	before, _ := watch(u.tally, u.tally.byAgent)
	u.ackMore(200)
	u.load.pause(t)
	u.drain()
	u.recount = p.recount
	u.check()
	if u.tally.refused > 0 {
		t.Errorf("%d requests were answered 503", u.tally.refused)
	}
	u.checkAgents(before)
	acked, _, sameID, _, _ := u.tally.counts()
	t.Logf("%d events acknowledged while four processes were replaced; delivered again under the same webhook-id: %d; requests repeated: %d, answered 503: 0",
		acked, sameID, u.tally.retried)
}

// roll puts another program in a process's place. Events come in and go out while it is
// away and when it is back.
func (u *under) roll(p *process, path string) {
	u.t.Helper()
	u.ackMore(50)
	p.Stop()
	u.ackMore(100)
	p.path = path
	p.start()
	u.ackMore(50)
}

// byAgent counts what was accepted from each version of the program.
func (t *tally) byAgent() map[string]int {
	all := map[string]int{}
	for _, a := range t.webhooks {
		for agent, n := range a.agents {
			all[agent] += n
		}
	}
	return all
}

// checkAgents checks that both versions have delivered, and that after the roll, when
// these were the counts, only the new one has.
func (u *under) checkAgents(rolled map[string]int) {
	u.t.Helper()
	now, _ := watch(u.tally, u.tally.byAgent)
	if len(now) != 2 {
		u.t.Errorf("deliveries came from %v, want two versions", now)
	}
	for agent, n := range now {
		if isNew := agent == "tocsin/"+rolledVersion; isNew == (n == rolled[agent]) {
			u.t.Errorf("after the roll %d deliveries came from %s", n-rolled[agent], agent)
		}
	}
}
