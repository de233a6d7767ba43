package storetest

import (
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tocsin-alerts/tocsin"
)

var incidentCases = []testCase{
	{"an event that brings steps opens an incident", incidentOpens},
	{"the next ones belong to it", incidentGoesOn},
	{"a step is made once for a webhook, whom it leads to and After", incidentSteps},
	{"what is suppressed brings nothing", incidentSuppressed},
	{"a step without After is done for every event", incidentAtOnce},
	{"what is owed by a step may be suppressed", incidentStepSuppressed},
	{"repeats count what a step owes", incidentRepeats},
	{"a resolved event ends it", incidentResolved},
	{"a resolved event without an incident brings nothing", incidentNone},
	{"firing again opens the next one", incidentAgain},
	{"all in one batch, in its order", incidentBatch},
	{"acknowledging", incidentAcknowledged},
	{"what comes after acknowledging", incidentCalm},
	{"resolving by a person", incidentByPerson},
	{"a change that is too late", incidentTooLate},
	{"duplicates and what was not committed bring nothing", incidentNotNew},
	{"events that neither fire nor end anything", incidentPlain},
}

func incidentOpens(k *kit) {
	h := k.hooks("a", "pager", "lead")
	a, pager, lead := h[0], h[1], h[2]
	const key = "any text\n of a producer's: 雪"
	n := firing(4, key, a.ID, unless(30*time.Minute, lead.ID), after(0, pager.ID), after(time.Minute, lead.ID))
	k.appended(n, []string{a.ID, pager.ID}, key)
	e := k.event(4)
	got := k.incident(key)
	at := e.ReceivedAt
	want := tocsin.Incident{
		ID: got.ID, DedupKey: key, State: tocsin.IncidentOpen, Type: e.Type, Title: e.Title, Subject: e.Subject, Severity: e.Severity,
		Events: 1, OpenedAt: at, UpdatedAt: at, Seq: e.Seq, Version: got.Version,
		Steps: []tocsin.IncidentStep{
			{WebhookID: a.ID, To: pager.ID, State: tocsin.StepDone, Seq: e.Seq, DueAt: at, DoneAt: &at},
			{WebhookID: a.ID, To: lead.ID, After: tocsin.Duration(time.Minute), State: tocsin.StepWaiting, DueAt: at.Add(time.Minute)},
			{WebhookID: a.ID, To: lead.ID, After: tocsin.Duration(30 * time.Minute), Unless: "acknowledged", State: tocsin.StepWaiting, DueAt: at.Add(30 * time.Minute)},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(tocsin.IncidentStep{}, "ID")); diff != "" {
		k.t.Fatalf("incident (-want +got):\n%s", diff)
	}
	if got.Version == 0 || got.ID[:4] != "inc_" {
		k.t.Fatalf("got version %d and id %q, want a version and inc_…", got.Version, got.ID)
	}
	again, err := k.s.Incident(k.ctx, got.ID)
	k.ok(err)
	k.same("by id", again, got)
	_, err = k.s.Incident(k.ctx, "inc_none")
	k.is(err, tocsin.ErrNotFound)
	k.balance(a, tocsin.Balance{Accepted: 1, Pending: 1})
	k.balance(pager, tocsin.Balance{Accepted: 1, Pending: 1})
	k.same("accepted for lead", CheckLedger(k.t, k.s)[lead.ID].Accepted, int64(0))
	_, pending := k.work(k.begin(pager.ID).Fence)
	k.same("what pager is owed", pending, []tocsin.PendingEvent{{Seq: e.Seq, DedupKey: key, BatchKey: "step", Bytes: len(n.Event.Raw), OwedAt: at}})
}

func incidentGoesOn(k *kit) {
	h := k.hooks("a", "lead")
	a, lead := h[0], h[1]
	high, low := firing(3, "x", a.ID, after(time.Hour, lead.ID)), firing(5, "x", a.ID, after(time.Hour, lead.ID))
	k.append(high)
	first := k.incident("x")
	// No worse, and nothing more to wait for: nobody is told.
	k.appended(low, []string{a.ID})
	got, e := k.incident("x"), k.event(5)
	want := first
	want.Title, want.Subject, want.Type = e.Title, e.Subject, e.Type
	want.Events, want.UpdatedAt, want.Seq = 2, e.ReceivedAt, e.Seq
	want.Severity = max(high.Event.Severity, low.Event.Severity)
	k.same("after the second", got, want)
	if high.Event.Severity <= low.Event.Severity {
		k.t.Fatal("the first should be the worse one")
	}
	k.appended(firing(6, "y", a.ID, after(time.Hour, lead.ID)), []string{a.ID}, "y")
	k.same("x after an event of another", k.incident("x"), want)

	worse := firing(8, "x", a.ID, after(time.Hour, lead.ID))
	worse.Event.Severity = tocsin.SeverityCritical
	k.appended(worse, []string{a.ID}, "x")
	if now := k.incident("x"); now.Version <= got.Version || now.Severity != tocsin.SeverityCritical {
		k.t.Errorf("after a worse event: version %d after %d, severity %s", now.Version, got.Version, now.Severity)
	}
	more := firing(9, "x", a.ID, after(time.Hour, lead.ID), after(2*time.Hour, lead.ID))
	k.appended(more, []string{a.ID}, "x")
}

func incidentSteps(k *kit) {
	h := k.hooks("a", "b", "lead", "boss")
	a, b, lead, boss := h[0].ID, h[1].ID, h[2].ID, h[3].ID
	k.append(firing(0, "x", a, after(time.Hour, lead), after(time.Hour, lead)))
	first := k.incident("x").Steps
	k.same("steps", len(first), 1)
	k.append(firing(1, "x", a, unless(time.Hour, lead)))
	k.same("steps after the same again", k.incident("x").Steps, first)
	both := firing(2, "x", a, after(time.Hour, boss), after(2*time.Hour, lead), after(time.Hour, lead))
	both.Owed = append(both.Owed, firing(2, "x", b, after(time.Hour, lead)).Owed...)
	k.append(both)
	at := k.event(2).ReceivedAt
	var got []tocsin.IncidentStep
	for _, s := range k.incident("x").Steps[1:] {
		s.ID = 0
		got = append(got, s)
	}
	waiting := func(from, to string, d time.Duration) tocsin.IncidentStep {
		return tocsin.IncidentStep{WebhookID: from, To: to, After: tocsin.Duration(d), State: tocsin.StepWaiting, DueAt: at.Add(d)}
	}
	k.same("more steps", got, []tocsin.IncidentStep{waiting(a, boss, time.Hour), waiting(b, lead, time.Hour), waiting(a, lead, 2*time.Hour)})
}

func incidentSuppressed(k *kit) {
	h := k.hooks("a", "b", "pager")
	a, b, pager := h[0].ID, h[1].ID, h[2].ID
	muted := firing(0, "x", a, after(0, pager), after(time.Hour, pager))
	muted.Owed[0].Suppressed = tocsin.MutedBy("mute_1")
	k.appended(muted, nil)
	k.same("incidents of what is muted", len(k.incidents("x")), 0)
	repeated := func(n int) tocsin.NewEvent {
		e := firing(n, "x", a, after(0, pager))
		e.Owed[0].RepeatAfter = time.Hour
		return e
	}
	k.appended(repeated(1), []string{a, pager}, "x")
	before := k.incident("x")
	k.appended(repeated(2), nil)
	k.same("after a repeat", k.incident("x"), before)
	// What one webhook does not hear of, another may escalate.
	other := repeated(3)
	other.Owed = append(other.Owed, firing(3, "x", b, after(time.Hour, pager)).Owed...)
	k.appended(other, []string{b}, "x")
	k.same("steps", steps(k.incident("x")), []string{pager + " done", pager + " waiting"})
	k.same("for pager", k.verdicts(h[2], 0, 4), []string{"pending"})
	k.balance(h[0], tocsin.Balance{Accepted: 4, Pending: 1, Suppressed: 3})
}

func incidentAtOnce(k *kit) {
	h := k.hooks("a", "b", "pager")
	a, b, pager := h[0].ID, h[1].ID, h[2].ID
	k.appended(firing(0, "x", a, after(0, pager)), []string{a, pager}, "x")
	done := k.incident("x").Steps
	k.appended(firing(1, "x", a, after(0, pager)), []string{a, pager}, "x")
	k.same("steps", k.incident("x").Steps, done)
	// From two webhooks, and to one that is owed the event anyway: once.
	twice := firing(2, "x", a, after(0, pager), after(0, b))
	twice.Owed = append(twice.Owed, firing(2, "x", b, after(0, pager)).Owed...)
	k.appended(twice, []string{a, b, pager}, "x")
	k.same("steps, from both", len(k.incident("x").Steps), 3)
	// One to whom it is suppressed has an obligation, too.
	suppressed := firing(3, "x", a, after(0, b))
	suppressed.Owed = append(suppressed.Owed, tocsin.Obligation{WebhookID: b, Suppressed: tocsin.MutedBy("mute_1")})
	k.appended(suppressed, []string{a}, "x")
	k.same("for pager", k.verdicts(h[2], 0, 4), []string{"pending", "pending", "pending"})
	k.same("for b", k.verdicts(h[1], 0, 4), []string{"pending", "muted mute_1"})
	k.balance(h[2], tocsin.Balance{Accepted: 3, Pending: 3})
	k.balance(h[1], tocsin.Balance{Accepted: 2, Pending: 1, Suppressed: 1})
}

func incidentStepSuppressed(k *kit) {
	h := k.hooks("a", "pager")
	a, pager := h[0].ID, h[1].ID
	quiet := after(0, pager)
	quiet.Suppressed = tocsin.MutedBy("mute_1")
	k.appended(firing(0, "x", a, quiet), []string{a}, "x")
	k.same("steps", steps(k.incident("x")), []string{pager + " done"})
	k.same("for pager", k.verdicts(h[1], 0, 1), []string{"muted mute_1"})
	// It is reached all the same.
	k.appended(resolving(1, "x", pager), []string{pager}, "x")
	k.balance(h[1], tocsin.Balance{Accepted: 2, Pending: 1, Suppressed: 1})
}

func incidentRepeats(k *kit) {
	h := k.hooks("a", "pager", "b")
	a, pager, b := h[0].ID, h[1].ID, h[2].ID
	often := after(0, pager)
	often.RepeatAfter = time.Hour
	k.appended(firing(0, "x", a, often), []string{a, pager}, "x")
	k.appended(firing(1, "x", a, often), []string{a}, "x")
	k.appended(repeat(2, "x", tocsin.Firing, time.Hour, pager), nil)
	k.same("steps", steps(k.incident("x")), []string{pager + " done"})
	end := resolving(3, "x", pager, b)
	end.Reach[0].RepeatAfter, end.Reach[1].RepeatAfter = time.Hour, time.Hour
	k.appended(end, []string{pager}, "x")
	k.appended(repeat(4, "x", tocsin.Resolved, time.Hour, pager), nil)
	k.same("for pager", k.verdicts(h[1], 0, 5), []string{"pending", "repeat", "repeat", "pending", "repeat"})
	// What was not owed in the end is no last event.
	k.appended(repeat(5, "x", tocsin.Resolved, time.Hour, b), []string{b})
	never := firing(6, "y", a, often)
	never.Owed[0].RepeatAfter = time.Hour
	k.append(firing(9, "y", b, after(time.Hour, b)), repeat(7, "y", tocsin.Firing, time.Hour, a), never)
	k.appended(repeat(8, "y", tocsin.Firing, time.Hour, pager), []string{pager})
}

func incidentResolved(k *kit) {
	h := k.hooks("a", "pager", "jira", "lead", "email")
	a, pager, jira, lead, email := h[0].ID, h[1].ID, h[2].ID, h[3].ID, h[4].ID
	k.append(firing(0, "x", a, after(0, pager), after(0, jira), after(0, email), after(time.Hour, lead), unless(time.Hour, pager)))
	opened := k.incident("x")
	end := resolving(1, "x", jira, lead, pager, a)
	end.Reach[2].Suppressed = tocsin.MutedBy("mute_1")
	end.Owed = []tocsin.Obligation{{WebhookID: a}}
	k.appended(end, []string{a, jira}, "x")
	got, at := k.incident("x"), k.event(1).ReceivedAt
	want := opened
	want.State, want.ResolvedAt, want.UpdatedAt, want.Version = tocsin.IncidentResolved, &at, at, got.Version
	want.Steps = append([]tocsin.IncidentStep{}, opened.Steps...)
	for i := range want.Steps {
		if s := &want.Steps[i]; s.State == tocsin.StepWaiting {
			s.State, s.Reason = tocsin.StepSkipped, "resolved"
		}
	}
	k.same("resolved", got, want)
	if got.Version <= opened.Version {
		k.t.Fatalf("version %d after %d: it must grow", got.Version, opened.Version)
	}
	for i, want := range [][]string{{"pending"}, {"muted mute_1"}, {"pending"}, nil, nil} {
		k.same("what "+h[i].Name+" hears of the end", k.verdicts(h[i], 1, 1), want)
	}
	_, pending := k.work(k.begin(jira).Fence)
	k.same("what jira is owed", []string{pending[0].BatchKey, pending[1].BatchKey}, []string{"step", "reach"})
	k.appended(resolving(2, "x", jira, pager), nil)
	k.same("after another end", k.incident("x"), got)
}

func incidentNone(k *kit) {
	w := k.webhook("a")
	end := resolving(0, "x", w.ID)
	end.Reach[0].RepeatAfter = time.Hour
	k.appended(end, nil)
	k.same("incidents", len(k.incidents("x")), 0)
	k.same("accepted", CheckLedger(k.t, k.s)[w.ID].Accepted, int64(0))
	_, _, err := k.s.Attend(k.ctx, tocsin.IncidentKey("x"))
	k.is(err, tocsin.ErrNotFound)
	k.appended(repeat(1, "x", tocsin.Resolved, time.Hour, w.ID), []string{w.ID})
}

func incidentAgain(k *kit) {
	h := k.hooks("a", "pager")
	k.append(firing(3, "x", h[0].ID, after(0, h[1].ID), after(time.Hour, h[1].ID)))
	k.append(resolving(1, "x", h[1].ID))
	first := k.incident("x")
	k.appended(firing(0, "x", h[0].ID, after(0, h[1].ID)), []string{h[0].ID, h[1].ID}, "x")
	all := k.incidents("x")
	k.same("the first", all[0], first)
	e := k.event(0)
	k.same("the second", []any{all[1].State, all[1].Events, all[1].Severity, all[1].OpenedAt, len(all[1].Steps)},
		[]any{tocsin.IncidentOpen, 1, e.Severity, e.ReceivedAt, 1})
	if all[1].ID == first.ID {
		k.t.Fatal("the second has the first's id")
	}
}

func incidentBatch(k *kit) {
	h := k.hooks("a", "pager")
	a, pager := h[0].ID, h[1].ID
	// Not in the order of their ids.
	got := k.append(firing(9, "x", a, after(0, pager), after(time.Hour, pager)), firing(8, "y", a, after(0, pager)), resolving(7, "x", pager),
		resolving(6, "x", pager), firing(5, "x", a, after(0, pager)), resolving(4, "z", pager), firing(3, "x", a, after(0, pager)), resolving(2, "y", pager))
	keys := []string{tocsin.IncidentKey("x"), tocsin.IncidentKey("y")}
	if keys[0] > keys[1] {
		keys[0], keys[1] = keys[1], keys[0]
	}
	k.same("incidents", got.Incidents, keys)
	all := k.incidents("x")
	k.same("of x", []any{len(all), all[0].State, all[0].Events, steps(all[0]), all[1].State, all[1].Events, steps(all[1])},
		[]any{2, tocsin.IncidentResolved, 1, []string{pager + " done", pager + " skipped: resolved"}, tocsin.IncidentOpen, 2, []string{pager + " done"}})
	k.same("of y", k.incident("y").State, tocsin.IncidentResolved)
	// 6 found none that was open.
	k.same("for pager, 2 to 9", k.verdicts(h[1], 2, 8), []string{"pending", "pending", "pending", "pending", "pending", "pending"})
	k.same("for pager, 6", k.verdicts(h[1], 6, 1), []string{})
	k.append(resolving(10, "x", pager), firing(11, "x", a, after(0, pager)))
	all = k.incidents("x")
	k.same("states", []tocsin.IncidentState{all[0].State, all[1].State, all[2].State}, []tocsin.IncidentState{tocsin.IncidentResolved, tocsin.IncidentResolved, tocsin.IncidentOpen})
	CheckLedger(k.t, k.s)
}

func incidentAcknowledged(k *kit) {
	h := k.hooks("a", "pager", "lead", "boss")
	a, pager, lead, boss := h[0].ID, h[1].ID, h[2].ID, h[3].ID
	k.append(firing(0, "x", a, after(0, pager), unless(time.Hour, lead), after(2*time.Hour, boss)))
	opened := k.incident("x")
	k.appended(changing(1, opened, tocsin.IncidentAcknowledged, pager, lead, boss), []string{pager}, "x")
	got, at := k.incident("x"), k.event(1).ReceivedAt
	want := opened
	want.State, want.AcknowledgedAt, want.AcknowledgedBy, want.UpdatedAt, want.Version = tocsin.IncidentAcknowledged, &at, "ada", at, got.Version
	want.Steps = append([]tocsin.IncidentStep{}, opened.Steps...)
	want.Steps[1].State, want.Steps[1].Reason = tocsin.StepSkipped, "acknowledged"
	k.same("acknowledged", got, want)
	// Once more changes nothing, and nobody hears of it.
	k.appended(changing(2, opened, tocsin.IncidentAcknowledged, pager), nil)
	k.same("acknowledged twice", k.incident("x"), got)
	k.appended(resolving(3, "x", pager, lead, boss), []string{pager}, "x")
	k.same("steps in the end", steps(k.incident("x")), []string{pager + " done", lead + " skipped: acknowledged", boss + " skipped: resolved"})
	k.balance(h[1], tocsin.Balance{Accepted: 3, Pending: 3})
}

// incidentCalm: an acknowledged incident gets no more steps that say unless.
func incidentCalm(k *kit) {
	h := k.hooks("a", "pager", "lead")
	a, pager, lead := h[0].ID, h[1].ID, h[2].ID
	k.append(firing(0, "x", a, unless(0, pager)))
	i := k.incident("x")
	k.append(changing(1, i, tocsin.IncidentAcknowledged))
	k.appended(firing(2, "x", a, unless(0, pager), unless(time.Hour, lead), unless(0, lead), after(2*time.Hour, lead)), []string{a}, "x")
	got := k.incident("x")
	k.same("state and events", []any{got.State, got.Events, got.Seq}, []any{tocsin.IncidentAcknowledged, 2, k.event(2).Seq})
	k.same("steps", steps(got), []string{pager + " done", lead + " skipped: acknowledged", lead + " skipped: acknowledged", lead + " waiting"})
}

func incidentByPerson(k *kit) {
	h := k.hooks("a", "pager", "lead")
	a, pager, lead := h[0].ID, h[1].ID, h[2].ID
	k.append(firing(0, "x", a, after(0, pager), after(time.Hour, lead)))
	k.append(changing(1, k.incident("x"), tocsin.IncidentAcknowledged, pager))
	n := changing(2, k.incident("x"), tocsin.IncidentResolved, pager, lead)
	n.Change.By = "bob"
	k.appended(n, []string{pager}, "x")
	got := k.incident("x")
	k.same("resolved", []any{got.State, got.ResolvedBy, got.AcknowledgedBy, got.Events, *got.ResolvedAt, steps(got)},
		[]any{tocsin.IncidentResolved, "bob", "ada", 1, k.event(2).ReceivedAt, []string{pager + " done", lead + " skipped: resolved"}})
	k.same("for pager", k.verdicts(h[1], 0, 3), []string{"pending", "pending", "pending"})
}

func incidentTooLate(k *kit) {
	h := k.hooks("a", "pager")
	a, pager := h[0].ID, h[1].ID
	k.append(firing(0, "x", a, after(0, pager)), resolving(1, "x"))
	first := k.incident("x")
	for n, to := range []tocsin.IncidentState{tocsin.IncidentAcknowledged, tocsin.IncidentResolved} {
		k.appended(changing(2+n, first, to, pager), nil)
	}
	k.append(firing(4, "x", a, after(0, pager)))
	all := k.incidents("x")
	for n, to := range []tocsin.IncidentState{tocsin.IncidentAcknowledged, tocsin.IncidentResolved} {
		k.appended(changing(5+n, first, to, pager), nil)
	}
	k.same("both", k.incidents("x"), all)
	k.same("the first", all[0], first)
}

func incidentNotNew(k *kit) {
	h := k.hooks("a", "pager")
	a, pager := h[0].ID, h[1].ID
	n := firing(0, "x", a, after(0, pager))
	revision := k.configuration().Revision
	k.webhook("b")
	_, err := k.s.Append(k.ctx, revision, []tocsin.NewEvent{n})
	k.is(err, tocsin.ErrStaleRevision)
	k.same("incidents", len(k.incidents("x")), 0)
	conflict := firing(0, "x", a, after(0, pager))
	conflict.Fingerprint = []byte("another")
	got := k.append(n, n, conflict)
	k.same("answers", got.Events, []tocsin.Appended{tocsin.AppendedNew, tocsin.AppendedDuplicate, tocsin.AppendedConflict})
	i := k.incident("x")
	k.same("events", i.Events, 1)
	known := resolving(0, "x", pager)
	known.Fingerprint = n.Fingerprint
	k.appended(known, nil)
	k.appended(conflict, nil)
	k.same("after both", k.incident("x"), i)
	k.balance(h[1], tocsin.Balance{Accepted: 1, Pending: 1})
}

// incidentPlain: firing without steps leaves an incident alone.
func incidentPlain(k *kit) {
	h := k.hooks("a", "pager")
	k.appended(firing(0, "x", h[0].ID), []string{h[0].ID})
	k.same("incidents", len(k.incidents("x")), 0)
	k.append(firing(1, "x", h[0].ID, after(0, h[1].ID)))
	before := k.incident("x")
	n := firing(2, "x", h[0].ID)
	n.Reach = []tocsin.Obligation{{WebhookID: h[1].ID}}
	k.appended(n, []string{h[0].ID})
	k.appended(resolving(3, "other", h[1].ID), nil)
	k.same("after others", k.incident("x"), before)
	got := k.append()
	if got.Owed != nil || got.Incidents != nil || len(got.Events) != 0 {
		k.t.Fatal("an empty batch owes something")
	}
}
