package storetest

import (
	"slices"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

var historyCases = []testCase{
	{"Events, newest first, page by page", eventPages},
	{"Events by each field", eventFilters},
	{"Event by its producer's key", eventByKey},
	{"Traces say where each obligation went", traces},
	{"Deliveries, newest first, page by page", deliveryPages},
	{"Deliveries by each field", deliveryFilters},
	{"Deliveries with dead events", deliveriesWithDead},
	{"Deliveries that a split one became", deliveryParts},
	{"a cursor that is none", badCursor},
	{"Delivery that is not there", noDelivery},
}

// events returns all pages of a query, and checks that none is longer than its limit.
func (k *kit) events(q tocsin.EventQuery) []string {
	k.t.Helper()
	var out []string
	for {
		page, next, err := k.s.Events(k.ctx, q)
		k.ok(err)
		if len(page) > q.Limit || (next != "" && len(page) == 0) {
			k.t.Fatalf("a page of %d for limit %d, next %q", len(page), q.Limit, next)
		}
		out = append(out, ids(page)...)
		if next == "" {
			return out
		}
		q.Cursor = next
	}
}

func eventPages(k *kit) {
	k.owe(0, 25)
	want := numbered(0, 25)
	slices.Reverse(want)
	for _, limit := range []int{1, 4, 5, 24, 25, 26, 1000} {
		k.same("events", k.events(tocsin.EventQuery{Page: tocsin.Page{Limit: limit}}), want)
	}
	page, next, err := k.s.Events(k.ctx, tocsin.EventQuery{Page: tocsin.Page{Limit: 2}})
	k.ok(err)
	k.owe(100, 3) // what arrives meanwhile does not move the pages
	rest, _, err := k.s.Events(k.ctx, tocsin.EventQuery{Page: tocsin.Page{Limit: 2, Cursor: next}})
	k.ok(err)
	k.same("two pages", append(ids(page), ids(rest)...), want[:4])
	one, err := k.s.Event(k.ctx, "storetest", page[0].ID)
	k.ok(err)
	k.same("an event in a list", page[0], one)
}

func eventFilters(k *kit) {
	k.owe(0, 10)
	special := Event(10)
	special.Type, special.Source, special.Subject = "custom.other", "elsewhere", "The Agent"
	special.DedupKey = "one of its own"
	special.Title, special.Summary = "Disk is 100% full", "about /var_log"
	MustAppend(k.t, k.s, Owe(special))
	for name, c := range map[string]struct {
		q    tocsin.EventQuery
		want []string
	}{
		"type":             {tocsin.EventQuery{Type: "custom.other"}, []string{special.ID}},
		"source":           {tocsin.EventQuery{Source: "elsewhere"}, []string{special.ID}},
		"subject":          {tocsin.EventQuery{Subject: "agent-3"}, []string{Event(8).ID, Event(3).ID}},
		"severity":         {tocsin.EventQuery{MinSeverity: tocsin.SeverityHigh}, []string{Event(9).ID, Event(8).ID, Event(4).ID, Event(3).ID}},
		"dedup key":        {tocsin.EventQuery{DedupKey: special.DedupKey}, []string{special.ID}},
		"no such key":      {tocsin.EventQuery{DedupKey: special.DedupKey + "x"}, nil},
		"title":            {tocsin.EventQuery{Text: "disk IS"}, []string{special.ID}},
		"summary":          {tocsin.EventQuery{Text: "ABOUT"}, []string{special.ID}},
		"percent is plain": {tocsin.EventQuery{Text: "0% f"}, []string{special.ID}},
		"no wildcard":      {tocsin.EventQuery{Text: "D%full"}, nil},
		"underscore":       {tocsin.EventQuery{Text: "r_l"}, []string{special.ID}},
		"no single":        {tocsin.EventQuery{Text: "d_sk"}, nil},
		"both":             {tocsin.EventQuery{Subject: "agent-3", MinSeverity: tocsin.SeverityCritical}, nil},
		"quote":            {tocsin.EventQuery{Text: `' OR 1=1 --`}, nil},
	} {
		c.q.Limit = 2
		k.same(name, k.events(c.q), c.want)
	}
	k.eventTimes()
}

// eventTimes checks Since (that moment included) and Until (not included), which are
// times of receipt.
func (k *kit) eventTimes() {
	k.t.Helper()
	last, err := k.s.Event(k.ctx, "elsewhere", Event(10).ID)
	k.ok(err)
	k.eventually("the clock has moved on", func() bool {
		w := k.webhook(tocsin.NewID("clock"))
		return w.CreatedAt.After(last.ReceivedAt)
	})
	k.owe(11, 1)
	late, err := k.s.Event(k.ctx, "storetest", Event(11).ID)
	k.ok(err)
	since := tocsin.EventQuery{Page: tocsin.Page{Limit: 9}, Since: late.ReceivedAt}
	k.same("since", k.events(since), []string{late.ID})
	until := tocsin.EventQuery{Page: tocsin.Page{Limit: 9}, Since: last.ReceivedAt, Until: late.ReceivedAt}
	k.same("until", k.events(until), []string{last.ID})
}

func eventByKey(k *kit) {
	k.owe(0, 1)
	_, err := k.s.Event(k.ctx, "storetest", "evt-unknown")
	k.is(err, tocsin.ErrNotFound)
	_, err = k.s.Event(k.ctx, "other", Event(0).ID)
	k.is(err, tocsin.ErrNotFound)
	want, err := k.s.Event(k.ctx, "storetest", Event(0).ID)
	k.ok(err)
	got, err := k.s.EventBySeq(k.ctx, want.Seq)
	k.ok(err)
	k.same("the event by its number", got, want)
	_, err = k.s.EventBySeq(k.ctx, want.Seq+1000)
	k.is(err, tocsin.ErrNotFound)
}

func traces(k *kit) {
	a, b, c := k.webhook("a"), k.webhook("b"), k.webhook("c")
	e := Owe(Event(0), a.ID, b.ID)
	e.Owed = append(e.Owed, tocsin.Obligation{WebhookID: c.ID, Suppressed: "muted"})
	MustAppend(k.t, k.s, e)
	f := k.begin(a.ID).Fence
	id := k.plan(f, 1)[0]
	stored, err := k.s.Event(k.ctx, "storetest", Event(0).ID)
	k.ok(err)
	got, err := k.s.Traces(k.ctx, stored.Seq)
	k.ok(err)
	k.same("number of traces", len(got), 3)
	by := map[string]tocsin.Trace{}
	for _, tr := range got {
		by[tr.WebhookID] = tr
	}
	k.same("traces", by, map[string]tocsin.Trace{
		a.ID: {WebhookID: a.ID, Generation: got[0].Generation, Bucket: "in_flight", DeliveryID: id},
		b.ID: {WebhookID: b.ID, Generation: got[0].Generation, Bucket: "pending"},
		c.ID: {WebhookID: c.ID, Generation: got[0].Generation, Bucket: "suppressed", Reason: "muted"},
	})
	none, err := k.s.Traces(k.ctx, stored.Seq+1000)
	k.ok(err)
	k.same("traces of an unknown event", len(none), 0)
}

func (k *kit) deliveries(q tocsin.DeliveryQuery) []string {
	k.t.Helper()
	var out []string
	for {
		page, next, err := k.s.Deliveries(k.ctx, q)
		k.ok(err)
		if len(page) > q.Limit || (next != "" && len(page) == 0) {
			k.t.Fatalf("a page of %d for limit %d, next %q", len(page), q.Limit, next)
		}
		for _, d := range page {
			out = append(out, d.ID)
		}
		if next == "" {
			return out
		}
		q.Cursor = next
	}
}

func deliveryPages(k *kit) {
	w := k.webhook("a")
	k.owe(0, 12, w.ID)
	f := k.begin(w.ID).Fence
	want := slices.Concat(k.plan(f, 1, 1, 1, 1), k.plan(f, 2, 2, 2, 2))
	slices.Reverse(want)
	for _, limit := range []int{1, 3, 7, 8, 9} {
		k.same("deliveries", k.deliveries(tocsin.DeliveryQuery{Page: tocsin.Page{Limit: limit}}), want)
	}
	page, _, err := k.s.Deliveries(k.ctx, tocsin.DeliveryQuery{Page: tocsin.Page{Limit: 1}})
	k.ok(err)
	k.same("a delivery in a list", page[0], k.delivery(want[0]))
}

func deliveryFilters(k *kit) {
	a, b := k.webhook("a"), k.webhook("b")
	k.owe(0, 2, a.ID, b.ID)
	f := k.begin(a.ID).Fence
	first := k.plan(f, 1)[0]
	k.record(f, k.claim(f, first), tocsin.DeliveryDelivered, nil)
	k.eventually("the clock has moved on", func() bool { return k.begin(a.ID).Now.After(k.delivery(first).CreatedAt) })
	other := k.plan(k.begin(b.ID).Fence, 2)[0]
	at := k.delivery(other).CreatedAt
	page := tocsin.Page{Limit: 5}
	k.same("by webhook", k.deliveries(tocsin.DeliveryQuery{Page: page, WebhookID: a.ID}), []string{first})
	k.same("by state", k.deliveries(tocsin.DeliveryQuery{Page: page, State: tocsin.DeliveryReady}), []string{other})
	k.same("by type", k.deliveries(tocsin.DeliveryQuery{Page: page, Type: "custom.storetest"}), []string{other, first})
	k.same("by type and webhook", k.deliveries(tocsin.DeliveryQuery{Page: page, Type: "custom.storetest", WebhookID: a.ID}), []string{first})
	k.same("by another type", k.deliveries(tocsin.DeliveryQuery{Page: page, Type: "custom.other"}), []string(nil))
	k.same("by both", k.deliveries(tocsin.DeliveryQuery{Page: page, WebhookID: b.ID, State: tocsin.DeliveryDead}), []string(nil))
	k.same("since", k.deliveries(tocsin.DeliveryQuery{Page: page, Since: at}), []string{other})
	k.same("until", k.deliveries(tocsin.DeliveryQuery{Page: page, Until: at}), []string{first})
	k.same("long ago", k.deliveries(tocsin.DeliveryQuery{Page: page, Until: at.Add(-time.Hour)}), []string(nil))
}

// deliveriesWithDead are found whatever became of their other events.
func deliveriesWithDead(k *kit) {
	w := k.webhook("a")
	k.owe(0, 10, w.ID)
	f := k.begin(w.ID).Fence
	all := k.plan(f, 1, 2, 3, 1, 1, 2)
	good, partly, split, dead, open, whole := all[0], all[1], all[2], all[3], all[4], all[5]
	k.record(f, k.claim(f, good), tocsin.DeliveryDelivered, nil)
	k.record(f, k.claim(f, partly), tocsin.DeliveryDelivered, func(o *tocsin.Outcome) { o.Dead = map[int]string{1: "no such field"} })
	children := halves([]int{0}, []int{1})
	k.record(f, k.claim(f, split), tocsin.DeliverySplit, func(o *tocsin.Outcome) {
		o.Children, o.Dead = children, map[int]string{2: "no such field"}
	})
	k.record(f, k.claim(f, dead), tocsin.DeliveryDead, func(o *tocsin.Outcome) { o.Reason = "422" })
	parts := halves([]int{0}, []int{1})
	k.record(f, k.claim(f, whole), tocsin.DeliverySplit, func(o *tocsin.Outcome) { o.Children = parts })

	ask := tocsin.DeliveryQuery{WithDead: true}
	for ask.Limit = 1; ask.Limit <= 4; ask.Limit++ {
		k.same("with dead events", k.deliveries(ask), []string{dead, split, partly})
	}
	k.same("delivered, with dead events", k.deliveries(tocsin.DeliveryQuery{Page: ask.Page, WithDead: true, State: tocsin.DeliveryDelivered}), []string{partly})
	k.same("by type", k.deliveries(tocsin.DeliveryQuery{Page: ask.Page, WithDead: true, Type: "custom.storetest"}), []string{dead, split, partly})
	k.same("of another webhook", k.deliveries(tocsin.DeliveryQuery{Page: ask.Page, WithDead: true, WebhookID: k.webhook("b").ID}), []string(nil))
	k.same("open ones", k.deliveries(tocsin.DeliveryQuery{Page: ask.Page, WithDead: true, State: k.delivery(open).State}), []string(nil))
	_, err := k.s.Redeliver(k.ctx, partly)
	k.ok(err)
	k.same("what is sent again is dead no more", k.deliveries(ask), []string{dead, split})
}

func deliveryParts(k *kit) {
	w := k.webhook("a")
	k.owe(0, 6, w.ID)
	f := k.begin(w.ID).Fence
	all := k.plan(f, 3, 2, 1)
	first, second := halves([]int{0}, []int{1}, []int{2}), halves([]int{0}, []int{1})
	k.record(f, k.claim(f, all[0]), tocsin.DeliverySplit, func(o *tocsin.Outcome) { o.Children = first })
	k.record(f, k.claim(f, all[1]), tocsin.DeliverySplit, func(o *tocsin.Outcome) { o.Children = second })
	k.record(f, k.claim(f, first[1].ID), tocsin.DeliveryDelivered, nil)
	ask := tocsin.DeliveryQuery{Parent: all[0]}
	var want []string
	for _, d := range k.deliveries(tocsin.DeliveryQuery{Page: tocsin.Page{Limit: 10}}) { // in the order of the list
		if k.delivery(d).Parent == all[0] {
			want = append(want, d)
		}
	}
	k.same("parts", len(want), 3)
	for ask.Limit = 1; ask.Limit <= 4; ask.Limit++ {
		k.same("parts of the first", k.deliveries(ask), want)
	}
	k.same("parts in a state", k.deliveries(tocsin.DeliveryQuery{Page: ask.Page, Parent: all[0], State: tocsin.DeliveryDelivered}), []string{first[1].ID})
	k.same("open parts", len(k.deliveries(tocsin.DeliveryQuery{Page: ask.Page, Parent: all[0], State: tocsin.DeliveryReady})), 2)
	k.same("parts of what is whole", k.deliveries(tocsin.DeliveryQuery{Page: ask.Page, Parent: all[2]}), []string(nil))
	k.same("parts of another webhook's", k.deliveries(tocsin.DeliveryQuery{Page: ask.Page, Parent: all[0], WebhookID: "wh_b"}), []string(nil))
	_, _, err := k.s.Deliveries(k.ctx, tocsin.DeliveryQuery{Page: tocsin.Page{Cursor: "no cursor'", Limit: 10}, Parent: all[0]})
	k.code(err, tocsin.CodeInvalid)
}

func badCursor(k *kit) {
	page := tocsin.Page{Cursor: "no cursor'", Limit: 10}
	_, _, err := k.s.Events(k.ctx, tocsin.EventQuery{Page: page})
	k.code(err, tocsin.CodeInvalid)
	_, _, err = k.s.Deliveries(k.ctx, tocsin.DeliveryQuery{Page: page})
	k.code(err, tocsin.CodeInvalid)
}

func noDelivery(k *kit) {
	_, _, _, err := k.s.Delivery(k.ctx, "dlv_unknown")
	k.is(err, tocsin.ErrNotFound)
}
