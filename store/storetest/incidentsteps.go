package storetest

import (
	"slices"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

var stepCases = []testCase{
	{"a step that is due owes the latest event", stepDue},
	{"a step that is not due, or not waiting, changes nothing", stepNot},
	{"what is due for an event that is not the latest any more", stepStale},
	{"a step may be skipped, or suppressed", stepSkipped},
	{"a step owes the next generation", stepGeneration},
	{"a step is no repeat", stepNoRepeat},
	{"a step that leads to somebody else", stepElsewhere},
	{"who was reached by a step hears of the end", stepReached},
	{"Attend has seen the latest", attend},
	{"Unattended finds what was not seen", unattendedVersion},
	{"Unattended finds steps that are due", unattendedStep},
	{"ListIncidents, newest first, page by page", incidentPages},
	{"ListIncidents by state, dedup key and time", incidentFilters},
	{"Prune removes incidents that are over", pruneIncidents},
	{"Prune leaves what an incident refers to", pruneIncidentEvents},
}

// soon is when a step is due that a test is to make.
const soon = time.Microsecond

// escalate makes a step that is due, owing its webhook, unless skip says why not.
func (k *kit) escalate(i tocsin.Incident, s tocsin.IncidentStep, skip string) tocsin.Incident {
	k.t.Helper()
	k.laterThan(s.DueAt)
	owed := tocsin.Obligation{WebhookID: s.To, BatchKey: "due"}
	if skip != "" {
		owed = tocsin.Obligation{}
	}
	got, err := k.s.Escalate(k.ctx, i.ID, s.ID, i.Seq, owed, skip)
	k.ok(err)
	stored, err := k.s.Incident(k.ctx, i.ID)
	k.ok(err)
	k.same("what Escalate returns", got, stored)
	return got
}

func stepDue(k *kit) {
	h := k.hooks("a", "lead")
	a, lead := h[0].ID, h[1].ID
	k.append(firing(0, "x", a, after(soon, lead)))
	k.append(firing(1, "x", a, after(soon, lead)))
	k.append(resolving(2, "other"))
	before := k.incident("x")
	got := k.escalate(before, before.Steps[0], "")
	want := before
	want.Version, want.UpdatedAt = got.Version, got.UpdatedAt
	done := before.Steps[0]
	done.State, done.DoneAt, done.Seq = tocsin.StepDone, got.Steps[0].DoneAt, k.event(1).Seq
	want.Steps = []tocsin.IncidentStep{done}
	k.same("after the step", got, want)
	if got.Version <= before.Version || done.DoneAt == nil || done.DoneAt.Before(done.DueAt) || got.UpdatedAt.Before(*done.DoneAt) {
		k.t.Fatalf("got %+v after %+v", got, before)
	}
	_, pending := k.work(k.begin(lead).Fence)
	k.same("owed", len(pending), 1)
	p, e := pending[0], k.event(1)
	k.same("what is owed", p, tocsin.PendingEvent{Seq: e.Seq, DedupKey: "x", BatchKey: "due", Bytes: len(Event(1).Raw), OwedAt: p.OwedAt})
	if p.OwedAt.Before(e.ReceivedAt) {
		k.t.Fatalf("owed at %v, received at %v", p.OwedAt, e.ReceivedAt)
	}
	k.balance(h[1], tocsin.Balance{Accepted: 1, Pending: 1})
}

func stepNot(k *kit) {
	h := k.hooks("a", "lead")
	a, lead := h[0].ID, h[1].ID
	_, err := k.s.Escalate(k.ctx, "inc_none", 1, 1, tocsin.Obligation{WebhookID: lead}, "")
	k.is(err, tocsin.ErrNotFound)
	k.append(firing(0, "x", a, after(soon, lead), after(time.Hour, lead), after(0, lead)), firing(1, "y", a, after(soon, lead)))
	x := k.incident("x") // by time: at once, soon, in an hour
	x = k.escalate(x, x.Steps[1], "")
	for _, s := range x.Steps {
		for _, o := range []tocsin.Obligation{{WebhookID: lead}, {}} {
			got, err := k.s.Escalate(k.ctx, x.ID, s.ID, x.Seq, o, "too late")
			k.ok(err)
			k.same("at "+string(s.State)+" after "+s.After.String(), got, x)
		}
	}
	got, err := k.s.Escalate(k.ctx, x.ID, k.incident("y").Steps[0].ID, x.Seq, tocsin.Obligation{WebhookID: lead}, "")
	k.ok(err)
	k.same("by a step of another incident", got, x)
	k.append(resolving(2, "y", lead))
	y := k.incident("y")
	k.same("by a step that was skipped", k.escalate(y, y.Steps[0], ""), y)
	k.balance(h[1], tocsin.Balance{Accepted: 2, Pending: 2})
}

func stepSkipped(k *kit) {
	h := k.hooks("a", "lead")
	a, lead := h[0].ID, h[1].ID
	k.append(firing(0, "x", a, after(soon, lead), after(2*soon, lead)))
	before := k.incident("x")
	got := k.escalate(before, before.Steps[0], "webhook deleted")
	k.same("steps", steps(got), []string{lead + " skipped: webhook deleted", lead + " waiting"})
	if got.Version <= before.Version || got.Steps[0].DoneAt != nil {
		k.t.Fatalf("got %+v after %+v", got, before)
	}
	k.same("accepted", CheckLedger(k.t, k.s)[lead].Accepted, int64(0))
	k.laterThan(before.Steps[1].DueAt)
	got, err := k.s.Escalate(k.ctx, got.ID, before.Steps[1].ID, got.Seq, tocsin.Obligation{WebhookID: lead, Suppressed: tocsin.MutedBy("mute_1")}, "")
	k.ok(err)
	k.same("steps", steps(got), []string{lead + " skipped: webhook deleted", lead + " done"})
	k.same("for lead", k.verdicts(h[1], 0, 1), []string{"muted mute_1"})
	k.balance(h[1], tocsin.Balance{Accepted: 1, Suppressed: 1})
}

func stepGeneration(k *kit) {
	w := k.webhook("a") // reminds itself
	k.append(firing(0, "x", w.ID, after(soon, w.ID), after(2*soon, w.ID), after(3*soon, w.ID), after(4*soon, w.ID)))
	i := k.incident("x")
	f := k.begin(w.ID).Fence
	generations := func() (out []int64) {
		traces, err := k.s.Traces(k.ctx, i.Seq)
		k.ok(err)
		for _, tr := range traces {
			out = append(out, tr.Generation)
		}
		return out
	}
	k.escalate(i, i.Steps[0], "")
	k.same("after a pending one", generations(), []int64{0, 1})
	for _, d := range k.plan(f, 1, 1) {
		k.record(f, k.claim(f, d), delivered, nil)
	}
	k.escalate(i, i.Steps[1], "")
	k.same("after a delivered one", generations(), []int64{0, 1, 2})
	_, err := k.s.Discard(k.ctx, f, time.Time{}, "discarded", 1)
	k.ok(err)
	k.escalate(i, i.Steps[2], "")
	k.same("after a suppressed one", generations(), []int64{0, 1, 2, 3})
	k.laterThan(i.Steps[3].DueAt)
	_, err = k.s.Escalate(k.ctx, i.ID, i.Steps[3].ID, i.Seq, tocsin.Obligation{WebhookID: w.ID, Suppressed: tocsin.MutedBy("mute_1")}, "")
	k.ok(err)
	k.same("suppressed at once", generations(), []int64{0, 1, 2, 3, 4})
	k.balance(w, tocsin.Balance{Accepted: 5, Delivered: 2, Pending: 1, Suppressed: 2})
}

// stepNoRepeat: RepeatAfter is about what fires, not about what nobody looked at.
func stepNoRepeat(k *kit) {
	w := k.webhook("a")
	n := firing(0, "x", w.ID, after(soon, w.ID))
	n.Owed[0].RepeatAfter = time.Hour
	k.append(n)
	i := k.incident("x")
	k.laterThan(i.Steps[0].DueAt)
	_, err := k.s.Escalate(k.ctx, i.ID, i.Steps[0].ID, i.Seq, tocsin.Obligation{WebhookID: w.ID, RepeatAfter: time.Hour}, "")
	k.ok(err)
	k.balance(w, tocsin.Balance{Accepted: 2, Pending: 2})
}

func stepElsewhere(k *kit) {
	h := k.hooks("a", "lead")
	k.append(firing(0, "x", h[0].ID, after(soon, h[1].ID)))
	i := k.incident("x")
	k.laterThan(i.Steps[0].DueAt)
	_, err := k.s.Escalate(k.ctx, i.ID, i.Steps[0].ID, i.Seq, tocsin.Obligation{WebhookID: h[0].ID}, "")
	k.code(err, tocsin.CodeInvalid)
	k.same("afterwards", k.incident("x"), i)
	k.balance(h[0], tocsin.Balance{Accepted: 1, Pending: 1})
}

func stepReached(k *kit) {
	h := k.hooks("a", "lead", "boss", "jira")
	a, lead, boss, jira := h[0].ID, h[1].ID, h[2].ID, h[3].ID
	k.append(firing(0, "x", a, after(soon, lead), after(2*soon, lead), after(3*soon, jira), after(time.Hour, boss)))
	i := k.incident("x")
	k.escalate(i, i.Steps[0], "")
	k.escalate(i, i.Steps[1], "")
	k.escalate(i, i.Steps[2], "gone")
	k.appended(resolving(1, "x", boss, jira, lead), []string{lead}, "x")
	k.balance(h[1], tocsin.Balance{Accepted: 3, Pending: 3})
}

func attend(k *kit) {
	h := k.hooks("a", "lead")
	a, lead := h[0].ID, h[1].ID
	key := tocsin.IncidentKey("x")
	_, _, err := k.s.Attend(k.ctx, key)
	k.is(err, tocsin.ErrNotFound)
	k.append(firing(0, "x", a, after(soon, lead)), resolving(1, "x"), firing(2, "x", a, after(soon, lead)), firing(3, "y", a, after(soon, lead)))
	all := k.incidents("x")
	got, now, err := k.s.Attend(k.ctx, key)
	k.ok(err)
	want := all[1]
	want.Attended = want.Version
	k.same("attended", got, want)
	if now.Before(got.UpdatedAt) || now.After(k.now()) {
		k.t.Fatalf("it is %v, changed at %v, and then %v", now, got.UpdatedAt, k.now())
	}
	k.same("stored", k.incidents("x")[1], want)
	k.same("of another key", k.incident("y").Attended, int64(0))
	k.append(firing(4, "x", a, after(soon, lead)))
	got = k.incidents("x")[1]
	k.same("seen after a change", []int64{got.Attended, got.Version}, []int64{want.Version, want.Version + 1})
	// Who escalates sees what that brings, but not what came before.
	got = k.escalate(got, got.Steps[0], "")
	k.same("unseen after a step", got.Attended < got.Version, true)
	k.append(firing(5, "x", a, after(2*soon, lead)))
	got, _, err = k.s.Attend(k.ctx, key)
	k.ok(err)
	got = k.escalate(got, got.Steps[1], "")
	k.same("seen after a step", got.Attended, got.Version)
	k.append(resolving(6, "x"))
	got, _, err = k.s.Attend(k.ctx, key)
	k.ok(err)
	k.same("the latest, resolved", []any{got.ID, got.State, got.Attended}, []any{all[1].ID, tocsin.IncidentResolved, got.Version})
}

// unattended returns the keys of incidents that nobody looks after.
func (k *kit) unattended(grace time.Duration, limit int) []string {
	k.t.Helper()
	keys, err := k.s.Unattended(k.ctx, grace, limit)
	k.ok(err)
	return keys
}

func unattendedVersion(k *kit) {
	const grace = 100 * time.Millisecond
	h := k.hooks("a", "lead")
	a, lead := h[0].ID, h[1].ID
	x, y := tocsin.IncidentKey("x"), tocsin.IncidentKey("y")
	k.append(firing(0, "x", a, after(time.Hour, lead)))
	k.append(firing(1, "y", a, after(time.Hour, lead)))
	opened := k.incident("x").OpenedAt
	if got := k.unattended(grace, 10); len(got) > 0 && k.now().Sub(opened) < grace {
		k.t.Fatalf("unattended within the grace: %v", got)
	}
	k.same("in an hour", k.unattended(time.Hour, 10), []string{})
	n := 2
	k.eventually("x is unattended", func() bool { // since the first change that was not seen
		k.append(firing(n, "x", a, after(time.Hour, lead)))
		n++
		return slices.Contains(k.unattended(grace, 10), x)
	})
	k.eventually("y is, too", func() bool { return slices.Contains(k.unattended(grace, 10), y) })
	k.same("the oldest first, within the limit", k.unattended(grace, 1), []string{x})
	_, _, err := k.s.Attend(k.ctx, x)
	k.ok(err)
	k.same("after x was attended to", k.unattended(0, 10), []string{y})
	k.append(resolving(n, "x"), firing(n+1, "x", a, after(time.Hour, lead)))
	k.eventually("x is again", func() bool { return slices.Contains(k.unattended(0, 10), x) })
	_, _, err = k.s.Attend(k.ctx, x)
	k.ok(err)
	_, _, err = k.s.Attend(k.ctx, y)
	k.ok(err)
	k.same("after both", k.unattended(0, 10), []string{})
}

func unattendedStep(k *kit) {
	const grace = 100 * time.Millisecond
	h := k.hooks("a", "lead")
	k.append(firing(0, "x", h[0].ID, after(soon, h[1].ID), after(2*soon, h[1].ID), after(3*soon, h[1].ID), after(time.Hour, h[1].ID)))
	key := tocsin.IncidentKey("x")
	i, _, err := k.s.Attend(k.ctx, key)
	k.ok(err)
	if got := k.unattended(grace, 10); len(got) > 0 && k.now().Sub(i.Steps[0].DueAt) < grace {
		k.t.Fatalf("unattended within the grace: %v", got)
	}
	k.eventually("a step waits too long", func() bool { return len(k.unattended(grace, 10)) > 0 })
	k.same("unattended", k.unattended(0, 10), []string{key})
	k.escalate(i, i.Steps[0], "")
	k.escalate(i, i.Steps[1], "gone")
	k.same("with one left", k.unattended(0, 10), []string{key})
	k.escalate(i, i.Steps[2], "")
	k.same("when they are made", k.unattended(0, 10), []string{})
}

func incidentPages(k *kit) {
	h := k.hooks("a", "lead")
	var want []tocsin.Incident
	for n, key := range []string{"a", "b", "c", "d", "e"} {
		k.append(firing(n, key, h[0].ID, after(time.Hour, h[1].ID), after(0, h[1].ID)))
		want = append([]tocsin.Incident{k.incident(key)}, want...)
	}
	for limit := 1; limit <= 6; limit++ {
		var got []tocsin.Incident
		q := tocsin.IncidentQuery{Page: tocsin.Page{Limit: limit}}
		for more := true; more; more = q.Cursor != "" {
			page, next, err := k.s.ListIncidents(k.ctx, q)
			k.ok(err)
			if len(page) > limit || next != "" && len(page) == 0 {
				k.t.Fatalf("got %d of %d, next %q", len(page), limit, next)
			}
			got, q.Cursor = append(got, page...), next
		}
		k.same("all", got, want)
	}
	_, _, err := k.s.ListIncidents(k.ctx, tocsin.IncidentQuery{Page: tocsin.Page{Limit: 1, Cursor: "nonsense"}})
	k.code(err, tocsin.CodeInvalid)
}

func incidentFilters(k *kit) {
	h := k.hooks("a", "lead")
	for n, key := range []string{"open", "acknowledged", "resolved"} {
		k.append(firing(n, key, h[0].ID, after(time.Hour, h[1].ID)))
		k.laterThan(k.now())
	}
	k.append(changing(3, k.incident("acknowledged"), tocsin.IncidentAcknowledged), resolving(4, "resolved"))
	middle := k.incident("acknowledged").OpenedAt
	for _, c := range []struct {
		q    tocsin.IncidentQuery
		want []string
	}{
		{tocsin.IncidentQuery{}, []string{"resolved", "acknowledged", "open"}},
		{tocsin.IncidentQuery{State: "open"}, []string{"open"}},
		{tocsin.IncidentQuery{State: "acknowledged"}, []string{"acknowledged"}},
		{tocsin.IncidentQuery{State: "resolved"}, []string{"resolved"}},
		{tocsin.IncidentQuery{State: "unresolved"}, []string{"acknowledged", "open"}},
		{tocsin.IncidentQuery{DedupKey: "open"}, []string{"open"}},
		{tocsin.IncidentQuery{DedupKey: "open", State: "resolved"}, nil},
		{tocsin.IncidentQuery{Since: middle}, []string{"resolved", "acknowledged"}},
		{tocsin.IncidentQuery{Until: middle}, []string{"open"}},
		{tocsin.IncidentQuery{Since: middle, Until: middle.Add(time.Microsecond)}, []string{"acknowledged"}},
		{tocsin.IncidentQuery{MinSeverity: tocsin.SeverityLow}, []string{"resolved", "acknowledged"}},
		{tocsin.IncidentQuery{MinSeverity: tocsin.SeverityLow, State: "resolved"}, []string{"resolved"}},
		{tocsin.IncidentQuery{MinSeverity: tocsin.SeverityInfo}, []string{"resolved", "acknowledged", "open"}},
	} {
		c.q.Limit = 10
		all, next, err := k.s.ListIncidents(k.ctx, c.q)
		k.ok(err)
		var got []string
		for _, i := range all {
			got = append(got, i.DedupKey)
		}
		k.same("next", next, "")
		k.same("found", got, c.want)
	}
}

func pruneIncidents(k *kit) {
	h := k.hooks("a", "lead")
	for n, key := range []string{"a", "b", "c", "d"} {
		k.append(firing(n, key, h[0].ID, after(time.Hour, h[1].ID), after(0, h[1].ID)))
	}
	k.append(resolving(4, "a"), resolving(5, "b"), firing(6, "b", h[0].ID, after(0, h[1].ID)))
	k.append(changing(7, k.incident("c"), tocsin.IncidentAcknowledged), changing(8, k.incident("d"), tocsin.IncidentResolved))
	over := []string{k.incident("a").ID, k.incidents("b")[0].ID, k.incident("d").ID}
	for _, r := range []tocsin.Retention{{}, {History: time.Hour, Refs: atOnce, Audit: atOnce}} {
		got, _ := k.prune(r, 10)
		k.same("pruned", got.Incidents, int64(0))
	}
	k.laterThan(k.now())
	one, more, err := k.s.Prune(k.ctx, everythingOld, 1)
	k.ok(err)
	k.same("pruned by a limit of 1", []any{one.Incidents, more}, []any{int64(1), true})
	rest, _ := k.prune(everythingOld, 1)
	k.same("pruned", one.Incidents+rest.Incidents, int64(3))
	for _, id := range over {
		_, err := k.s.Incident(k.ctx, id)
		k.is(err, tocsin.ErrNotFound)
	}
	k.same("left", []any{k.incident("b").State, k.incident("c").State}, []any{tocsin.IncidentOpen, tocsin.IncidentAcknowledged})
	// A key that was forgotten is as good as new.
	k.appended(firing(9, "a", h[0].ID, after(0, h[1].ID)), []string{h[0].ID, h[1].ID}, "a")
	k.same("opened again", k.incident("a").Events, 1)
	CheckLedger(k.t, k.s)
}

// pruneIncidentEvents: the latest event of an incident stays for its steps, whatever
// became of its deliveries.
func pruneIncidentEvents(k *kit) {
	h := k.hooks("a", "lead")
	k.append(firing(0, "x", h[0].ID, after(soon, h[1].ID)), firing(1, "x", h[0].ID, after(soon, h[1].ID)))
	f := k.begin(h[0].ID).Fence
	k.record(f, k.claim(f, k.plan(f, 2)[0]), delivered, nil)
	got, _ := k.prune(everythingOld, 10)
	k.same("pruned", got, tocsin.Pruned{Deliveries: 1, Attempts: 1, Events: 1, Keys: 1})
	k.gone(nil, 0)
	k.event(1)
	i := k.incident("x")
	k.escalate(i, i.Steps[0], "")
	k.balance(h[1], tocsin.Balance{Accepted: 1, Pending: 1})
	f = k.begin(h[1].ID).Fence
	c := k.claim(f, k.plan(f, 1)[0])
	k.same("delivered", ids(c.Events), numbered(1, 1))
	k.record(f, c, delivered, nil)
	got, _ = k.prune(everythingOld, 10)
	k.same("pruned while it is open", got, tocsin.Pruned{Deliveries: 1, Attempts: 1})
	k.append(resolving(2, "x"))
	got, _ = k.prune(everythingOld, 10)
	k.same("pruned in the end", got, tocsin.Pruned{Events: 2, Keys: 2, Incidents: 1})
	k.gone(nil, 1, 2)
}
