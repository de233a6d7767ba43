package storetest

import (
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// repeated submits events of few incidents with repeat_after, some of them muted. Each
// is accepted, whatever is decided.
func (w *walk) repeated(hook tocsin.Webhook) {
	var batch []tocsin.NewEvent
	for range 1 + w.r.IntN(6) {
		after := []time.Duration{0, time.Microsecond, time.Hour}[w.r.IntN(3)]
		e := repeat(w.next, Event(w.r.IntN(3)).DedupKey, []tocsin.Status{tocsin.Firing, tocsin.Resolved}[w.r.IntN(2)], after, hook.ID)
		if w.r.IntN(5) == 0 {
			e.Owed[0].Suppressed = tocsin.MutedBy("mute_1")
		}
		w.next++
		batch = append(batch, e)
	}
	w.same("new ones", len(MustAppend(w.t, w.s, batch...)), len(batch))
	w.accepted[hook.ID] += int64(len(batch))
}

// told notes an announcement, which moves nothing.
func (w *walk) told(hook tocsin.Webhook) {
	level := []int{0, 1, 50, 100}[w.r.IntN(4)]
	w.ok(w.s.Announce(w.ctx, w.begin(hook.ID).Fence, level))
	w.same("announced", w.activity(hook.ID).Announced, level)
}

// replayed takes a few steps of a replay of any kind. Between reading a page and the
// step, others go on; some steps are repeated, some replays cancelled or left.
func (w *walk) replayed(hook tocsin.Webhook) {
	kinds := []tocsin.ReplayWhat{tocsin.ReplayDead, tocsin.ReplayDelivered, tocsin.ReplayAborted, tocsin.ReplaySuppressed, tocsin.ReplayMissing, tocsin.ReplayAll}
	r := w.replay(hook, kinds[w.r.IntN(len(kinds))])
	for range 1 + w.r.IntN(3) {
		c, err := w.s.ReplayCandidates(w.ctx, r.ReplaySelection, r.Cursor, 1+w.r.IntN(4))
		w.ok(err)
		step := tocsin.ReplayStep{From: r.Cursor, To: c.Next, Done: c.Last}
		for _, d := range c.Deliveries {
			step.Send = append(step.Send, d.ID)
		}
		for _, e := range c.Events {
			if w.r.IntN(4) == 0 {
				step.Skipped++ // does not match
				continue
			}
			step.Owe = append(step.Owe, tocsin.Reowed{Seq: e.Seq})
		}
		[]func(tocsin.Webhook){w.send, w.freeze, w.drop, w.again}[w.r.IntN(4)](hook)
		after := w.step(r, step)
		w.same("candidates accounted for", after.Deliveries-r.Deliveries+after.Skipped-r.Skipped+w.owedBy(r, after), int64(len(c.Deliveries)+len(c.Events)))
		w.accepted[hook.ID] += w.owedBy(r, after)
		if w.r.IntN(3) == 0 && (after.Cursor != r.Cursor || after.State.Final()) {
			w.same("the same step again", w.step(r, step), after)
		}
		if r = after; r.State.Final() {
			return
		}
	}
	if w.r.IntN(2) == 0 {
		_, err := w.s.SetReplayState(w.ctx, r.ID, tocsin.ReplayCancelled, "enough")
		w.ok(err)
		w.same("a step after the end", w.step(r, tocsin.ReplayStep{From: r.Cursor, To: "x", Send: w.deliveries}).State, tocsin.ReplayCancelled)
	}
}

// owedBy is how many events a step owed again.
func (w *walk) owedBy(before, after tocsin.Replay) int64 {
	if before.What.OfDeliveries() {
		return 0
	}
	return after.Replayed - before.Replayed
}
