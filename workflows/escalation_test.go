package workflows_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/testsuite"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
	"github.com/tocsin-alerts/tocsin/ingest"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
	"github.com/tocsin-alerts/tocsin/workflows"
)

// drill is an incident with the real ingest, activities and store, by a clock that skips:
// soc escalates to pager at once, and to lead after 30 minutes unless somebody looks at it.
type drill struct {
	t     *testing.T
	env   *testsuite.TestWorkflowEnvironment
	db    *sqlite.DB
	in    *ingest.Ingest
	acts  *activities.Activities
	told  *bell
	ahead atomic.Int64 // nanoseconds, of the environment's clock, which stands still until it runs
}

const drillKey = "prompt-injection/billing"

func newDrill(t *testing.T) *drill {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	d := &drill{t: t, env: suite.NewTestWorkflowEnvironment(), told: &bell{}}
	d.env.SetTestTimeout(time.Minute)
	now := func() time.Time { return d.env.Now().Add(time.Duration(d.ahead.Load())) }
	var err error
	if d.db, err = sqlite.Open(t.Context(), t.TempDir()+"/tocsin.db", sqlite.Options{Now: now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.db.Close() })
	if err := d.db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.hook("soc", "custom", tocsin.Escalation{To: "pager"}, tocsin.Escalation{To: "lead", After: tocsin.Duration(30 * time.Minute), Unless: tocsin.UnlessAcknowledged})
	d.hook("pager", "none")
	d.hook("lead", "none")
	if d.in, err = ingest.New(ingest.Config{Store: d.db, Conductor: d.told, Now: now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.in.Close)
	d.acts = &activities.Activities{Store: d.db, Conductor: d.told, Escalate: d.in, Submit: d.in, Backoff: workflows.Backoff}
	workflows.Register(d.env, d.acts)
	return d
}

func (d *drill) hook(name, events string, escalate ...tocsin.Escalation) {
	d.t.Helper()
	set := tocsin.Settings{
		Name: name, Channel: "webhook", Events: []tocsin.Selector{{Type: events}}, Frequency: tocsin.Instant,
		RunEvery: tocsin.Duration(time.Hour), BatchSize: 1, Concurrency: 1, Escalate: escalate,
	}
	w, err := d.db.CreateWebhook(d.t.Context(), tocsin.Webhook{ID: "wh_" + name, Settings: set, Config: json.RawMessage(`{}`), Sealed: []byte("x")})
	if err != nil {
		d.t.Fatal(err)
	}
	lease, err := d.db.Begin(d.t.Context(), w.ID)
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.db.Rest(d.t.Context(), lease.Fence); err != nil { // it sleeps, so that it must be rung
		d.t.Fatal(err)
	}
}

// submit takes an event in.
func (d *drill) submit(id string, status tocsin.Status) {
	d.t.Helper()
	e := tocsin.Event{ID: id, Source: "/drill", Type: "custom.drill", Severity: tocsin.SeverityCritical, Status: status, DedupKey: drillKey, Title: "Prompt injection"}
	if _, err := d.in.Submit(d.t.Context(), []tocsin.Event{e}); err != nil {
		d.t.Error(err)
	}
}

// at takes an event in at a time of the workflow, and tells it.
func (d *drill) at(after time.Duration, id string, status tocsin.Status) {
	d.env.RegisterDelayedCallback(func() {
		d.submit(id, status)
		d.env.SignalWorkflow(workflows.SignalIncidentChanged, nil)
	}, after)
}

// run executes the workflow to its end.
func (d *drill) run() activities.IncidentResult {
	d.t.Helper()
	d.env.ExecuteWorkflow(workflows.TypeIncident, workflows.IncidentInput{Key: tocsin.IncidentKey(drillKey)})
	var out activities.IncidentResult
	if err := d.env.GetWorkflowResult(&out); err != nil || !d.env.IsWorkflowCompleted() {
		d.t.Fatalf("the workflow ended with %v", err)
	}
	return out
}

// owed lists who is owed an event, and that the ledger agrees with its rows.
func (d *drill) owed(source, id string, want ...string) {
	d.t.Helper()
	e, err := d.db.Event(d.t.Context(), source, id)
	if err != nil {
		d.t.Fatal(err)
	}
	traces, err := d.db.Traces(d.t.Context(), e.Seq)
	if err != nil {
		d.t.Fatal(err)
	}
	var got []string
	for _, trace := range traces {
		got = append(got, strings.TrimPrefix(trace.WebhookID, "wh_")+" "+trace.Bucket)
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		d.t.Errorf("%s is owed (-want +got):\n%s", id, diff)
	}
	counted, recounted, err := d.db.Recount(d.t.Context())
	if diff := cmp.Diff(recounted, counted); err != nil || diff != "" {
		d.t.Errorf("the ledger and its rows differ (%v):\n%s", err, diff)
	}
}

// steps shows what became of the steps.
func steps(r activities.IncidentResult) (all []string) {
	for _, s := range r.Steps {
		line := fmt.Sprintf("%s → %s %s", s.Webhook, s.To, s.State)
		if s.Reason != "" {
			line += " " + s.Reason
		}
		all = append(all, line)
	}
	return all
}

func (d *drill) wantSteps(r activities.IncidentResult, want ...string) {
	d.t.Helper()
	if diff := cmp.Diff(want, steps(r)); diff != "" {
		d.t.Errorf("steps (-want +got):\n%s", diff)
	}
}

// Nobody looks at it for half an hour: the lead is mailed. When it is over, all who were
// reached hear of it.
func TestUnattendedIncidentEscalates(t *testing.T) {
	t.Parallel()
	d := newDrill(t)
	d.submit("fires", tocsin.Firing)
	d.owed("/drill", "fires", "pager pending", "soc pending")
	began := d.env.Now()
	d.env.RegisterDelayedCallback(func() { d.owed("/drill", "fires", "pager pending", "soc pending") }, 29*time.Minute)
	d.env.RegisterDelayedCallback(func() { d.owed("/drill", "fires", "lead pending", "pager pending", "soc pending") }, 31*time.Minute)
	d.at(time.Hour, "over", tocsin.Resolved)
	out := d.run()
	d.wantSteps(out, "soc → pager done", "soc → lead done")
	if out.State != tocsin.IncidentResolved || out.ResolvedBy != "" || d.env.Now().Sub(began) > 61*time.Minute {
		t.Errorf("ended after %s as %+v", d.env.Now().Sub(began), out)
	}
	d.owed("/drill", "over", "lead pending", "pager pending", "soc pending")
	if rang := d.told.rang(); !slices.Contains(rang, "wh_lead") {
		t.Errorf("rang %v, want the lead among them", rang)
	}
}

// Somebody looks at it: whom it has reached is told, the lead is left alone, also when it
// fires again. Who it was is in the incident, and that it was Temporal in the audit log.
func TestAcknowledgedIncidentDoesNotEscalate(t *testing.T) {
	t.Parallel()
	d := newDrill(t)
	d.submit("fires", tocsin.Firing)
	tells(d.env, 10*time.Minute, workflows.SignalAcknowledge, workflows.IncidentSignal{By: "dana", Note: "rolling back"})
	d.at(20*time.Minute, "again", tocsin.Firing)
	tells(d.env, 2*time.Hour, workflows.SignalResolve, workflows.IncidentSignal{By: "lee"})
	out := d.run()
	d.wantSteps(out, "soc → pager done", "soc → lead skipped acknowledged")
	if out.AcknowledgedBy != "dana" || out.ResolvedBy != "lee" || out.Events != 2 {
		t.Errorf("got %+v", out)
	}
	d.owed("/drill", "again", "pager pending", "soc pending")
	d.owed("/tocsin", "incident.acknowledged/"+out.ID, "pager pending")
	d.owed("/tocsin", "incident.resolved/"+out.ID, "pager pending")
	e, err := d.db.Event(t.Context(), "/tocsin", "incident.acknowledged/"+out.ID)
	if err != nil || e.DedupKey != drillKey || e.Title != "Acknowledged by dana: Prompt injection" || e.Summary != "rolling back" || e.Severity != tocsin.SeverityCritical {
		t.Errorf("told %+v (%v)", e, err)
	}
	entries, _, err := d.db.AuditEntries(t.Context(), tocsin.AuditQuery{Page: tocsin.Page{Limit: 10}, Object: out.ID})
	if err != nil || len(entries) != 2 || entries[1].Actor != "temporal" || entries[1].Action != "incident.acknowledge" || entries[1].Detail != "signalled as dana" {
		t.Errorf("audited %+v (%v)", entries, err)
	}
}

func TestResolvedIncidentDoesNotEscalate(t *testing.T) {
	t.Parallel()
	d := newDrill(t)
	d.submit("fires", tocsin.Firing)
	d.at(10*time.Minute, "over", tocsin.Resolved)
	out := d.run()
	d.wantSteps(out, "soc → pager done", "soc → lead skipped resolved")
	d.owed("/drill", "over", "pager pending", "soc pending")
}

// It fires again after its end, before the workflow has looked: a new incident, with steps
// of its own.
func TestIncidentThatFiresAgainIsAnother(t *testing.T) {
	t.Parallel()
	d := newDrill(t)
	d.submit("fires", tocsin.Firing)
	d.env.RegisterDelayedCallback(func() {
		d.submit("over", tocsin.Resolved)
		d.submit("again", tocsin.Firing)
		d.env.SignalWorkflow(workflows.SignalIncidentChanged, nil)
	}, 10*time.Minute)
	d.env.RegisterDelayedCallback(func() { d.owed("/drill", "again", "pager pending", "soc pending") }, 39*time.Minute)
	d.at(3*time.Hour, "over again", tocsin.Resolved)
	out := d.run()
	d.wantSteps(out, "soc → pager done", "soc → lead done")
	d.owed("/drill", "again", "lead pending", "pager pending", "soc pending")
	d.owed("/drill", "fires", "pager pending", "soc pending")
	all, _, err := d.db.ListIncidents(t.Context(), tocsin.IncidentQuery{Page: tocsin.Page{Limit: 10}})
	if err != nil || len(all) != 2 || all[0].Events != 1 || all[1].State != tocsin.IncidentResolved {
		t.Errorf("incidents are %+v (%v)", all, err)
	}
}

// No worker ran when the step was due: it is made as soon as one does.
func TestStepThatIsLateIsMadeAtOnce(t *testing.T) {
	t.Parallel()
	d := newDrill(t)
	d.ahead.Store(int64(-2 * time.Hour))
	d.submit("fires", tocsin.Firing)
	d.ahead.Store(0)
	d.env.RegisterDelayedCallback(func() { d.owed("/drill", "fires", "lead pending", "pager pending", "soc pending") }, time.Second)
	d.at(time.Minute, "over", tocsin.Resolved)
	d.wantSteps(d.run(), "soc → pager done", "soc → lead done")
}

// A mute that begins before a later step holds for it, and a webhook that is gone is
// passed over.
func TestLaterStepsGoByWhatHoldsThen(t *testing.T) {
	t.Parallel()
	d := newDrill(t)
	d.submit("fires", tocsin.Firing)
	d.env.RegisterDelayedCallback(func() {
		m := tocsin.Mute{ID: "mute_1", WebhookIDs: []string{"wh_lead"}, Until: d.env.Now().Add(time.Hour), Author: "x", Reason: "x"}
		if _, err := d.db.CreateMute(t.Context(), m); err != nil {
			t.Error(err)
		}
	}, 20*time.Minute)
	d.at(time.Hour, "over", tocsin.Resolved)
	d.wantSteps(d.run(), "soc → pager done", "soc → lead done")
	d.owed("/drill", "fires", "lead suppressed", "pager pending", "soc pending")

	gone := newDrill(t)
	gone.submit("fires", tocsin.Firing)
	if _, err := gone.db.SetState(t.Context(), "wh_lead", tocsin.StateDeleted, "test"); err != nil {
		t.Fatal(err)
	}
	gone.at(time.Hour, "over", tocsin.Resolved)
	gone.wantSteps(gone.run(), "soc → pager done", "soc → lead skipped webhook deleted")
}

// Temporal was away when the incident was opened, and nobody was told: the sweep tells.
func TestSweepFindsIncidentsThatNobodyWasToldOf(t *testing.T) {
	t.Parallel()
	d := newDrill(t)
	d.told.fail = 1 << 20
	d.submit("fires", tocsin.Firing)
	d.in.Close()
	d.told.fail = 0
	sweep := func() []string {
		t.Helper()
		d.told.keys = nil
		if _, err := d.acts.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		return d.told.keys
	}
	if got := sweep(); len(got) != 0 {
		t.Errorf("woke %v at once", got)
	}
	d.ahead.Store(int64(31 * time.Second))
	if got := sweep(); len(got) != 1 || got[0] != tocsin.IncidentKey(drillKey) {
		t.Errorf("woke %v, want the incident", got)
	}
	if _, err := d.acts.IncidentStep(t.Context(), activities.IncidentInput{Key: tocsin.IncidentKey(drillKey)}); err != nil {
		t.Fatal(err)
	}
	d.ahead.Store(int64(30 * time.Minute))
	if got := sweep(); len(got) != 0 {
		t.Errorf("woke %v, which was seen and waits", got)
	}
	d.ahead.Store(int64(31 * time.Minute))
	if got := sweep(); len(got) != 1 {
		t.Error("a step is overdue, and nobody was woken")
	}
}

// Temporal is away when the lead, marked awake by then, is to be signalled.
func TestEscalationRingsUntilItIsHeard(t *testing.T) {
	t.Parallel()
	d := newDrill(t)
	d.submit("fires", tocsin.Firing)
	d.in.Close() // everything of its own is rung
	d.env.RegisterDelayedCallback(func() {
		d.told.mu.Lock()
		defer d.told.mu.Unlock()
		d.told.fail = 2
	}, 29*time.Minute)
	d.env.RegisterDelayedCallback(func() { d.env.SignalWorkflow(workflows.SignalIncidentChanged, nil) }, 2*time.Hour)
	d.env.RegisterDelayedCallback(func() {
		if rang := d.told.rang(); !slices.Contains(rang, "wh_lead") {
			t.Errorf("rang %v, want the lead among them", rang)
		}
		d.env.CancelWorkflow()
	}, time.Hour)
	d.env.ExecuteWorkflow(workflows.TypeIncident, workflows.IncidentInput{Key: tocsin.IncidentKey(drillKey)})
	d.owed("/drill", "fires", "lead pending", "pager pending", "soc pending")
}
