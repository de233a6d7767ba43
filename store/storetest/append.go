package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"

	"github.com/tocsin-alerts/tocsin"
)

var appendCases = []testCase{
	{"every field comes back", everyField},
	{"a known key is a duplicate or a conflict", knownKey},
	{"the first within a batch wins", withinBatch},
	{"keys are pairs of source and id", keyPairs},
	{"a stale revision writes nothing", staleRevision},
	{"a cancelled call writes nothing", cancelledAppend},
	{"suppressed at once is accepted and suppressed", suppressedAtOnce},
	{"an event nobody is owed is kept", owedToNobody},
	{"an empty batch is no error", emptyBatch},
	{"concurrent calls with overlapping keys accept each once", overlappingKeys},
	{"a batch is seen whole or not at all", wholeOrNot},
}

func everyField(k *kit) {
	bare := tocsin.Event{ID: "bare", Source: "storetest", Type: "custom.bare", Severity: tocsin.SeverityInfo,
		Status: tocsin.Firing, Time: Epoch, DedupKey: "bare", Raw: []byte(`{}`)}
	apart := Event(2) // data that is not a part of what came (decoded from base64, say)
	apart.Raw = []byte(`{"data_base64":"eyAiYSI6MX0="}`)
	for _, want := range []tocsin.Event{Event(1), bare, apart} {
		MustAppend(k.t, k.s, Owe(want))
		got, err := k.s.Event(k.ctx, want.Source, want.ID)
		k.ok(err)
		if got.Seq <= 0 || got.ReceivedAt.IsZero() {
			k.t.Fatalf("event %s has no number or time of receipt: %+v", want.ID, got)
		}
		want.Seq, want.ReceivedAt = got.Seq, got.ReceivedAt
		k.same("event "+want.ID, got, want)
	}
}

func knownKey(k *kit) {
	w := k.webhook("a")
	k.owe(1, 1, w.ID)
	again, other := Owe(Event(1), w.ID), Owe(Event(1), w.ID)
	other.Event.Title, other.Fingerprint = "other content", []byte("other")
	k.same("answers", MustAppend(k.t, k.s, again, other, Owe(Event(2), w.ID)),
		[]tocsin.Appended{tocsin.AppendedDuplicate, tocsin.AppendedConflict, tocsin.AppendedNew})
	got, err := k.s.Event(k.ctx, "storetest", Event(1).ID)
	k.ok(err)
	k.same("title of the first", got.Title, Event(1).Title)
	k.balance(w, tocsin.Balance{Accepted: 2, Pending: 2})
}

func withinBatch(k *kit) {
	w := k.webhook("a")
	conflict := Owe(Event(1), w.ID)
	conflict.Event.Title, conflict.Fingerprint = "other content", []byte("other")
	k.same("answers", MustAppend(k.t, k.s, Owe(Event(2), w.ID), Owe(Event(1), w.ID), Owe(Event(1), w.ID), conflict),
		[]tocsin.Appended{tocsin.AppendedNew, tocsin.AppendedNew, tocsin.AppendedDuplicate, tocsin.AppendedConflict})
	got, err := k.s.Event(k.ctx, "storetest", Event(1).ID)
	k.ok(err)
	k.same("title of the first", got.Title, Event(1).Title)
	k.balance(w, tocsin.Balance{Accepted: 2, Pending: 2})
}

func keyPairs(k *kit) {
	// Joined without care these would be the same key.
	for _, key := range [][2]string{{"a", "bc"}, {"ab", "c"}, {"A", "bc"}, {"a/b", "c"}, {"a", "b/c"}, {"ü", "雪"}} {
		e := Event(1)
		e.Source, e.ID = key[0], key[1]
		k.same("answer for "+key[0]+" "+key[1], MustAppend(k.t, k.s, Owe(e)), []tocsin.Appended{tocsin.AppendedNew})
		k.same("answer for it again", MustAppend(k.t, k.s, Owe(e)), []tocsin.Appended{tocsin.AppendedDuplicate})
	}
}

func staleRevision(k *kit) {
	w := k.webhook("a")
	revision, _, err := k.s.ListWebhooks(k.ctx)
	k.ok(err)
	k.webhook("b")
	_, err = k.s.Append(k.ctx, revision, []tocsin.NewEvent{Owe(Event(1), w.ID), Owe(Event(2), w.ID)})
	k.is(err, tocsin.ErrStaleRevision)
	_, err = k.s.Event(k.ctx, "storetest", Event(1).ID)
	k.is(err, tocsin.ErrNotFound)
	k.balance(tocsin.Webhook{}, tocsin.Balance{}) // nobody has any
	k.owe(1, 2, w.ID)                             // and the keys are free
}

func cancelledAppend(k *kit) {
	w := k.webhook("a")
	revision, _, err := k.s.ListWebhooks(k.ctx)
	k.ok(err)
	ctx, cancel := context.WithCancel(k.ctx)
	cancel()
	if _, err = k.s.Append(ctx, revision, []tocsin.NewEvent{Owe(Event(1), w.ID)}); !errors.Is(err, context.Canceled) {
		k.t.Fatalf("got error %v, want %v", err, context.Canceled)
	}
	k.owe(1, 1, w.ID)
	k.balance(w, tocsin.Balance{Accepted: 1, Pending: 1})
}

func suppressedAtOnce(k *kit) {
	a, b := k.webhook("a"), k.webhook("b")
	e := Owe(Event(1), a.ID)
	e.Owed = append(e.Owed, tocsin.Obligation{WebhookID: b.ID, Suppressed: "muted"})
	MustAppend(k.t, k.s, e)
	k.balance(a, tocsin.Balance{Accepted: 1, Pending: 1})
	k.balance(b, tocsin.Balance{Accepted: 1, Suppressed: 1})
	_, pending := k.work(k.begin(b.ID).Fence)
	k.same("pending of b", len(pending), 0)
}

func owedToNobody(k *kit) {
	k.owe(1, 1)
	_, err := k.s.Event(k.ctx, "storetest", Event(1).ID)
	k.ok(err)
	k.same("answer", MustAppend(k.t, k.s, Owe(Event(1))), []tocsin.Appended{tocsin.AppendedDuplicate})
	k.same("balances", len(CheckLedger(k.t, k.s)), 0)
}

func emptyBatch(k *kit) {
	k.same("answers", len(MustAppend(k.t, k.s)), 0)
}

// overlappingKeys lets many calls insert the same keys in different orders: without a
// common order they would deadlock, without waiting they would accept twice.
func overlappingKeys(k *kit) {
	const callers, rounds, keys = 6, 8, 40
	w := k.webhook("a")
	revision, _, err := k.s.ListWebhooks(k.ctx)
	k.ok(err)
	var mu sync.Mutex
	accepted := map[string]int{}
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(7, uint64(c)))
			for round := range rounds {
				var batch []tocsin.NewEvent
				for _, n := range r.Perm(keys)[:keys/2] {
					batch = append(batch, Owe(Event(round*keys+n), w.ID))
				}
				answers, err := k.s.Append(k.ctx, revision, batch)
				if err != nil {
					k.t.Errorf("appending: %v", err)
					return
				}
				mu.Lock()
				for i, a := range answers.Events {
					if a == tocsin.AppendedNew {
						accepted[batch[i].Event.ID]++
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for id, n := range accepted {
		if n != 1 {
			k.t.Errorf("%s was accepted %d times", id, n)
		}
	}
	n := int64(len(accepted))
	k.balance(w, tocsin.Balance{Accepted: n, Pending: n})
	_, pending := k.work(k.begin(w.ID).Fence)
	k.same("pending", len(pending), len(accepted))
}

// wholeOrNot reads balances while batches of ten are committed for two webhooks.
func wholeOrNot(k *kit) {
	a, b := k.webhook("a"), k.webhook("b")
	revision, _, err := k.s.ListWebhooks(k.ctx)
	k.ok(err)
	done := make(chan error, 1)
	go func() {
		for i := range 20 {
			var batch []tocsin.NewEvent
			for j := range 10 {
				batch = append(batch, Owe(Event(i*10+j), a.ID, b.ID))
			}
			if _, err := k.s.Append(k.ctx, revision, batch); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for running := true; running; {
		select {
		case err := <-done:
			k.ok(err)
			running = false
		default:
		}
		balances, err := k.s.Balances(k.ctx)
		k.ok(err)
		for _, got := range balances {
			if got.Accepted%10 != 0 || got.Difference() != 0 || got.Accepted != balances[0].Accepted {
				k.t.Fatalf("saw part of a batch: %+v", balances)
			}
		}
	}
	k.balance(a, tocsin.Balance{Accepted: 200, Pending: 200})
}
