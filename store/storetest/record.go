package storetest

import (
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tocsin-alerts/tocsin"
)

var recordCases = []testCase{
	{"delivered", recordDelivered},
	{"delivered but for some that are dead", recordSomeDead},
	{"dead", recordDead},
	{"to be tried again", recordReady},
	{"recording twice is recording once", recordTwice},
	{"backoff holds for the webhook when the delivery has ended", recordBackoff},
	{"backoff of an old version is ignored", recordOldVersion},
	{"failures count in a row", recordFailures},
	{"failing, and active again", recordFailing},
	{"disabled adds to the version", recordDisabled},
	{"a state decided under an old version is ignored", recordStateOldVersion},
	{"an attempt comes back whole", recordAttempt},
	{"of concurrent records one counts", recordRace},
}

// claimed prepares a webhook with one claimed delivery of n events.
func (k *kit) claimed(n int) (tocsin.Webhook, tocsin.Fence, tocsin.Claimed) {
	k.t.Helper()
	w := k.webhook("a")
	k.owe(0, n, w.ID)
	f := k.begin(w.ID).Fence
	return w, f, k.claim(f, k.plan(f, n)[0])
}

// buckets returns bucket and reason of a webhook's events, in order of their places.
func (k *kit) buckets(w tocsin.Webhook, n int) []tocsin.Trace {
	k.t.Helper()
	var out []tocsin.Trace
	for i := range n {
		e, err := k.s.Event(k.ctx, "storetest", Event(i).ID)
		k.ok(err)
		traces, err := k.s.Traces(k.ctx, e.Seq)
		k.ok(err)
		for _, tr := range traces {
			if tr.WebhookID == w.ID {
				tr.WebhookID, tr.Generation = "", 0
				out = append(out, tr)
			}
		}
	}
	return out
}

func recordDelivered(k *kit) {
	w, f, c := k.claimed(3)
	k.record(f, c, tocsin.DeliveryDelivered, nil)
	d := k.delivery(c.Delivery.ID)
	k.same("state", d.State, tocsin.DeliveryDelivered)
	if d.FinishedAt == nil || d.FinishedAt.Before(c.At) {
		k.t.Fatalf("finished at %v, claimed at %v", d.FinishedAt, c.At)
	}
	k.same("last delivery", k.activity(w.ID), tocsin.Activity{LastDelivery: d.FinishedAt})
	k.balance(w, tocsin.Balance{Accepted: 3, Delivered: 3})
	open, _ := k.work(f)
	k.same("open", len(open), 0)
}

func recordSomeDead(k *kit) {
	w, f, c := k.claimed(3)
	k.record(f, c, tocsin.DeliveryDelivered, func(o *tocsin.Outcome) { o.Dead = map[int]string{1: "too long"} })
	k.same("state", k.delivery(c.Delivery.ID).State, tocsin.DeliveryDelivered)
	k.balance(w, tocsin.Balance{Accepted: 3, Delivered: 2, Dead: 1})
	id := c.Delivery.ID
	k.same("traces", k.buckets(w, 3), []tocsin.Trace{
		{Bucket: "delivered", DeliveryID: id}, {Bucket: "dead", Reason: "too long", DeliveryID: id}, {Bucket: "delivered", DeliveryID: id},
	})
}

func recordDead(k *kit) {
	w, f, c := k.claimed(2)
	k.record(f, c, tocsin.DeliveryDead, func(o *tocsin.Outcome) { o.Reason = "400 Bad Request" })
	d := k.delivery(c.Delivery.ID)
	k.same("state", d.State, tocsin.DeliveryDead)
	k.same("reason", d.Reason, "400 Bad Request")
	if d.FinishedAt == nil {
		k.t.Fatal("a dead delivery is not finished")
	}
	k.balance(w, tocsin.Balance{Accepted: 2, Dead: 2})
	dead := tocsin.Trace{Bucket: "dead", Reason: "400 Bad Request", DeliveryID: d.ID}
	k.same("traces", k.buckets(w, 2), []tocsin.Trace{dead, dead})
}

func recordReady(k *kit) {
	w, f, c := k.claimed(2)
	k.record(f, c, tocsin.DeliveryReady, func(o *tocsin.Outcome) { o.Backoff = time.Hour })
	d := k.delivery(c.Delivery.ID)
	k.same("state", d.State, tocsin.DeliveryReady)
	k.same("finished", d.FinishedAt, (*time.Time)(nil))
	due := k.activity(w.ID).DueAt
	if due == nil || due.Before(c.At.Add(time.Hour)) || due.After(k.begin(w.ID).Now.Add(time.Hour)) {
		k.t.Fatalf("due at %v, claimed at %v", due, c.At)
	}
	k.balance(w, tocsin.Balance{Accepted: 2, InFlight: 2})
	f = k.begin(w.ID).Fence
	k.record(f, k.claim(f, d.ID), tocsin.DeliveryReady, func(o *tocsin.Outcome) { o.Backoff = time.Minute })
	k.same("due after a shorter backoff", *k.activity(w.ID).DueAt, *due)
	k.ok(k.s.RunNow(k.ctx, w.ID))
	k.record(f, k.claim(f, d.ID), tocsin.DeliveryReady, nil)
	if l := k.begin(w.ID); l.DueAt != nil && l.DueAt.After(l.Now) {
		k.t.Fatalf("due at %v with no backoff, now %v", l.DueAt, l.Now)
	}
}

// recordTwice repeats each kind, as after a commit whose answer was lost.
func recordTwice(k *kit) {
	w := k.webhook("a")
	k.owe(0, 8, w.ID)
	f := k.begin(w.ID).Fence
	for i, id := range k.plan(f, 2, 2, 2, 2) {
		c := k.claim(f, id)
		state := []tocsin.DeliveryState{tocsin.DeliveryReady, tocsin.DeliveryDelivered, tocsin.DeliveryDead, tocsin.DeliverySplit}[i]
		o := outcome(c, state, func(o *tocsin.Outcome) {
			o.Failed, o.Backoff = true, time.Hour
			if state == tocsin.DeliverySplit {
				o.Children = []tocsin.Child{{ID: tocsin.NewID(tocsin.PrefixDelivery), Places: []int{0}}, {ID: tocsin.NewID(tocsin.PrefixDelivery), Places: []int{1}}}
			}
		})
		k.ok(k.tryRecord(f, o))
		before := k.picture(w, f)
		k.ok(k.tryRecord(f, o))
		if diff := cmp.Diff(before, k.picture(w, f), cmpopts.EquateEmpty()); diff != "" {
			k.t.Fatalf("recording %s again changed (-before +after):\n%s", state, diff)
		}
	}
}

// recordBackoff: a delivery that is given up, or split, says no less of its receiver than
// one that is tried again.
func recordBackoff(k *kit) {
	for i, state := range []tocsin.DeliveryState{tocsin.DeliveryDead, tocsin.DeliverySplit} {
		w := k.webhook(string(state))
		k.owe(10*i, 6, w.ID)
		f := k.begin(w.ID).Fence
		d := k.plan(f, 2, 2, 2)
		end := func(id string, backoff time.Duration) *time.Time {
			k.t.Helper()
			k.record(f, k.claim(f, id), state, func(o *tocsin.Outcome) {
				if o.Backoff = backoff; state == tocsin.DeliverySplit {
					o.Children = halves([]int{0}, []int{1})
				}
			})
			return k.activity(w.ID).DueAt
		}
		k.same("due without a backoff", end(d[0], 0), (*time.Time)(nil))
		before := k.now()
		due := end(d[1], time.Hour)
		if due == nil || due.Before(before.Add(time.Hour)) || due.After(k.now().Add(time.Hour)) {
			k.t.Fatalf("%s: due at %v, want an hour after %v", state, due, before)
		}
		k.same("due after a shorter backoff", end(d[2], time.Minute), due)
	}
}

func recordOldVersion(k *kit) {
	w, f, c := k.claimed(1)
	_, err := k.s.UpdateWebhook(k.ctx, w)
	k.ok(err)
	k.record(f, c, tocsin.DeliveryReady, func(o *tocsin.Outcome) { o.Backoff = time.Hour })
	k.same("due", k.activity(w.ID).DueAt, (*time.Time)(nil))
	k.same("state", k.delivery(c.Delivery.ID).State, tocsin.DeliveryReady)
}

func recordFailures(k *kit) {
	w := k.webhook("a")
	k.owe(0, 6, w.ID)
	f := k.begin(w.ID).Fence
	planned := k.plan(f, 1, 1, 2, 2)
	step := func(id string, state tocsin.DeliveryState, failed bool, want int, adjust func(*tocsin.Outcome)) {
		k.t.Helper()
		k.record(f, k.claim(f, id), state, func(o *tocsin.Outcome) {
			o.Failed = failed
			if adjust != nil {
				adjust(o)
			}
		})
		k.same("failures", k.activity(w.ID).Failures, want)
	}
	step(planned[0], tocsin.DeliveryReady, true, 1, nil)
	k.same("last error", k.activity(w.ID).LastError, "posting to webhook: 500 Internal Server Error")
	step(planned[0], tocsin.DeliveryReady, true, 2, nil)
	step(planned[0], tocsin.DeliveryReady, false, 2, nil)
	step(planned[1], tocsin.DeliveryDead, true, 3, func(o *tocsin.Outcome) { o.Rejected = true })
	l := k.begin(w.ID)
	k.same("rejections", l.Rejections, 1)
	f = l.Fence
	halves := []tocsin.Child{{ID: tocsin.NewID(tocsin.PrefixDelivery), Places: []int{0}}, {ID: tocsin.NewID(tocsin.PrefixDelivery), Places: []int{1}}}
	step(planned[2], tocsin.DeliverySplit, true, 4, func(o *tocsin.Outcome) { o.Children = halves })
	step(planned[3], tocsin.DeliverySplit, false, 0, func(o *tocsin.Outcome) {
		o.Children = []tocsin.Child{{ID: tocsin.NewID(tocsin.PrefixDelivery), Places: []int{1}}}
	})
	step(planned[0], tocsin.DeliveryReady, true, 1, nil)
	step(planned[0], tocsin.DeliveryDelivered, false, 0, nil)
	k.same("rejections after a success", k.begin(w.ID).Rejections, 0)
	k.same("last error stays", k.activity(w.ID).LastError, "posting to webhook: 500 Internal Server Error")
}

func recordFailing(k *kit) {
	w, f, c := k.claimed(1)
	revision, _, err := k.s.ListWebhooks(k.ctx)
	k.ok(err)
	k.record(f, c, tocsin.DeliveryReady, func(o *tocsin.Outcome) {
		o.WebhookState, o.WebhookReason = tocsin.StateFailing, "401 Unauthorized"
	})
	got, err := k.s.Webhook(k.ctx, w.ID)
	k.ok(err)
	want := w
	want.State, want.StateReason, want.StateSince = tocsin.StateFailing, "401 Unauthorized", got.StateSince
	k.sameWebhook("failing", got, want)
	c = k.claim(f, c.Delivery.ID) // a failing webhook probes
	k.record(f, c, tocsin.DeliveryDelivered, func(o *tocsin.Outcome) { o.WebhookState = tocsin.StateActive })
	got, err = k.s.Webhook(k.ctx, w.ID)
	k.ok(err)
	want.State, want.StateReason, want.StateSince = tocsin.StateActive, "", got.StateSince
	k.sameWebhook("active again", got, want)
	after, _, err := k.s.ListWebhooks(k.ctx)
	k.ok(err)
	k.same("revision", after, revision)
}

func recordDisabled(k *kit) {
	w, f, c := k.claimed(1)
	revision, _, err := k.s.ListWebhooks(k.ctx)
	k.ok(err)
	k.record(f, c, tocsin.DeliveryReady, func(o *tocsin.Outcome) {
		o.WebhookState, o.WebhookReason, o.Failed, o.Backoff = tocsin.StateDisabled, "410 Gone", true, time.Hour
	})
	got, err := k.s.Webhook(k.ctx, w.ID)
	k.ok(err)
	want := w
	want.State, want.StateReason, want.StateSince, want.Version, want.UpdatedAt = tocsin.StateDisabled, "410 Gone", got.StateSince, 2, got.UpdatedAt
	k.sameWebhook("disabled", got, want)
	after, _, err := k.s.ListWebhooks(k.ctx)
	k.ok(err)
	k.same("revision", after, revision+1)
	k.same("backoff", k.activity(w.ID).DueAt, (*time.Time)(nil))
	_, err = k.tryClaim(f, c.Delivery.ID)
	k.is(err, tocsin.ErrVersion)
	k.balance(w, tocsin.Balance{Accepted: 1, InFlight: 1}) // held, not dropped
	_, err = k.s.SetState(k.ctx, w.ID, tocsin.StateActive, "")
	k.ok(err)
	k.same("failures after enabling", k.activity(w.ID).Failures, 0)
}

// recordStateOldVersion: what was learned of an old configuration says nothing about
// the new one, and never lifts a pause.
func recordStateOldVersion(k *kit) {
	w, f, c := k.claimed(1)
	for _, learned := range []tocsin.State{tocsin.StateFailing, tocsin.StateActive, tocsin.StateDisabled} {
		paused, err := k.s.SetState(k.ctx, w.ID, tocsin.StatePaused, "maintenance")
		k.ok(err)
		k.record(f, c, tocsin.DeliveryReady, func(o *tocsin.Outcome) { o.WebhookState = learned })
		got, err := k.s.Webhook(k.ctx, w.ID)
		k.ok(err)
		k.sameWebhook("after "+string(learned), got, paused)
		_, err = k.s.SetState(k.ctx, w.ID, tocsin.StateActive, "")
		k.ok(err)
		f = k.begin(w.ID).Fence
		c = k.claim(f, c.Delivery.ID)
	}
}

func recordAttempt(k *kit) {
	_, f, c := k.claimed(1)
	want := tocsin.Attempt{
		Number: 1, StartedAt: c.At, Outcome: "throttled", ErrorClass: "status", Error: "posting: 429 <Too Many> \"ü\"",
		RetryAfter: tocsin.Duration(90 * time.Second),
		Exchanges: []tocsin.Exchange{{
			Method: "POST", URL: "https://example.com/…", RequestHeaders: map[string]string{"webhook-id": c.Delivery.ID},
			RequestBody: `{"a":1}`, RequestBytes: 7, Status: 429, ResponseHeaders: map[string]string{"retry-after": "90"},
			ResponseBody: "slow down\x01\n", RemoteAddr: "192.0.2.1:443", Timings: tocsin.Timings{Total: 12.5},
		}},
	}
	k.record(f, c, tocsin.DeliveryReady, func(o *tocsin.Outcome) { o.Attempt = want })
	_, attempts, _, err := k.s.Delivery(k.ctx, c.Delivery.ID)
	k.ok(err)
	k.same("number of attempts", len(attempts), 1)
	if attempts[0].FinishedAt == nil || attempts[0].FinishedAt.Before(c.At) {
		k.t.Fatalf("finished at %v, started at %v", attempts[0].FinishedAt, c.At)
	}
	want.FinishedAt = attempts[0].FinishedAt
	k.same("attempt", attempts[0], want)
}

// recordRace has two holders record the same delivery, one of them stale.
func recordRace(k *kit) {
	w := k.webhook("a")
	const rounds = 15
	for i := range rounds {
		k.owe(i*2, 2, w.ID)
		old := k.begin(w.ID).Fence
		id := k.plan(old, 2)[0]
		first := k.claim(old, id)
		now := k.begin(w.ID).Fence
		second := k.claim(now, id)
		errs := make(chan error, 2)
		go func() { errs <- k.tryRecord(old, outcome(first, tocsin.DeliveryDelivered, nil)) }()
		go func() { errs <- k.tryRecord(now, outcome(second, tocsin.DeliveryDead, nil)) }()
		k.ok(<-errs)
		k.ok(<-errs)
	}
	got := CheckLedger(k.t, k.s)[w.ID]
	k.same("settled", got.Delivered+got.Dead, int64(2*rounds))
}
