package storetest

import (
	"slices"
	"sync"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

var replayCases = []testCase{
	{"what is created comes back", createReplay},
	{"ListReplays, newest first, page by page", replayPages},
	{"states, the last three final", replayStates},
	{"deliveries are sent again under their ids", replaySends},
	{"of delivered and split deliveries the dead events", replaySendsDeadEvents},
	{"events are owed under their next generation", replayOwes},
	{"what is never owed again", replaySkips},
	{"for missing ones any obligation counts", replayMissingSkips},
	{"a step is made once", replayOnce},
	{"the total is never less than what was replayed", replayTotal},
	{"nothing while it does not run", replayStill},
	{"of a paused webhook and a deleted one", replayDeleted},
	{"concurrent steps, plans and discards", replayRace},
}

// replay creates one of everything up to now.
func (k *kit) replay(w tocsin.Webhook, what tocsin.ReplayWhat) tocsin.Replay {
	k.t.Helper()
	r, err := k.s.CreateReplay(k.ctx, tocsin.Replay{
		ID: tocsin.NewID(tocsin.PrefixReplay), ReplaySelection: tocsin.ReplaySelection{WebhookID: w.ID, What: what}, Total: -1, Author: "somebody",
	})
	k.ok(err)
	return r
}

func (k *kit) step(r tocsin.Replay, step tocsin.ReplayStep) tocsin.Replay {
	k.t.Helper()
	r, err := k.s.ReplayStep(k.ctx, r.ID, step)
	k.ok(err)
	stored, err := k.s.Replay(k.ctx, r.ID)
	k.ok(err)
	k.same("stored", stored, r)
	return r
}

// counts are what a replay did so far.
func counts(r tocsin.Replay) [3]int64 { return [3]int64{r.Replayed, r.Deliveries, r.Skipped} }

// seqs returns the store's numbers of events.
func (k *kit) reowed(from, n int) (out []tocsin.Reowed) {
	k.t.Helper()
	for i := range n {
		e, err := k.s.Event(k.ctx, "storetest", Event(from+i).ID)
		k.ok(err)
		out = append(out, tocsin.Reowed{Seq: e.Seq, BatchKey: "channel"})
	}
	return out
}

func createReplay(k *kit) {
	now := k.begin(k.webhook("a").ID).Now
	want := tocsin.Replay{
		ID: tocsin.NewID(tocsin.PrefixReplay),
		ReplaySelection: tocsin.ReplaySelection{WebhookID: "wh_1", What: tocsin.ReplayMissing, Types: []string{"custom.a", "custom.b"},
			Since: Epoch, Until: Epoch.Add(time.Hour)},
		MaxRate: 2.5, Total: 17, Author: "key admin",
	}
	r := want
	r.State, r.Reason, r.Replayed, r.Cursor = tocsin.ReplayDone, "x", 3, "y" // are not for the caller to say
	got, err := k.s.CreateReplay(k.ctx, r)
	k.ok(err)
	if got.CreatedAt.Before(now) || !got.UpdatedAt.Equal(got.CreatedAt) {
		k.t.Fatalf("created at %v, updated at %v, want both now", got.CreatedAt, got.UpdatedAt)
	}
	want.State, want.CreatedAt, want.UpdatedAt = tocsin.ReplayRunning, got.CreatedAt, got.UpdatedAt
	k.same("created", got, want)
	stored, err := k.s.Replay(k.ctx, want.ID)
	k.ok(err)
	k.same("stored", stored, want)
	again, err := k.s.CreateReplay(k.ctx, r)
	k.ok(err)
	k.same("created again", again, want)
	for _, until := range []time.Time{{}, time.Now().Add(time.Hour)} {
		r.ID, r.Since, r.Until, r.Types = "", time.Time{}, until, nil
		got, err = k.s.CreateReplay(k.ctx, r)
		k.ok(err)
		if got.ID == "" || !got.Since.IsZero() || !got.Until.Equal(got.CreatedAt) || got.Types == nil {
			k.t.Fatalf("a replay until %v: %+v, want an id, no beginning, and now as its end", until, got)
		}
	}
	_, err = k.s.Replay(k.ctx, "replay_none")
	k.is(err, tocsin.ErrNotFound)
}

func replayPages(k *kit) {
	w := k.webhook("a")
	var want []tocsin.Replay
	for range 7 {
		want = append(want, k.replay(w, tocsin.ReplayAll))
	}
	slices.Reverse(want)
	for _, limit := range []int{1, 3, 6, 7, 8, 1000} {
		var got []tocsin.Replay
		for p := (tocsin.Page{Limit: limit}); ; {
			page, next, err := k.s.ListReplays(k.ctx, p)
			k.ok(err)
			got = append(got, page...)
			if p.Cursor = next; next == "" {
				break
			}
			k.same("length of a page", len(page), limit)
		}
		k.same("replays", got, want)
	}
	_, _, err := k.s.ListReplays(k.ctx, tocsin.Page{Limit: 1, Cursor: "no cursor"})
	k.code(err, tocsin.CodeInvalid)
}

func replayStates(k *kit) {
	w := k.webhook("a")
	all := []tocsin.ReplayState{tocsin.ReplayRunning, tocsin.ReplayPaused, tocsin.ReplayDone, tocsin.ReplayCancelled, tocsin.ReplayFailed}
	for _, from := range all {
		r := k.replay(w, tocsin.ReplayAll)
		r, err := k.s.SetReplayState(k.ctx, r.ID, from, "because")
		k.ok(err)
		if from != tocsin.ReplayRunning {
			k.same("state and reason", []any{r.State, r.Reason, r.FinishedAt != nil}, []any{from, "because", from.Final()})
		}
		same, err := k.s.SetReplayState(k.ctx, r.ID, from, "another")
		k.ok(err)
		k.same("to the state it is in", same, r)
		if !from.Final() {
			continue
		}
		for _, to := range all {
			if to != from {
				_, err := k.s.SetReplayState(k.ctx, r.ID, to, "")
				k.code(err, tocsin.CodeConflict)
			}
		}
		stored, err := k.s.Replay(k.ctx, r.ID)
		k.ok(err)
		k.same("after all that", stored, r)
	}
	r := k.replay(w, tocsin.ReplayAll)
	for _, to := range []tocsin.ReplayState{tocsin.ReplayPaused, tocsin.ReplayRunning, tocsin.ReplayPaused, tocsin.ReplayCancelled} {
		got, err := k.s.SetReplayState(k.ctx, r.ID, to, "")
		k.ok(err)
		k.same("state", got.State, to)
	}
	_, err := k.s.SetReplayState(k.ctx, "replay_none", tocsin.ReplayPaused, "")
	k.is(err, tocsin.ErrNotFound)
}

func replaySends(k *kit) {
	for i, c := range []struct {
		what tocsin.ReplayWhat
		end  tocsin.DeliveryState
		want tocsin.Balance
	}{
		{tocsin.ReplayDead, dead, tocsin.Balance{Accepted: 6, InFlight: 4, Dead: 2}},
		{tocsin.ReplayDelivered, delivered, tocsin.Balance{Accepted: 6, Delivered: 6}},
		{tocsin.ReplayAborted, cancelled, tocsin.Balance{Accepted: 6, InFlight: 4, Suppressed: 2}},
	} {
		w, d := k.settled(string(c.what), 100*i, c.end, c.end, c.end)
		r := k.step(k.replay(w, c.what), tocsin.ReplayStep{To: "1", Send: d[:2], Skipped: 3})
		k.same("counts", counts(r), [3]int64{4, 2, 3})
		k.same("cursor and state", []any{r.Cursor, r.State}, []any{"1", tocsin.ReplayRunning})
		k.balance(w, c.want)
		f := k.begin(w.ID).Fence
		open, _ := k.work(f)
		k.same("open", openIDs(open), d[:2])
		r = k.step(r, tocsin.ReplayStep{From: "1", To: "2", Send: d[2:], Done: true})
		k.same("counts", counts(r), [3]int64{6, 3, 3})
		k.same("state", []any{r.State, r.FinishedAt != nil}, []any{tocsin.ReplayDone, true})
		for _, id := range d {
			k.record(f, k.claim(f, id), delivered, nil)
		}
		k.balance(w, tocsin.Balance{Accepted: 6, Delivered: 6})
	}
}

// replaySendsDeadEvents: after it nothing is dead any more.
func replaySendsDeadEvents(k *kit) {
	w, d := k.settled("a", 0, dead, ready, ready, ready, delivered)
	f := k.begin(w.ID).Fence
	bad := map[int]string{1: "bad"}
	k.record(f, k.claim(f, d[1]), delivered, func(o *tocsin.Outcome) { o.Dead = bad })
	k.record(f, k.claim(f, d[2]), tocsin.DeliverySplit, func(o *tocsin.Outcome) { o.Dead, o.Children = bad, halves([]int{0}) })
	k.record(f, k.claim(f, d[3]), tocsin.DeliverySplit, func(o *tocsin.Outcome) { o.Children = halves([]int{0}, []int{1}) })
	k.balance(w, tocsin.Balance{Accepted: 10, Delivered: 3, InFlight: 3, Dead: 4})
	r := k.step(k.replay(w, tocsin.ReplayDead), tocsin.ReplayStep{To: "1", Send: d})
	k.same("counts", counts(r), [3]int64{4, 3, 2})
	k.balance(w, tocsin.Balance{Accepted: 10, Delivered: 3, InFlight: 7})
	r = k.step(r, tocsin.ReplayStep{From: "1", To: "2", Send: d[1:3]})
	k.same("counts, of what is open", counts(r), [3]int64{4, 3, 4})
	open, _ := k.work(f)
	for _, o := range open {
		k.record(f, k.claim(f, o.ID), delivered, nil)
	}
	k.balance(w, tocsin.Balance{Accepted: 10, Delivered: 10})
}

func replayOwes(k *kit) {
	w := k.story()
	k.balance(w, tocsin.Balance{Accepted: 10, Pending: 2, InFlight: 2, Delivered: 2, Dead: 2, Suppressed: 2})
	before := k.begin(w.ID)
	r := k.step(k.replay(w, tocsin.ReplayMissing), tocsin.ReplayStep{Owe: k.reowed(10, 2), Done: true})
	k.same("counts", counts(r), [3]int64{2, 0, 0})
	k.step(k.replay(w, tocsin.ReplaySuppressed), tocsin.ReplayStep{Owe: k.reowed(8, 2), Done: true})
	k.step(k.replay(w, tocsin.ReplayAll), tocsin.ReplayStep{Owe: k.reowed(4, 4), Done: true})
	k.balance(w, tocsin.Balance{Accepted: 18, Pending: 10, InFlight: 2, Delivered: 2, Dead: 2, Suppressed: 2})
	_, pending := k.work(k.begin(w.ID).Fence)
	generations := map[string]int64{}
	for _, p := range pending {
		for n := range 12 {
			if e := k.reowed(n, 1)[0]; e.Seq == p.Seq {
				generations[Event(n).ID] = p.Generation
				if n < 2 {
					continue // as it was
				}
				k.same("dedup key, batch key, bytes", []any{p.DedupKey, p.BatchKey, p.Bytes}, []any{Event(n).DedupKey, "channel", len(Event(n).Raw)})
				if p.OwedAt.Before(before.Now) {
					k.t.Fatalf("owed at %v, want now", p.OwedAt)
				}
			}
		}
	}
	want := map[string]int64{}
	for n, generation := range map[int]int64{0: 0, 1: 0, 4: 1, 5: 1, 6: 1, 7: 1, 8: 1, 9: 1, 10: 0, 11: 0} {
		want[Event(n).ID] = generation
	}
	k.same("generations", generations, want)
	// Once more, after those went out.
	f := k.begin(w.ID).Fence
	claimed := map[string]int64{}
	for _, id := range k.plan(f, len(pending)) {
		c := k.claim(f, id)
		for i, e := range c.Events {
			claimed[e.ID] = c.Generations[i]
		}
		k.record(f, c, delivered, nil)
	}
	k.same("generations claimed", claimed, want)
	k.step(k.replay(w, tocsin.ReplayAll), tocsin.ReplayStep{Owe: k.reowed(4, 1), Done: true})
	traces, err := k.s.Traces(k.ctx, k.reowed(4, 1)[0].Seq)
	k.ok(err)
	var got []any
	for _, tr := range traces {
		got = append(got, tr.Generation, tr.Bucket)
	}
	k.same("traces", got, []any{int64(0), "delivered", int64(1), "delivered", int64(2), "pending"})
}

func replaySkips(k *kit) {
	a, d := k.settled("a", 0, dead, delivered, cancelled, ready)
	_, theirs := k.settled("b", 100, dead)
	f := k.begin(a.ID).Fence
	children := halves([]int{0}, []int{1})
	k.record(f, k.claim(f, d[3]), tocsin.DeliverySplit, func(o *tocsin.Outcome) { o.Children = children })
	before := CheckLedger(k.t, k.s)
	r := k.step(k.replay(a, tocsin.ReplayDead), tocsin.ReplayStep{
		To: "1", Send: []string{d[1], d[2], d[3], children[0].ID, theirs[0], "dlv_none"},
	})
	k.same("counts, of what is not dead or not this webhook's", counts(r), [3]int64{0, 0, 6})
	k.same("ledger", CheckLedger(k.t, k.s), before)
	r = k.step(r, tocsin.ReplayStep{From: "1", To: "2", Send: []string{d[0], d[0]}})
	k.same("counts, of one named twice", counts(r), [3]int64{2, 1, 7})

	k.owe(50, 1, a.ID)
	e := k.reowed(2, 1)[0]
	owe := append(k.reowed(50, 1), k.reowed(6, 1)...)                 // pending, in flight
	owe = append(owe, k.reowed(0, 1)[0], tocsin.Reowed{Seq: 1 << 40}) // sent again just now, gone
	owe = append(owe, e, e)
	r = k.step(k.replay(a, tocsin.ReplayAll), tocsin.ReplayStep{To: "1", Owe: owe})
	k.same("counts of events", counts(r), [3]int64{1, 0, 5})
	k.balance(a, tocsin.Balance{Accepted: 10, Pending: 2, InFlight: 4, Delivered: 2, Suppressed: 2})
}

func replayMissingSkips(k *kit) {
	w := k.story()
	var owe []tocsin.Reowed
	for n := range 12 {
		owe = append(owe, k.reowed(n, 1)...)
	}
	r := k.step(k.replay(w, tocsin.ReplayMissing), tocsin.ReplayStep{To: "1", Owe: owe})
	k.same("counts", counts(r), [3]int64{2, 0, 10})
	k.balance(w, tocsin.Balance{Accepted: 12, Pending: 4, InFlight: 2, Delivered: 2, Dead: 2, Suppressed: 2})
}

func replayOnce(k *kit) {
	w, d := k.settled("a", 0, dead, dead)
	r := k.replay(w, tocsin.ReplayDead)
	first := tocsin.ReplayStep{To: "1", Send: d[:1]}
	r = k.step(r, first)
	f := k.begin(w.ID).Fence
	k.record(f, k.claim(f, d[0]), dead, nil) // it could be sent again
	for _, again := range []tocsin.ReplayStep{first, {From: "other", To: "2", Send: d}} {
		k.same("a step from elsewhere", k.step(r, again), r)
	}
	k.balance(w, tocsin.Balance{Accepted: 4, Dead: 4})
	_, err := k.s.ReplayStep(k.ctx, "replay_none", first)
	k.is(err, tocsin.ErrNotFound)

	// Many make the same step at once.
	k.owe(50, 3)
	events := k.replay(w, tocsin.ReplayMissing)
	step := tocsin.ReplayStep{To: "1", Owe: k.reowed(50, 3)}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			got, err := k.s.ReplayStep(k.ctx, events.ID, step)
			if err != nil || counts(got) != [3]int64{3, 0, 0} {
				k.t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	wg.Wait()
	k.balance(w, tocsin.Balance{Accepted: 7, Pending: 3, Dead: 4})
}

func replayStill(k *kit) {
	w, d := k.settled("a", 0, dead)
	for _, state := range []tocsin.ReplayState{tocsin.ReplayPaused, tocsin.ReplayCancelled, tocsin.ReplayDone} {
		r, err := k.s.SetReplayState(k.ctx, k.replay(w, tocsin.ReplayDead).ID, state, "")
		k.ok(err)
		k.same("a step", k.step(r, tocsin.ReplayStep{To: "1", Send: d}), r)
	}
	k.balance(w, tocsin.Balance{Accepted: 2, Dead: 2})
}

func replayDeleted(k *kit) {
	w, d := k.settled("a", 0, dead, dead)
	_, err := k.s.SetState(k.ctx, w.ID, tocsin.StatePaused, "")
	k.ok(err)
	r := k.step(k.replay(w, tocsin.ReplayDead), tocsin.ReplayStep{To: "1", Send: d[:1]})
	k.same("counts of a paused webhook", counts(r), [3]int64{2, 1, 0})
	_, err = k.s.SetState(k.ctx, w.ID, tocsin.StateDeleted, "")
	k.ok(err)
	want := tocsin.Balance{Accepted: 4, InFlight: 2, Dead: 2}
	for _, r := range []tocsin.Replay{r, k.replay(tocsin.Webhook{ID: "wh_none"}, tocsin.ReplayAll)} {
		got := k.step(r, tocsin.ReplayStep{From: r.Cursor, To: "2", Send: d[1:], Owe: k.reowed(2, 2), Done: true})
		k.same("state", []any{got.State, got.Reason, got.FinishedAt != nil}, []any{tocsin.ReplayFailed, tocsin.ReasonDeleted, true})
		k.same("counts", counts(got), counts(r))
	}
	k.balance(w, want)
}

// replayRace has several replays owe the same events while they are planned and
// discarded.
func replayRace(k *kit) {
	const events, rounds = 10, 6
	w := k.webhook("a")
	k.owe(0, events)
	owe := k.reowed(0, events)
	var replays []tocsin.Replay
	for range 3 * rounds {
		replays = append(replays, k.replay(w, tocsin.ReplayAll))
	}
	f := k.begin(w.ID).Fence
	var wg sync.WaitGroup
	var mu sync.Mutex
	var accepted int64
	for i := range 3 {
		wg.Go(func() {
			for _, r := range replays[i*rounds : (i+1)*rounds] {
				got, err := k.s.ReplayStep(k.ctx, r.ID, tocsin.ReplayStep{Owe: owe, Done: true})
				if err != nil || got.Replayed+got.Skipped != events {
					k.t.Errorf("got %+v, %v", got, err)
				}
				mu.Lock()
				accepted += got.Replayed
				mu.Unlock()
			}
		})
	}
	wg.Go(func() {
		for range 4 * rounds {
			if _, err := k.s.Discard(k.ctx, f, time.Time{}, tocsin.ReasonDiscarded, 4); err != nil {
				k.t.Errorf("discarding: %v", err)
			}
		}
	})
	wg.Wait()
	k.same("accepted", CheckLedger(k.t, k.s)[w.ID].Accepted, accepted)
	if accepted < events {
		k.t.Fatalf("%d owed, want %d at least", accepted, events)
	}
}

// replayTotal: what was still owed when a replay was counted, and is not any more when it
// comes there, is replayed as well.
func replayTotal(k *kit) {
	k.owe(0, 6)
	all := k.reowed(0, 6)
	for name, total := range map[string][3]int64{ // as counted, after 3 events, after 6
		"too few": {1, 3, 6}, "enough at first": {4, 4, 6}, "more than there are": {7, 7, 7}, "not counted": {-1, -1, -1},
	} {
		w := k.webhook(name)
		r, err := k.s.CreateReplay(k.ctx, tocsin.Replay{ReplaySelection: tocsin.ReplaySelection{WebhookID: w.ID, What: tocsin.ReplayAll}, Total: total[0]})
		k.ok(err)
		once := k.step(r, tocsin.ReplayStep{To: "3", Owe: all[:3]})
		then := k.step(r, tocsin.ReplayStep{From: "3", To: "6", Owe: all[3:], Done: true})
		k.same(name, [3]int64{r.Total, once.Total, then.Total}, total)
	}
}
