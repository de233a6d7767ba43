package storetest

import (
	"slices"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

var candidateCases = []testCase{
	{"deliveries by state, oldest first, page by page", candidateDeliveries},
	{"deliveries by type and range", candidateDeliveriesNarrowed},
	{"deliveries with events that are dead on their own", candidateDeadEvents},
	{"events by what became of them, page by page", candidateEvents},
	{"events by type and range", candidateEventsNarrowed},
	{"an event that was cancelled, sent again, split", candidateFates},
	{"rare ones are reached", candidateFar},
	{"what cannot be selected", candidateRefused},
}

// candidates returns the ids on all pages of a selection: of deliveries, or the
// producers' of events.
func (k *kit) candidates(s tocsin.ReplaySelection, limit int) (out []string) {
	k.t.Helper()
	for cursor, pages := "", 0; ; pages++ {
		c, err := k.s.ReplayCandidates(k.ctx, s, cursor, limit)
		k.ok(err)
		if n := len(c.Deliveries) + len(c.Events); n > limit || !c.Last && c.Next == cursor || pages > 1000 {
			k.t.Fatalf("page %d of %d for limit %d, cursor %q then %q", pages, n, limit, cursor, c.Next)
		}
		for _, d := range c.Deliveries {
			stored := k.delivery(d.ID)
			stored.Count = d.Count // what would be sent again, which may be less
			k.same("a delivery in the list", d, stored)
			out = append(out, d.ID)
		}
		out = append(out, ids(c.Events)...)
		if cursor = c.Next; c.Last {
			return out
		}
	}
}

// selected checks a selection for several lengths of pages.
func (k *kit) selected(s tocsin.ReplaySelection, want ...string) {
	k.t.Helper()
	for _, limit := range []int{1, 2, 3, 1000} {
		k.same(string(s.What), k.candidates(s, limit), want)
	}
}

// settled prepares a webhook with deliveries of two events each that ended in these
// states, or are still open.
func (k *kit) settled(name string, from int, states ...tocsin.DeliveryState) (tocsin.Webhook, []string) {
	k.t.Helper()
	w := k.webhook(name)
	var all []string
	for i, state := range states {
		k.owe(from+2*i, 2, w.ID)
		f := k.begin(w.ID).Fence
		id := k.plan(f, 2)[0]
		all = append(all, id)
		switch state {
		case tocsin.DeliveryCancelled:
			_, err := k.s.Discard(k.ctx, f, time.Time{}, tocsin.ReasonDiscarded, 1)
			k.ok(err)
		case tocsin.DeliveryReady:
		default:
			k.record(f, k.claim(f, id), state, nil)
		}
	}
	return w, all
}

const (
	dead      = tocsin.DeliveryDead
	delivered = tocsin.DeliveryDelivered
	cancelled = tocsin.DeliveryCancelled
	ready     = tocsin.DeliveryReady
)

func candidateDeliveries(k *kit) {
	w, d := k.settled("a", 0, dead, delivered, cancelled, dead, delivered, cancelled, dead, ready)
	k.settled("b", 100, dead, delivered, cancelled)
	k.selected(tocsin.ReplaySelection{WebhookID: w.ID, What: tocsin.ReplayDead}, d[0], d[3], d[6])
	k.selected(tocsin.ReplaySelection{WebhookID: w.ID, What: tocsin.ReplayDelivered}, d[1], d[4])
	k.selected(tocsin.ReplaySelection{WebhookID: w.ID, What: tocsin.ReplayAborted}, d[2], d[5])
	k.selected(tocsin.ReplaySelection{WebhookID: "wh_none", What: tocsin.ReplayDead})
	// Children were created when their parent was split.
	f := k.begin(w.ID).Fence
	children := halves([]int{0}, []int{1})
	k.record(f, k.claim(f, d[7]), tocsin.DeliverySplit, func(o *tocsin.Outcome) { o.Children = children })
	for _, c := range children {
		k.record(f, k.claim(f, c.ID), dead, nil)
	}
	k.selected(tocsin.ReplaySelection{WebhookID: w.ID, What: tocsin.ReplayDead}, d[0], d[3], d[6], children[0].ID, children[1].ID)
}

func candidateDeliveriesNarrowed(k *kit) {
	w, d := k.settled("a", 0, dead, dead, dead, dead)
	other := Owe(Event(50), w.ID)
	other.Event.Type = "custom.other"
	MustAppend(k.t, k.s, Owe(Event(51), w.ID), other)
	f := k.begin(w.ID).Fence
	mixed := k.plan(f, 2)[0]
	k.record(f, k.claim(f, mixed), dead, nil)
	at := func(i int) time.Time { return k.delivery(d[i]).CreatedAt }
	s := tocsin.ReplaySelection{WebhookID: w.ID, What: tocsin.ReplayDead, Since: at(1), Until: at(3)}
	k.selected(s, d[1], d[2])
	s = tocsin.ReplaySelection{WebhookID: w.ID, What: tocsin.ReplayDead, Types: []string{"custom.other", "custom.none"}}
	k.selected(s, mixed)
	s.Types = []string{"custom.storetest"}
	k.selected(s, append(slices.Clone(d), mixed)...)
}

// candidateDeadEvents: every event that is dead is in a delivery that is selected.
func candidateDeadEvents(k *kit) {
	w, d := k.settled("a", 0, delivered, ready, ready, dead, ready)
	f := k.begin(w.ID).Fence
	child := halves([]int{0})
	k.record(f, k.claim(f, d[1]), delivered, func(o *tocsin.Outcome) { o.Dead = map[int]string{1: "bad"} })
	k.record(f, k.claim(f, d[2]), tocsin.DeliverySplit, func(o *tocsin.Outcome) { o.Children, o.Dead = child, map[int]string{1: "bad"} })
	k.record(f, k.claim(f, d[4]), tocsin.DeliverySplit, func(o *tocsin.Outcome) { o.Children = halves([]int{0}, []int{1}) })
	s := tocsin.ReplaySelection{WebhookID: w.ID, What: tocsin.ReplayDead}
	k.selected(s, d[1], d[2], d[3])
	page, err := k.s.ReplayCandidates(k.ctx, s, "", 10)
	k.ok(err)
	var counts []int
	for _, c := range page.Deliveries {
		counts = append(counts, c.Count)
	}
	k.same("events that would be sent again", counts, []int{1, 1, 2})
	k.selected(tocsin.ReplaySelection{WebhookID: w.ID, What: tocsin.ReplayDelivered}, d[0], d[1])

	// By type, it is the dead events that count.
	good, bad := Owe(Event(50), w.ID), Owe(Event(51), w.ID)
	good.Event.Type, bad.Event.Type = "custom.good", "custom.bad"
	MustAppend(k.t, k.s, good, bad)
	mixed := k.plan(f, 2)[0]
	k.record(f, k.claim(f, mixed), delivered, func(o *tocsin.Outcome) { o.Dead = map[int]string{1: "bad"} })
	s.Types = []string{"custom.bad"}
	k.selected(s, mixed)
	s.Types = []string{"custom.good"}
	k.selected(s)

	// What is sent again is not selected until it is dead again.
	k.redeliver(mixed)
	s.Types = nil
	k.selected(s, d[1], d[2], d[3])
	k.record(f, k.claim(f, mixed), delivered, nil)
	k.selected(s, d[1], d[2], d[3])
}

// story brings every fate about: of eight events the first two are pending, the next
// two in flight, then two delivered and two dead; of the next, two were suppressed and
// two not owed at all.
func (k *kit) story() tocsin.Webhook {
	w, _ := k.settled("a", 4, delivered, dead)
	k.owe(2, 2, w.ID)
	f := k.begin(w.ID).Fence
	k.plan(f, 2)
	k.owe(0, 2, w.ID)
	for n := 8; n < 10; n++ {
		e := Owe(Event(n), w.ID)
		e.Owed[0].Suppressed = tocsin.MutedBy("mute_1")
		MustAppend(k.t, k.s, e)
	}
	k.owe(10, 2)
	k.owe(100, 2, k.webhook("b").ID) // is nothing of a's
	return w
}

func candidateEvents(k *kit) {
	w := k.story()
	name := func(numbers ...int) (out []string) {
		for _, n := range numbers {
			out = append(out, Event(n).ID)
		}
		return out
	}
	k.selected(tocsin.ReplaySelection{WebhookID: w.ID, What: tocsin.ReplaySuppressed}, name(8, 9)...)
	k.selected(tocsin.ReplaySelection{WebhookID: w.ID, What: tocsin.ReplayMissing}, name(10, 11, 100, 101)...)
	k.selected(tocsin.ReplaySelection{WebhookID: w.ID, What: tocsin.ReplayAll}, name(4, 5, 6, 7, 8, 9, 10, 11, 100, 101)...)
	c, err := k.s.ReplayCandidates(k.ctx, tocsin.ReplaySelection{WebhookID: w.ID, What: tocsin.ReplayMissing}, "", 1)
	k.ok(err)
	stored, err := k.s.Event(k.ctx, "storetest", Event(10).ID)
	k.ok(err)
	k.same("an event in the list", c.Events[0], stored)
}

func candidateEventsNarrowed(k *kit) {
	other := Owe(Event(5))
	other.Event.Type = "custom.other"
	for n := range 5 {
		k.owe(n, 1)
	}
	MustAppend(k.t, k.s, other)
	at := func(n int) time.Time {
		e, err := k.s.Event(k.ctx, "storetest", Event(n).ID)
		k.ok(err)
		return e.ReceivedAt
	}
	id := k.webhook("a").ID
	k.selected(tocsin.ReplaySelection{WebhookID: id, What: tocsin.ReplayMissing, Since: at(1), Until: at(4)}, numbered(1, 3)...)
	k.selected(tocsin.ReplaySelection{WebhookID: id, What: tocsin.ReplayAll, Since: at(4)}, numbered(4, 2)...)
	k.selected(tocsin.ReplaySelection{WebhookID: id, What: tocsin.ReplayAll, Types: []string{"custom.other"}}, numbered(5, 1)...)
	k.selected(tocsin.ReplaySelection{WebhookID: id, What: tocsin.ReplayAll, Types: []string{"custom.none"}})
}

func candidateFates(k *kit) {
	w, d := k.settled("a", 0, cancelled, delivered, ready)
	f := k.begin(w.ID).Fence
	k.record(f, k.claim(f, d[2]), tocsin.DeliverySplit, func(o *tocsin.Outcome) { o.Children = halves([]int{0}) })
	suppressed := tocsin.ReplaySelection{WebhookID: w.ID, What: tocsin.ReplaySuppressed}
	all := tocsin.ReplaySelection{WebhookID: w.ID, What: tocsin.ReplayAll}
	k.selected(suppressed, numbered(0, 2)...)
	k.selected(all, append(numbered(0, 4), numbered(5, 1)...)...) // event 4 is in a child
	k.redeliver(d[0])
	k.redeliver(d[1])
	k.selected(suppressed)
	k.selected(all, numbered(5, 1)...) // one that is sent again is owed, too
	k.selected(tocsin.ReplaySelection{WebhookID: w.ID, What: tocsin.ReplayMissing})
}

// candidateFar has so many events that are none between two candidates that no page
// should read them all: pages may be empty, and the last is reached all the same.
func candidateFar(k *kit) {
	w := k.webhook("a")
	suppress := func(n int) {
		e := Owe(Event(n), w.ID)
		e.Owed[0].Suppressed = tocsin.ReasonDiscarded
		MustAppend(k.t, k.s, e)
	}
	suppress(1)
	for from := 10; from < 7010; from += 1000 {
		k.owe(from, 1000)
	}
	suppress(2)
	s := tocsin.ReplaySelection{WebhookID: w.ID, What: tocsin.ReplaySuppressed}
	k.same("candidates", k.candidates(s, 100), numbered(1, 2))
	first, err := k.s.ReplayCandidates(k.ctx, s, "", 100)
	k.ok(err)
	if len(first.Events) != 1 || first.Last {
		k.t.Fatalf("the first page read on to the end: %d events", len(first.Events))
	}
}

func candidateRefused(k *kit) {
	w := k.webhook("a")
	_, err := k.s.ReplayCandidates(k.ctx, tocsin.ReplaySelection{WebhookID: w.ID, What: "everything"}, "", 10)
	k.code(err, tocsin.CodeInvalid)
	for _, what := range []tocsin.ReplayWhat{tocsin.ReplayDead, tocsin.ReplayAll} {
		_, err = k.s.ReplayCandidates(k.ctx, tocsin.ReplaySelection{WebhookID: w.ID, What: what}, "no cursor", 10)
		k.code(err, tocsin.CodeInvalid)
	}
}
