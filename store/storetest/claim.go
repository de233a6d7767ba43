package storetest

import (
	"encoding/json"

	"github.com/tocsin-alerts/tocsin"
)

var claimCases = []testCase{
	{"Claim opens an attempt and returns all a sender needs", claimAll},
	{"attempts are numbered and an open one is uncertain", claimAgain},
	{"only a known refusal is certain", claimUncertain},
	{"nothing is sent after a change", claimVersion},
	{"a delivery that is not open is not found", claimClosed},
	{"references are stored and come back by dedup key", refs},
}

func claimAll(k *kit) {
	w := k.webhook("a")
	k.owe(0, 4, w.ID)
	l := k.begin(w.ID)
	id := k.plan(l.Fence, 4)[0]
	c := k.claim(l.Fence, id)
	if c.At.Before(l.Now) {
		k.t.Fatalf("claimed at %v, before the lease at %v", c.At, l.Now)
	}
	want := tocsin.Claimed{
		Delivery: tocsin.Delivery{ID: id, WebhookID: w.ID, State: tocsin.DeliverySending, Count: 4, Attempts: 1,
			CreatedAt: c.Delivery.CreatedAt, FirstAttempt: &c.At},
		Attempt: 1, At: c.At, Generations: make([]int64, 4),
	}
	for i := range 4 {
		e := Event(i)
		e.Seq, e.ReceivedAt = c.Events[i].Seq, c.Events[i].ReceivedAt
		want.Events = append(want.Events, e) // Raw and Data byte for byte
	}
	k.same("claimed", c, want)
	d, attempts, _, err := k.s.Delivery(k.ctx, id)
	k.ok(err)
	k.same("delivery", d, want.Delivery)
	k.same("attempts", attempts, []tocsin.Attempt{{Number: 1, StartedAt: c.At, Outcome: "unknown"}})
	k.balance(w, tocsin.Balance{Accepted: 4, InFlight: 4})
}

func claimAgain(k *kit) {
	w := k.webhook("a")
	k.owe(0, 1, w.ID)
	f := k.begin(w.ID).Fence
	id := k.plan(f, 1)[0]
	first := k.claim(f, id)
	second := k.claim(f, id) // as after a crash between sending and recording
	k.same("number", second.Attempt, 2)
	k.same("attempts", second.Delivery.Attempts, 2)
	k.same("uncertain at first", first.Uncertain, false)
	k.same("uncertain", second.Uncertain, true)
	k.same("first attempt", second.Delivery.FirstAttempt, &first.At)
	_, attempts, _, err := k.s.Delivery(k.ctx, id)
	k.ok(err)
	k.same("attempts", attempts, []tocsin.Attempt{
		{Number: 1, StartedAt: first.At, Outcome: "unknown"}, {Number: 2, StartedAt: second.At, Outcome: "unknown"},
	})
}

func claimUncertain(k *kit) {
	w := k.webhook("a")
	k.owe(0, 1, w.ID)
	f := k.begin(w.ID).Fence
	id := k.plan(f, 1)[0]
	k.record(f, k.claim(f, id), tocsin.DeliveryReady, nil)
	c := k.claim(f, id)
	k.same("uncertain after a refusal", c.Uncertain, false)
	k.record(f, c, tocsin.DeliveryReady, func(o *tocsin.Outcome) { o.Unsure = true })
	c = k.claim(f, id)
	k.same("uncertain after a timeout", c.Uncertain, true)
	k.record(f, c, tocsin.DeliveryReady, nil)
	k.same("uncertain for good", k.claim(f, id).Uncertain, true)
}

func claimVersion(k *kit) {
	w := k.webhook("a")
	k.owe(0, 1, w.ID)
	f := k.begin(w.ID).Fence
	id := k.plan(f, 1)[0]
	refused := func(what string) {
		k.t.Helper()
		k.t.Log(what)
		_, err := k.tryClaim(f, id)
		k.is(err, tocsin.ErrVersion)
		k.same("attempts", k.delivery(id).Attempts, 0)
		k.same("state", k.delivery(id).State, tocsin.DeliveryReady)
	}
	_, err := k.s.SetState(k.ctx, w.ID, tocsin.StatePaused, "")
	k.ok(err)
	refused("paused")
	f = k.begin(w.ID).Fence
	refused("paused, known")
	resumed, err := k.s.SetState(k.ctx, w.ID, tocsin.StateActive, "")
	k.ok(err)
	refused("resumed, an old version")
	f = k.begin(w.ID).Fence
	_, err = k.s.UpdateWebhook(k.ctx, resumed)
	k.ok(err)
	refused("changed")
	_, err = k.s.SetState(k.ctx, w.ID, tocsin.StateDeleted, "")
	k.ok(err)
	f = k.begin(w.ID).Fence
	refused("deleted")
}

func claimClosed(k *kit) {
	w := k.webhook("a")
	k.owe(0, 2, w.ID)
	f := k.begin(w.ID).Fence
	planned := k.plan(f, 1, 1)
	k.record(f, k.claim(f, planned[0]), tocsin.DeliveryDelivered, nil)
	k.record(f, k.claim(f, planned[1]), tocsin.DeliveryDead, nil)
	for _, id := range append(planned, "dlv_unknown") {
		_, err := k.tryClaim(f, id)
		k.is(err, tocsin.ErrNotFound)
	}
}

func refs(k *kit) {
	a, b := k.webhook("a"), k.webhook("b")
	k.owe(0, 3, a.ID, b.ID)
	k.owe(7, 1, a.ID) // the same incident as event 0
	f := k.begin(a.ID).Fence
	planned := k.plan(f, 2, 2)
	c := k.claim(f, planned[0])
	k.same("refs at first", len(c.Refs), 0)
	k.record(f, c, tocsin.DeliveryReady, func(o *tocsin.Outcome) {
		o.Refs = map[string]json.RawMessage{"incident-0": json.RawMessage(`"PROJ-1"`), "incident-5": json.RawMessage(`{"ts":"1.5"}`)}
	})
	c = k.claim(f, planned[0])
	k.same("refs", c.Refs, map[string]json.RawMessage{"incident-0": json.RawMessage(`"PROJ-1"`)})
	k.record(f, c, tocsin.DeliveryDelivered, func(o *tocsin.Outcome) {
		o.Refs = map[string]json.RawMessage{"incident-0": json.RawMessage(`"PROJ-2"`), "incident-1": json.RawMessage(`1`)}
	})
	c = k.claim(f, planned[1]) // events 2 and 7
	k.same("refs of the next", c.Refs, map[string]json.RawMessage{"incident-0": json.RawMessage(`"PROJ-2"`)})
	k.owe(5, 1, a.ID)
	k.same("refs of a third", k.claim(f, k.plan(f, 1)[0]).Refs, map[string]json.RawMessage{"incident-5": json.RawMessage(`{"ts":"1.5"}`)})
	f = k.begin(b.ID).Fence
	k.same("refs of b", len(k.claim(f, k.plan(f, 3)[0]).Refs), 0)
}
