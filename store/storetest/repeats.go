package storetest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

var repeatCases = []testCase{
	{"the same status again is suppressed", repeatSuppressed},
	{"in the order of the batch", repeatInBatch},
	{"the time counts from the last that was owed", repeatTime},
	{"duplicates, the muted and those without it do not count", repeatNotCounted},
	{"what was not committed does not count", repeatRolledBack},
	{"concurrent calls agree, and none deadlocks", repeatRace},
}

// repeat is the n-th event of an incident, owed to webhooks with repeat_after.
func repeat(n int, key string, status tocsin.Status, after time.Duration, webhookIDs ...string) tocsin.NewEvent {
	e := Event(n)
	e.DedupKey, e.Status = key, status
	owed := Owe(e, webhookIDs...)
	for i := range owed.Owed {
		owed.Owed[i].RepeatAfter = after
	}
	return owed
}

// verdicts returns what became of the events for one webhook: "pending" or the reason
// it was suppressed.
func (k *kit) verdicts(w tocsin.Webhook, from, n int) (out []string) {
	k.t.Helper()
	for i := range n {
		e, err := k.s.Event(k.ctx, "storetest", Event(from+i).ID)
		k.ok(err)
		traces, err := k.s.Traces(k.ctx, e.Seq)
		k.ok(err)
		for _, tr := range traces {
			if tr.WebhookID != w.ID {
				continue
			}
			if tr.Bucket == "suppressed" {
				tr.Bucket = tr.Reason
			}
			out = append(out, tr.Bucket)
		}
	}
	return out
}

func repeatSuppressed(k *kit) {
	a, b := k.webhook("a"), k.webhook("b")
	for n, status := range []tocsin.Status{tocsin.Firing, tocsin.Firing, tocsin.Resolved, tocsin.Resolved, tocsin.Firing} {
		MustAppend(k.t, k.s, repeat(n, "x", status, time.Hour, a.ID))
	}
	MustAppend(k.t, k.s, repeat(5, "other", tocsin.Firing, time.Hour, a.ID), repeat(6, "x", tocsin.Firing, time.Hour, a.ID, b.ID))
	k.same("a", k.verdicts(a, 0, 7), []string{"pending", "repeat", "pending", "repeat", "pending", "pending", "repeat"})
	k.same("b", k.verdicts(b, 0, 7), []string{"pending"})
	k.balance(a, tocsin.Balance{Accepted: 7, Pending: 4, Suppressed: 3})
	k.balance(b, tocsin.Balance{Accepted: 1, Pending: 1})
}

func repeatInBatch(k *kit) {
	w := k.webhook("a")
	first := []tocsin.NewEvent{repeat(3, "x", tocsin.Firing, time.Hour, w.ID)}
	// Not in the order of their keys.
	batch := []tocsin.NewEvent{
		repeat(9, "x", tocsin.Firing, time.Hour, w.ID), repeat(8, "y", tocsin.Resolved, time.Hour, w.ID), repeat(7, "x", tocsin.Resolved, time.Hour, w.ID),
		repeat(6, "x", tocsin.Firing, time.Hour, w.ID), repeat(5, "y", tocsin.Resolved, time.Hour, w.ID), repeat(4, "x", tocsin.Firing, time.Hour, w.ID),
	}
	MustAppend(k.t, k.s, first...)
	MustAppend(k.t, k.s, batch...)
	MustAppend(k.t, k.s, repeat(10, "x", tocsin.Firing, time.Hour, w.ID), repeat(11, "y", tocsin.Firing, time.Hour, w.ID))
	k.same("3 to 11", k.verdicts(w, 3, 9), []string{"pending", "repeat", "repeat", "pending", "pending", "pending", "repeat", "repeat", "pending"})
	k.balance(w, tocsin.Balance{Accepted: 9, Pending: 5, Suppressed: 4})
}

// repeatTime submits one incident again and again: what is suppressed must not prolong
// the time, or nothing would ever be owed again.
func repeatTime(k *kit) {
	const after = 150 * time.Millisecond
	w := k.webhook("a")
	var owedAt time.Time
	owed, n := 0, 0
	k.eventually("owed three times", func() bool {
		MustAppend(k.t, k.s, repeat(n, "x", tocsin.Firing, after, w.ID))
		e, err := k.s.Event(k.ctx, "storetest", Event(n).ID)
		k.ok(err)
		verdict, past := k.verdicts(w, n, 1)[0], e.ReceivedAt.Sub(owedAt)
		if (verdict == "pending") != (owed == 0 || past >= after) {
			k.t.Fatalf("event %d, %v after the last that was owed: %s", n, past, verdict)
		}
		if n++; verdict == "pending" {
			owed, owedAt = owed+1, e.ReceivedAt
		}
		return owed == 3
	})
	MustAppend(k.t, k.s, repeat(n, "x", tocsin.Firing, time.Microsecond, w.ID))
	k.same("with a shorter time", k.verdicts(w, n, 1), []string{"pending"})
	k.balance(w, tocsin.Balance{Accepted: int64(n + 1), Pending: 4, Suppressed: int64(n - 3)})
}

func repeatNotCounted(k *kit) {
	w := k.webhook("a")
	muted := repeat(1, "x", tocsin.Resolved, time.Hour, w.ID)
	muted.Owed[0].Suppressed = tocsin.MutedBy("mute_1")
	plain := repeat(2, "x", tocsin.Resolved, 0, w.ID)
	MustAppend(k.t, k.s, repeat(0, "x", tocsin.Firing, time.Hour, w.ID), muted, plain)
	duplicate := repeat(0, "x", tocsin.Resolved, time.Hour, w.ID) // its content is the first's
	k.same("answer", MustAppend(k.t, k.s, duplicate), []tocsin.Appended{tocsin.AppendedDuplicate})
	MustAppend(k.t, k.s, repeat(3, "x", tocsin.Firing, time.Hour, w.ID), duplicate, repeat(4, "x", tocsin.Resolved, time.Hour, w.ID))
	k.same("verdicts", k.verdicts(w, 0, 5), []string{"pending", "muted mute_1", "pending", "repeat", "pending"})
	k.balance(w, tocsin.Balance{Accepted: 5, Pending: 3, Suppressed: 2})
}

func repeatRolledBack(k *kit) {
	w := k.webhook("a")
	revision := k.configuration().Revision
	k.webhook("b")
	_, err := k.s.Append(k.ctx, revision, []tocsin.NewEvent{repeat(0, "x", tocsin.Firing, time.Hour, w.ID)})
	k.is(err, tocsin.ErrStaleRevision)
	MustAppend(k.t, k.s, repeat(0, "x", tocsin.Firing, time.Hour, w.ID))
	k.same("verdict", k.verdicts(w, 0, 1), []string{"pending"})
}

// repeatRace lets many calls submit events of the same incidents in different orders.
func repeatRace(k *kit) {
	const callers, rounds, incidents = 8, 6, 12
	w := k.webhook("a")
	revision := k.configuration().Revision
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(11, uint64(c)))
			for round := range rounds {
				var batch []tocsin.NewEvent
				for i, incident := range r.Perm(2 * incidents) {
					status := tocsin.Firing
					if incident >= incidents && r.IntN(2) == 0 {
						status = tocsin.Resolved
					}
					batch = append(batch, repeat((c*rounds+round)*2*incidents+i, fmt.Sprint("incident ", incident), status, time.Hour, w.ID))
				}
				if _, err := k.s.Append(k.ctx, revision, batch); err != nil {
					k.t.Errorf("appending: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	owed := map[string]map[tocsin.Status]int{}
	for n := range callers * rounds * 2 * incidents {
		e, err := k.s.Event(k.ctx, "storetest", Event(n).ID)
		k.ok(err)
		if owed[e.DedupKey] == nil {
			owed[e.DedupKey] = map[tocsin.Status]int{}
		}
		if k.verdicts(w, n, 1)[0] == "pending" {
			owed[e.DedupKey][e.Status]++
		}
	}
	for i := range 2 * incidents {
		got := owed[fmt.Sprint("incident ", i)]
		switch {
		case i < incidents && got[tocsin.Firing] != 1:
			k.t.Errorf("incident %d fires only and was owed %d times, want once", i, got[tocsin.Firing])
		case i >= incidents && len(got) != 2:
			k.t.Errorf("incident %d was owed %v, want some of both", i, got)
		}
	}
	// When all are back, the last event is known again.
	last := callers * rounds * 2 * incidents
	for i, status := range []tocsin.Status{tocsin.Firing, tocsin.Resolved, tocsin.Resolved, tocsin.Firing, tocsin.Firing} {
		MustAppend(k.t, k.s, repeat(last+i, fmt.Sprint("incident ", incidents), status, time.Hour, w.ID))
	}
	k.same("after the race", k.verdicts(w, last, 5)[1:], []string{"pending", "repeat", "pending", "repeat"})
	CheckLedger(k.t, k.s)
}
