package storetest

import (
	"time"

	"github.com/tocsin-alerts/tocsin"
)

var incidentRuleCases = []testCase{
	{"what opens an incident is no repeat", opensIsNoRepeat},
	{"what opens an incident is remembered", opensIsRemembered},
	{"what opens an incident may be muted", opensIsMuted},
	{"a step is made stricter before it is due", stricterWaiting},
	{"a stricter step counts although somebody acknowledged", stricterAcknowledged},
	{"a stricter step without After reaches its webhook", stricterAtOnce},
	{"Reach replaces what a webhook that was reached is owed", reachReplaces},
	{"two that escalate to the same webhook at the same time", sameTime},
	{"one that escalates to the same webhook twice", sameWebhook},
	{"two that escalate to the same webhook, and another event between", sameTimeOtherEvent},
	{"two that escalate to the same webhook at different times", otherTime},
}

// opening returns an event that fires, is owed with RepeatAfter and brings steps.
func opening(n int, key, webhookID string, steps ...tocsin.Escalated) tocsin.NewEvent {
	e := firing(n, key, webhookID, steps...)
	e.Owed[0].RepeatAfter = time.Hour
	return e
}

func opensIsNoRepeat(k *kit) {
	h := k.hooks("a", "pager", "b")
	a, pager, b := h[0].ID, h[1].ID, h[2].ID
	k.appended(opening(0, "x", a, after(0, pager)), []string{a, pager}, "x")
	k.appended(opening(1, "x", a, after(0, pager)), nil)
	k.append(changing(2, k.incident("x"), tocsin.IncidentResolved, pager))
	k.appended(opening(3, "x", a, after(0, pager)), []string{a, pager}, "x")
	k.appended(opening(4, "x", a, after(0, pager)), nil)
	// By an end that a has not heard of, all in one batch.
	k.append(resolving(5, "x", pager), opening(6, "x", a, after(0, pager)), opening(7, "x", a, after(0, pager)), resolving(8, "x", pager), opening(9, "x", a, after(0, pager)))
	// What brings no steps may be a repeat, also beside what does.
	other := opening(10, "y", a, after(0, pager))
	other.Owed = append(other.Owed, opening(10, "y", b).Owed...)
	k.append(opening(11, "y", b), other)
	k.same("for b", k.verdicts(h[2], 10, 2), []string{"repeat", "pending"})
	k.same("incidents", len(k.incidents("x")), 4)
	k.same("for a", k.verdicts(h[0], 0, 10), []string{"pending", "repeat", "pending", "repeat", "pending", "repeat", "pending"})
	k.same("for pager", k.verdicts(h[1], 0, 10), []string{"pending", "pending", "pending", "pending", "pending", "pending", "pending"})
}

func opensIsRemembered(k *kit) {
	h := k.hooks("a", "pager")
	a, pager := h[0].ID, h[1].ID
	k.append(repeat(0, "x", tocsin.Resolved, time.Hour, a))
	k.appended(opening(1, "x", a, after(0, pager)), []string{a, pager}, "x")
	k.appended(repeat(2, "x", tocsin.Firing, time.Hour, a), nil)
	k.appended(repeat(3, "x", tocsin.Resolved, time.Hour, a), []string{a}, "x")
}

func opensIsMuted(k *kit) {
	h := k.hooks("a", "pager")
	n := opening(0, "x", h[0].ID, after(0, h[1].ID))
	n.Owed[0].Suppressed = tocsin.MutedBy("mute_1")
	k.appended(n, nil)
	k.same("incidents", len(k.incidents("x")), 0)
	k.same("for a", k.verdicts(h[0], 0, 1), []string{"muted mute_1"})
}

func stricterWaiting(k *kit) {
	h := k.hooks("a", "lead")
	a, lead := h[0].ID, h[1].ID
	k.append(firing(0, "x", a, unless(time.Hour, lead)))
	before := k.incident("x")
	stricter := firing(1, "x", a, after(time.Hour, lead))
	stricter.Event.Severity = tocsin.SeverityInfo // no worse
	k.appended(stricter, []string{a}, "x")
	got := k.incident("x")
	want := before.Steps[0]
	want.Unless = ""
	k.same("steps", got.Steps, []tocsin.IncidentStep{want})
	if got.Version <= before.Version {
		k.t.Fatalf("version %d after %d: it must grow", got.Version, before.Version)
	}
	// Not back again.
	laxer := firing(2, "x", a, unless(time.Hour, lead))
	laxer.Event.Severity = tocsin.SeverityInfo
	k.appended(laxer, []string{a})
	k.append(changing(3, got, tocsin.IncidentAcknowledged))
	k.same("steps after acknowledging", steps(k.incident("x")), []string{lead + " waiting"})
}

func stricterAcknowledged(k *kit) {
	h := k.hooks("a", "lead")
	a, lead := h[0].ID, h[1].ID
	k.append(firing(0, "x", a, unless(soon, lead), unless(time.Hour, lead)))
	k.append(changing(1, k.incident("x"), tocsin.IncidentAcknowledged))
	before := k.incident("x")
	k.same("steps before", steps(before), []string{lead + " skipped: acknowledged", lead + " skipped: acknowledged"})
	k.appended(firing(2, "x", a, after(soon, lead)), []string{a}, "x")
	got, at := k.incident("x"), k.event(2).ReceivedAt
	want := before.Steps[0]
	want.Unless, want.Reason, want.State, want.DueAt = "", "", tocsin.StepWaiting, at.Add(soon)
	k.same("steps", got.Steps, []tocsin.IncidentStep{want, before.Steps[1]})
	if got.Version <= before.Version {
		k.t.Fatalf("version %d after %d: it must grow", got.Version, before.Version)
	}
	k.escalate(got, got.Steps[0], "")
	k.same("for lead", k.verdicts(h[1], 0, 3), []string{"pending"})
}

func stricterAtOnce(k *kit) {
	h := k.hooks("a", "b", "pager")
	a, b, pager := h[0].ID, h[1].ID, h[2].ID
	k.append(firing(0, "x", b, after(time.Hour, b)))
	k.append(changing(1, k.incident("x"), tocsin.IncidentAcknowledged))
	k.appended(firing(2, "x", a, unless(0, pager)), []string{a}, "x")
	k.appended(firing(3, "x", a, unless(0, pager), after(0, pager)), []string{a, pager}, "x")
	at := k.event(3).ReceivedAt
	got := k.incident("x").Steps[0]
	want := tocsin.IncidentStep{ID: got.ID, WebhookID: a, To: pager, State: tocsin.StepDone, Seq: k.event(3).Seq, DueAt: at, DoneAt: &at}
	k.same("the step", got, want)
	k.appended(resolving(4, "x", pager), []string{pager}, "x")
	k.same("for pager", k.verdicts(h[2], 0, 5), []string{"pending", "pending"})
}

func reachReplaces(k *kit) {
	h := k.hooks("a", "pager", "lead")
	a, pager, lead := h[0].ID, h[1].ID, h[2].ID
	page := after(0, pager)
	page.RepeatAfter = time.Hour
	// owed is what pager and lead are owed since they select it.
	owed := func(n tocsin.NewEvent) tocsin.NewEvent {
		n.Owed = []tocsin.Obligation{{WebhookID: pager, BatchKey: "own"}, {WebhookID: lead, BatchKey: "own"}}
		for i := range n.Reach {
			n.Reach[i].RepeatAfter = time.Nanosecond
		}
		return n
	}
	k.append(firing(0, "x", a, page, after(time.Hour, lead)))
	first := k.incident("x")
	k.appended(owed(changing(1, first, tocsin.IncidentAcknowledged, pager, lead)), []string{pager, lead}, "x")
	k.appended(owed(changing(2, first, tocsin.IncidentAcknowledged, pager, lead)), []string{pager, lead})
	k.appended(owed(changing(3, first, tocsin.IncidentResolved, pager, lead)), []string{pager, lead}, "x")
	k.appended(owed(resolving(4, "x", pager, lead)), []string{pager, lead})
	// The end is the last that pager has heard, so that this is no repeat.
	k.appended(firing(5, "x", a, page), []string{a, pager}, "x")
	quiet := owed(resolving(6, "x", pager))
	quiet.Reach[0].Suppressed = tocsin.MutedBy("mute_1")
	k.appended(quiet, []string{lead}, "x")
	keys := func(w tocsin.Webhook) (out []string) {
		_, pending := k.work(k.begin(w.ID).Fence)
		for _, p := range pending {
			out = append(out, p.BatchKey)
		}
		return out
	}
	k.same("what pager is owed", keys(h[1]), []string{"step", "reach", "own", "reach", "own", "step"})
	k.same("what lead is owed", keys(h[2]), []string{"own", "own", "own", "own", "own"})
	k.balance(h[1], tocsin.Balance{Accepted: 7, Pending: 6, Suppressed: 1})
}

// both is an event of which a and b lead to the same webhook.
func both(n int, a, b, to string, first, second time.Duration) tocsin.NewEvent {
	e := firing(n, "x", a, after(first, to))
	e.Owed = append(e.Owed, firing(n, "x", b, after(second, to)).Owed...)
	return e
}

func sameTime(k *kit) {
	h := k.hooks("a", "b", "lead", "c")
	a, b, lead, c := h[0].ID, h[1].ID, h[2].ID, h[3].ID
	three := both(0, a, b, lead, soon, soon)
	three.Owed = append(three.Owed, firing(0, "x", c, after(soon, lead)).Owed...)
	k.append(three)
	i := k.incident("x")
	for _, s := range i.Steps {
		before := i
		if i = k.escalate(i, s, ""); i.Version <= before.Version {
			k.t.Fatalf("version %d after %d: it must grow", i.Version, before.Version)
		}
	}
	k.same("steps", steps(i), []string{lead + " done", lead + " done", lead + " done"})
	k.same("what they owed", []int64{i.Steps[0].Seq, i.Steps[1].Seq, i.Steps[2].Seq}, []int64{k.event(0).Seq, 0, 0})
	k.balance(h[2], tocsin.Balance{Accepted: 1, Pending: 1})
	k.appended(resolving(1, "x", lead), []string{lead}, "x")
}

// sameWebhook: who says it twice means it, also where both come late.
func sameWebhook(k *kit) {
	h := k.hooks("a", "lead")
	a, lead := h[0].ID, h[1].ID
	k.append(firing(0, "x", a, after(0, lead), after(soon, lead), after(2*soon, lead)))
	i := k.incident("x")
	i = k.escalate(i, i.Steps[1], "")
	k.escalate(i, i.Steps[2], "")
	k.balance(h[1], tocsin.Balance{Accepted: 3, Pending: 3})
}

func sameTimeOtherEvent(k *kit) {
	h := k.hooks("a", "b", "lead")
	a, b, lead := h[0].ID, h[1].ID, h[2].ID
	k.append(both(0, a, b, lead, soon, soon))
	i := k.incident("x")
	k.escalate(i, i.Steps[0], "")
	k.append(both(1, a, b, lead, soon, soon))
	i = k.incident("x")
	k.escalate(i, i.Steps[1], "")
	k.same("for lead", k.verdicts(h[2], 0, 2), []string{"pending", "pending"})
}

// otherTime: what is due later than another step was done is a reminder.
func otherTime(k *kit) {
	const late = 30 * time.Millisecond
	h := k.hooks("a", "b", "lead")
	a, b, lead := h[0].ID, h[1].ID, h[2].ID
	k.append(both(0, a, b, lead, 0, late))
	i := k.incident("x")
	i = k.escalate(i, i.Steps[1], "")
	k.same("what they owed", []int64{i.Steps[0].Seq, i.Steps[1].Seq}, []int64{i.Seq, i.Seq})
	k.balance(h[2], tocsin.Balance{Accepted: 2, Pending: 2})
}

// stepStale: an obligation is for the event it was made for, and so is a reason to skip.
func stepStale(k *kit) {
	h := k.hooks("a", "lead")
	k.append(firing(0, "x", h[0].ID, after(soon, h[1].ID)))
	stale := k.incident("x")
	k.append(firing(1, "x", h[0].ID, after(soon, h[1].ID)))
	now := k.incident("x")
	k.same("by what was due for the event before", k.escalate(stale, stale.Steps[0], ""), now)
	k.same("by why it was not", k.escalate(stale, stale.Steps[0], "gone"), now)
	k.escalate(now, now.Steps[0], "")
	k.balance(h[1], tocsin.Balance{Accepted: 1, Pending: 1})
}
