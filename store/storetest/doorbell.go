package storetest

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

var doorbellCases = []testCase{
	{"a new webhook is asleep until its first event", bornAsleep},
	{"Ring returns exactly those asleep", ringAsleep},
	{"whoever delivers is awake", beginAwake},
	{"Ring by many returns each once", ringOnce},
	{"Rest with pending work goes on", restPending},
	{"Rest with an open delivery goes on", restOpen},
	{"Rest of a webhook that holds stays awake", restHolding},
	{"an event that arrives while going idle is never lost", goingIdle},
	{"Ring hints those awake", ringHints},
}

func (k *kit) ring(webhookIDs ...string) []string {
	k.t.Helper()
	asleep, err := k.s.Ring(k.ctx, webhookIDs)
	k.ok(err)
	slices.Sort(asleep)
	return asleep
}

func (k *kit) rest(f tocsin.Fence) bool {
	k.t.Helper()
	owed, err := k.s.Rest(k.ctx, f)
	k.ok(err)
	return owed
}

func bornAsleep(k *kit) {
	w := MustCreate(k.t, k.s, "a")
	k.owe(1, 1, w.ID)
	k.same("asleep", k.ring(w.ID), []string{w.ID})
	k.same("asleep after Ring", k.ring(w.ID), []string(nil))
}

// beginAwake: a Deliver may begin although nobody rang, because a signal came while the one
// before it went idle. Each event that came during it would be one more signal, which cuts
// it, and makes for one more such Deliver.
func beginAwake(k *kit) {
	w := MustCreate(k.t, k.s, "a")
	f := k.begin(w.ID).Fence
	k.same("asleep during Deliver", k.ring(w.ID), []string(nil))
	k.same("owed", k.rest(f), false)
	k.same("asleep after it", k.ring(w.ID), []string{w.ID})

	held := MustCreate(k.t, k.s, "held")
	_, err := k.s.SetState(k.ctx, held.ID, tocsin.StatePaused, "")
	k.ok(err)
	k.begin(held.ID)
	k.same("asleep while paused", k.ring(held.ID), []string{held.ID})
}

func ringAsleep(k *kit) {
	var all []string
	for _, name := range []string{"a", "b", "c", "d"} {
		all = append(all, k.webhook(name).ID)
	}
	slices.Sort(all)
	for _, id := range all[1:3] {
		k.same("owed", k.rest(k.begin(id).Fence), false)
	}
	k.same("asleep", k.ring(all[3], all[2], all[1], "wh_unknown", all[0], all[1]), all[1:3])
	k.same("asleep after Ring", k.ring(all...), []string(nil))
	k.same("asleep of none", k.ring(), []string(nil))
}

// ringOnce has many callers ring the same webhooks, in different orders.
func ringOnce(k *kit) {
	var all []string
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		w := k.webhook(name)
		all = append(all, w.ID)
		k.rest(k.begin(w.ID).Fence)
	}
	var mu sync.Mutex
	var got []string
	var wg sync.WaitGroup
	for c := range 6 {
		wg.Go(func() {
			order := shuffled(rand.New(rand.NewPCG(1, uint64(c))), all)
			asleep, err := k.s.Ring(k.ctx, order)
			if err != nil {
				k.t.Errorf("ringing: %v", err)
			}
			mu.Lock()
			got = append(got, asleep...)
			mu.Unlock()
		})
	}
	wg.Wait()
	slices.Sort(got)
	slices.Sort(all)
	k.same("asleep, of all callers", got, all)
}

func restPending(k *kit) {
	w := k.webhook("a")
	k.owe(1, 1, w.ID)
	k.same("owed", k.rest(k.begin(w.ID).Fence), true)
	k.same("asleep", k.ring(w.ID), []string(nil))
}

func restOpen(k *kit) {
	w := k.webhook("a")
	f := k.begin(w.ID).Fence
	k.owe(1, 1, w.ID)
	id := k.plan(f, 1)[0]
	k.same("owed while ready", k.rest(f), true)
	c := k.claim(f, id)
	k.same("owed while sending", k.rest(f), true)
	k.record(f, c, tocsin.DeliveryDelivered, nil)
	k.same("owed when delivered", k.rest(f), false)
	k.same("asleep", k.ring(w.ID), []string{w.ID})
	_, err := k.s.Redeliver(k.ctx, id)
	k.ok(err)
	k.same("owed when to be delivered again", k.rest(f), true)
}

func restHolding(k *kit) {
	for i, state := range []tocsin.State{tocsin.StatePaused, tocsin.StateDisabled, tocsin.StateDeleted} {
		w := k.webhook(string(state))
		k.owe(i, 1, w.ID)
		_, err := k.s.SetState(k.ctx, w.ID, state, "")
		k.ok(err)
		k.same("owed while "+string(state), k.rest(k.begin(w.ID).Fence), false)
		k.same("asleep while "+string(state), k.ring(w.ID), []string(nil))
	}
}

// goingIdle races Append and Ring against Rest. After each round exactly one of them
// must have taken on the webhook: none would lose the event, two would be chatty.
func goingIdle(k *kit) {
	const webhooks, ringers = 8, 2
	rounds := 250
	if testing.Short() {
		rounds = 25
	}
	var fences []tocsin.Fence
	var all []string
	for i := range webhooks {
		w := k.webhook(string(rune('a' + i)))
		fences, all = append(fences, k.begin(w.ID).Fence), append(all, w.ID)
	}
	revision, _, err := k.s.ListWebhooks(k.ctx)
	k.ok(err)
	for round := range rounds {
		takers := k.idleRound(revision, round, ringers, fences, all)
		for _, f := range fences {
			if n := takers[f.WebhookID]; n != 1 {
				k.t.Fatalf("round %d: %d took on %s, want 1", round, n, f.WebhookID)
			}
			for settled := 1; settled > 0; {
				settled, err = k.s.Discard(k.ctx, f, time.Time{}, "discarded", 100)
				k.ok(err)
			}
		}
	}
}

// idleRound returns how many took on each webhook.
func (k *kit) idleRound(revision int64, round, ringers int, fences []tocsin.Fence, all []string) map[string]int {
	var mu sync.Mutex
	takers := map[string]int{}
	var wg sync.WaitGroup
	taken := func(ids []string, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			k.t.Errorf("round %d: %v", round, err)
		}
		for _, id := range ids {
			takers[id]++
		}
	}
	for i := range ringers {
		wg.Go(func() {
			_, err := k.s.Append(k.ctx, revision, []tocsin.NewEvent{Owe(Event(round*ringers+i), all...)})
			taken(nil, err)
			taken(k.s.Ring(k.ctx, all))
		})
	}
	for i, f := range fences {
		wg.Go(func() {
			for range rand.N(50 * (i + 1)) { // spread the moments of going idle
				runtime.Gosched()
			}
			owed, err := k.s.Rest(k.ctx, f)
			if owed {
				taken([]string{f.WebhookID}, err)
			} else {
				taken(nil, err)
			}
		})
	}
	wg.Wait()
	return takers
}

func ringHints(k *kit) {
	w := k.webhook("a")
	hint, stop := k.s.Hints(w.ID)
	second, stopSecond := k.s.Hints(w.ID)
	defer stopSecond()
	// A hint may be lost, so ring until one comes.
	for _, c := range []<-chan struct{}{hint, second} {
		k.eventually("a hint came", func() bool {
			k.ring(w.ID)
			select {
			case <-c:
				return true
			case <-time.After(10 * time.Millisecond):
				return false
			}
		})
	}
	stop()
	stop() // once more does no harm
	k.ring(w.ID)
}
