package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// series reads one and checks its frame: as many spans as there are, one after the other, the
// last one under way, and a total that is their sum.
func (k *kit) series(webhookID string, window time.Duration) tocsin.Series {
	k.t.Helper()
	s, err := k.s.Series(k.ctx, webhookID, window)
	k.ok(err)
	k.same("step", s.Step, tocsin.SeriesStep(window))
	k.same("number of spans", len(s.Spans), int(window/s.Step))
	var sum tocsin.Movement
	for i, span := range s.Spans {
		sum = sum.Add(span.Movement)
		if want := s.Spans[0].Start.Add(time.Duration(i) * s.Step); !span.Start.Equal(want) {
			k.t.Fatalf("span %d starts at %v, want %v", i, span.Start, want)
		}
	}
	k.same("total", s.Total, sum)
	if last := s.Spans[len(s.Spans)-1].Start; s.Now.Before(last) || s.Now.Sub(last) >= s.Step {
		k.t.Fatalf("the last span starts at %v, now is %v", last, s.Now)
	}
	return s
}

// movement is the total of a webhook's series, which is the same for both windows, whatever
// is folded.
func (k *kit) movement(webhookID string) (m tocsin.Movement) {
	k.t.Helper()
	m = k.series(webhookID, time.Hour).Total
	k.same("in a day, and in an hour", k.series(webhookID, 24*time.Hour).Total, m)
	return m
}

func seriesOfNothing(k *kit) {
	k.same("moved in an empty store", k.movement(""), tocsin.Movement{})
	k.same("moved for a webhook that is not there", k.movement("wh_unknown"), tocsin.Movement{})
	for _, window := range []time.Duration{0, time.Minute, 2 * time.Hour, -time.Hour} {
		_, err := k.s.Series(k.ctx, "", window)
		k.code(err, tocsin.CodeInvalid)
	}
}

func seriesOf(k *kit) {
	a, b := k.webhook("a"), k.webhook("b")
	k.owe(0, 10, a.ID, b.ID)
	muted := Owe(Event(10), a.ID)
	muted.Owed[0].Suppressed = tocsin.MutedBy("mute_1")
	MustAppend(k.t, k.s, muted)
	f := k.begin(a.ID).Fence
	d := k.plan(f, 1, 2, 3, 1)
	k.record(f, k.claim(f, d[0]), tocsin.DeliveryReady, nil)
	k.record(f, k.claim(f, d[0]), delivered, nil)
	c := k.claim(f, d[1])
	k.record(f, c, dead, nil)
	k.record(f, c, dead, nil) // again
	k.record(f, k.claim(f, d[2]), tocsin.DeliverySplit, func(o *tocsin.Outcome) {
		o.Dead, o.Children = map[int]string{0: "bad"}, halves([]int{1})
	})
	k.claim(f, d[3]) // whose process dies
	want := tocsin.Movement{Accepted: 11, Delivered: 2, Dead: 3, Suppressed: 1, Attempts: 4, Failed: 2}
	all := tocsin.Movement{Events: 11, Accepted: 21, Delivered: 2, Dead: 3, Suppressed: 1, Attempts: 4, Failed: 2}
	k.folded(func() {
		k.same("of a", k.movement(a.ID), want)
		k.same("of b", k.movement(b.ID), tocsin.Movement{Accepted: 10})
		k.same("of all", k.movement(""), all)
	})
	// What is redelivered is not dead any more.
	_, err := k.s.Redeliver(k.ctx, d[1])
	k.ok(err)
	want.Dead, all.Dead = 1, 1
	k.folded(func() {
		k.same("of a, redelivered", k.movement(a.ID), want)
		k.same("of all, redelivered", k.movement(""), all)
	})
	// Beside everything that moves, the sums are those of the ledger.
	balances := CheckLedger(k.t, k.s)
	for _, w := range []tocsin.Webhook{a, b} {
		k.agrees(w.Name, k.movement(w.ID), balances[w.ID])
	}
}

// agrees compares what moved since the store was empty with a balance.
func (k *kit) agrees(what string, m tocsin.Movement, b tocsin.Balance) {
	k.t.Helper()
	k.same("movement and balance of "+what, []int64{m.Accepted, m.Delivered, m.Dead, m.Suppressed}, []int64{b.Accepted, b.Delivered, b.Dead, b.Suppressed})
}

func seriesEvents(k *kit) {
	a, b := k.webhook("a"), k.webhook("b")
	k.owe(0, 3)
	k.owe(3, 4, a.ID, b.ID)
	MustAppend(k.t, k.s, Owe(Event(0), a.ID), Owe(Event(5), a.ID), Owe(Event(7)), Owe(Event(7)), Owe(Event(8), b.ID))
	k.folded(func() {
		k.same("of all", k.movement(""), tocsin.Movement{Events: 9, Accepted: 9})
		k.same("of one", k.movement(a.ID), tocsin.Movement{Accepted: 4})
		balances, err := k.s.Balances(k.ctx)
		k.ok(err)
		k.same("balances", len(balances), 2) // events that nobody is owed are of none
	})
}

func (k *kit) facts(id string) tocsin.WebhookFacts {
	k.t.Helper()
	all, err := k.s.WebhookFacts(k.ctx, id)
	k.ok(err)
	f, found := all[id]
	if !found {
		k.t.Fatalf("no facts of %s", id)
	}
	return f
}

func factsOf(k *kit) {
	a, b, nothing := k.webhook("a"), k.webhook("b"), k.webhook("nothing")
	before := k.now()
	k.laterThan(before)
	k.owe(0, 4, a.ID, b.ID)
	f := k.begin(a.ID).Fence
	d := k.plan(f, 1, 1)
	k.record(f, k.claim(f, d[0]), delivered, nil)
	k.record(f, k.claim(f, d[1]), tocsin.DeliveryReady, nil)
	k.folded(func() {
		all, err := k.s.WebhookFacts(k.ctx, b.ID, a.ID, nothing.ID, "wh_unknown", a.ID)
		k.ok(err)
		k.same("how many", len(all), 3)
		k.same("balance of a", all[a.ID].Balance, tocsin.Balance{WebhookID: a.ID, Webhook: "a", Accepted: 4, Delivered: 1, Pending: 2, InFlight: 1})
		k.same("attempts of a", []int{all[a.ID].Recent.Attempts, all[a.ID].Recent.Failed}, []int{2, 1})
		k.same("balance of b", all[b.ID].Balance, tocsin.Balance{WebhookID: b.ID, Webhook: "b", Accepted: 4, Pending: 4})
		k.same("attempts of b", all[b.ID].Recent, tocsin.Recent{})
		k.within("the oldest of a", all[a.ID].OldestAt, before, k.now())
		k.within("the oldest of b", all[b.ID].OldestAt, before, k.now())
		k.same("of nothing", all[nothing.ID], tocsin.WebhookFacts{Balance: tocsin.Balance{WebhookID: nothing.ID, Webhook: "nothing"}})
		none, err := k.s.WebhookFacts(k.ctx)
		k.ok(err)
		k.same("of none", len(none), 0)
	})
}

// factsRecent ends more attempts than are looked at: the first ones fail. Each ends with the
// claim of the next.
func factsRecent(k *kit) {
	const failed, left = 15, 5
	w := k.webhook("a")
	k.owe(0, tocsin.RecentAttempts-left+1, w.ID)
	f := k.begin(w.ID).Fence
	ids := k.plan(f, slices.Repeat([]int{1}, tocsin.RecentAttempts-left+1)...)
	c := k.claim(f, ids[0])
	next := func(state tocsin.DeliveryState, id string) {
		o := outcome(c, state, nil)
		var err error
		c, err = k.s.Advance(k.ctx, f, tocsin.Step{Record: &o, Claim: id})
		k.ok(err)
	}
	for range failed {
		next(tocsin.DeliveryReady, ids[0])
	}
	k.same("only failures", k.facts(w.ID).Recent.Failed, failed)
	for i, id := range ids[1:] {
		if i == 0 || i == 100 {
			k.ok(k.s.Fold(k.ctx))
		}
		next(delivered, id)
	}
	k.folded(func() {
		got := k.facts(w.ID).Recent
		k.same("attempts, failed", []int{got.Attempts, got.Failed}, []int{tocsin.RecentAttempts, left})
		if got.P50 < 0 || got.P95 < got.P50 || got.P95 > time.Minute {
			k.t.Fatalf("half took %v, 95 of 100 took %v", got.P50, got.P95)
		}
	})
}

func deliverySays(k *kit) {
	w := k.webhook("a")
	k.owe(0, 2, w.ID)
	f := k.begin(w.ID).Fence
	d := k.plan(f, 1, 1)
	says := func(id string) []string { return []string{k.delivery(id).ErrorClass, k.delivery(id).LastError} }
	k.same("before an attempt", says(d[0]), []string{"", ""})
	k.record(f, k.claim(f, d[0]), tocsin.DeliveryReady, func(o *tocsin.Outcome) { o.Attempt.ErrorClass, o.Attempt.Error = "dns", "no such host" })
	k.same("after the first", says(d[0]), []string{"dns", "no such host"})
	k.record(f, k.claim(f, d[0]), tocsin.DeliveryReady, func(o *tocsin.Outcome) { o.Attempt.ErrorClass, o.Attempt.Error = "timeout", "too slow" })
	k.same("after the second", says(d[0]), []string{"timeout", "too slow"})
	k.record(f, k.claim(f, d[0]), delivered, nil)
	k.same("after a success", says(d[0]), []string{"timeout", "too slow"})
	k.record(f, k.claim(f, d[1]), dead, nil)
	k.same("dead", says(d[1]), []string{"status", "posting to webhook: 500 Internal Server Error"})
	page, _, err := k.s.Deliveries(k.ctx, tocsin.DeliveryQuery{Page: tocsin.Page{Limit: 1}})
	k.ok(err)
	k.same("in a list", page[0], k.delivery(d[1]))
}

// found returns the names on all pages.
func (k *kit) found(q tocsin.WebhookQuery) (names []string) {
	k.t.Helper()
	for {
		page, next, err := k.s.FindWebhooks(k.ctx, q)
		k.ok(err)
		if len(page) > q.Limit {
			k.t.Fatalf("a page of %d for limit %d", len(page), q.Limit)
		}
		for _, w := range page {
			names = append(names, w.Name)
		}
		if next == "" {
			return names
		}
		q.Cursor = next
	}
}

func findWebhooks(k *kit) {
	create := func(name, channel, owner string) tocsin.Webhook {
		w := Webhook(name)
		w.Channel, w.Labels = channel, map[string]string{"owner": owner}
		stored, err := k.s.CreateWebhook(k.ctx, w)
		k.ok(err)
		return stored
	}
	slack := create("sec-alerts", "slack", "SecOps")
	paused := create("Alerts_2", "webhook", "100% ours")
	create("zoo", "webhook", "keepers")
	gone := create("gone-alerts", "slack", "secops")
	_, err := k.s.SetState(k.ctx, paused.ID, tocsin.StatePaused, "")
	k.ok(err)
	_, err = k.s.SetState(k.ctx, gone.ID, tocsin.StateDeleted, "")
	k.ok(err)
	for name, c := range map[string]struct {
		q    tocsin.WebhookQuery
		want []string
	}{
		"all":              {tocsin.WebhookQuery{}, []string{"Alerts_2", "sec-alerts", "zoo"}},
		"state":            {tocsin.WebhookQuery{State: tocsin.StatePaused}, []string{"Alerts_2"}},
		"deleted":          {tocsin.WebhookQuery{State: tocsin.StateDeleted}, nil},
		"channel":          {tocsin.WebhookQuery{Channel: "webhook"}, []string{"Alerts_2", "zoo"}},
		"both":             {tocsin.WebhookQuery{Channel: "slack", State: tocsin.StatePaused}, nil},
		"name":             {tocsin.WebhookQuery{Text: "alerts"}, []string{"Alerts_2", "sec-alerts"}},
		"label":            {tocsin.WebhookQuery{Text: "secops"}, []string{"sec-alerts"}},
		"key of a label":   {tocsin.WebhookQuery{Text: "owner"}, nil},
		"id":               {tocsin.WebhookQuery{Text: slack.ID}, []string{"sec-alerts"}},
		"underscore":       {tocsin.WebhookQuery{Text: "s_2"}, []string{"Alerts_2"}},
		"no single":        {tocsin.WebhookQuery{Text: "z_o"}, nil},
		"percent is plain": {tocsin.WebhookQuery{Text: "0% O"}, []string{"Alerts_2"}},
		"quote":            {tocsin.WebhookQuery{Text: `' OR 1=1 --`}, nil},
	} {
		c.q.Limit = 2
		k.same(name, k.found(c.q), c.want)
	}
	_, _, err = k.s.FindWebhooks(k.ctx, tocsin.WebhookQuery{Page: tocsin.Page{Cursor: "no cursor'", Limit: 10}})
	k.code(err, tocsin.CodeInvalid)
}

func findPages(k *kit) {
	var want []string
	for i := range 7 {
		want = append(want, MustCreate(k.t, k.s, fmt.Sprint("w", i)).Name)
	}
	for _, limit := range []int{1, 3, 6, 7, 8} {
		k.same("names", k.found(tocsin.WebhookQuery{Page: tocsin.Page{Limit: limit}}), want)
	}
	page, next, err := k.s.FindWebhooks(k.ctx, tocsin.WebhookQuery{Page: tocsin.Page{Limit: 2}})
	k.ok(err)
	one, err := k.s.Webhook(k.ctx, page[1].ID)
	k.ok(err)
	k.same("one in a list", page[1], one)
	_, err = k.s.SetState(k.ctx, page[1].ID, tocsin.StateDeleted, "")
	k.ok(err)
	k.same("after one that is gone", k.found(tocsin.WebhookQuery{Page: tocsin.Page{Limit: 9, Cursor: next}}), want[2:])
}

// factsRejected counts events, each of which may be wrong in several ways.
func factsRejected(k *kit) {
	a, b := k.webhook("a"), k.webhook("b")
	first, second := 0, 1
	wrong := func(event *int, field string) tocsin.Rejection {
		return tocsin.Rejection{FieldError: tocsin.FieldError{Index: event, Field: field, Message: "is wrong"}}
	}
	k.ok(k.s.Reject(k.ctx, a.ID, "run/1", []tocsin.Rejection{wrong(&first, "type"), wrong(&first, "data"), wrong(&second, "type")}))
	before := k.now()
	k.ok(k.s.Reject(k.ctx, a.ID, "run/2", []tocsin.Rejection{wrong(&first, "type")}))
	k.ok(k.s.Reject(k.ctx, a.ID, "run/3", []tocsin.Rejection{wrong(nil, "")}))
	facts, err := k.s.WebhookFacts(k.ctx, a.ID, b.ID)
	k.ok(err)
	k.same("rejected of a", facts[a.ID].Rejected, 4)
	k.within("the last", facts[a.ID].RejectedAt, before.Add(-time.Second), k.now().Add(time.Second))
	k.same("rejected of b", facts[b.ID].Rejected, 0)
	k.same("the last of b", facts[b.ID].RejectedAt == nil, true)
}

func rejected(k *kit) {
	a, b := k.webhook("a"), k.webhook("b")
	numbers := func(id string, p tocsin.Page) (out []int) {
		for {
			page, next, err := k.s.Rejected(k.ctx, id, p)
			k.ok(err)
			for _, r := range page {
				out = append(out, *r.Index)
			}
			if next == "" {
				return out
			}
			p.Cursor = next
		}
	}
	batch := func(from, n int) (all []tocsin.Rejection) {
		for i := range n {
			place := from + i
			all = append(all, tocsin.Rejection{FieldError: tocsin.FieldError{Index: &place, Field: "severity", Message: "is none"}, Source: "/s", ID: fmt.Sprint(place), Type: "custom.x"})
		}
		return all
	}
	before := k.now()
	k.ok(k.s.Reject(k.ctx, a.ID, "run/1", batch(0, 3)))
	k.ok(k.s.Reject(k.ctx, a.ID, "run/1", batch(0, 3))) // an activity that was repeated
	k.ok(k.s.Reject(k.ctx, b.ID, "run/1", []tocsin.Rejection{{FieldError: tocsin.FieldError{Field: "events", Message: "not \x00 JSON \xff"}}}))
	k.ok(k.s.Reject(k.ctx, a.ID, "run/2", nil))
	for _, limit := range []int{1, 2, 3, 4} {
		k.same("of a", numbers(a.ID, tocsin.Page{Limit: limit}), []int{2, 1, 0})
	}
	page, _, err := k.s.Rejected(k.ctx, a.ID, tocsin.Page{Limit: 1})
	k.ok(err)
	want := batch(2, 1)[0]
	k.within("its moment", &page[0].At, before, k.now().Add(time.Second))
	want.At = page[0].At
	k.same("one", page[0], want)
	page, _, err = k.s.Rejected(k.ctx, b.ID, tocsin.Page{Limit: 9})
	k.ok(err)
	k.same("of no event", page, []tocsin.Rejection{{At: page[0].At, FieldError: tocsin.FieldError{Field: "events", Message: "not \uFFFD JSON \uFFFD"}}})

	k.ok(k.s.Reject(k.ctx, a.ID, "run/3", batch(10, 2*tocsin.MaxRejections)))
	var latest []int
	for i := range tocsin.MaxRejections {
		latest = append(latest, 10+tocsin.MaxRejections+i)
	}
	slices.Reverse(latest)
	k.same("the latest", numbers(a.ID, tocsin.Page{Limit: 30}), latest)
	_, _, err = k.s.Rejected(k.ctx, a.ID, tocsin.Page{Cursor: "no cursor", Limit: 10})
	k.code(err, tocsin.CodeInvalid)
	got, _ := k.prune(tocsin.Retention{Audit: atOnce}, 1000)
	k.same("pruned with the audit log", got, tocsin.Pruned{})
	got, _ = k.prune(tocsin.Retention{History: atOnce}, 30)
	k.same("pruned", got, tocsin.Pruned{Rejections: tocsin.MaxRejections + 1})
	k.same("left", numbers(a.ID, tocsin.Page{Limit: 9}), []int(nil))
}
