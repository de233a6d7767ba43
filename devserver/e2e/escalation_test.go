package e2e_test

import (
	"bytes"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
	"github.com/tocsin-alerts/tocsin/devserver/devtest"
	"github.com/tocsin-alerts/tocsin/devserver/temporalserver"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/workflows"
)

// watch is a production whose webhook soc, which runs once a day, pages pager at once and
// lead after some seconds.
type watch struct {
	*production
	api      devtest.Client
	worker   *devtest.WorkerProcess
	receiver *devtest.Receiver
	temporal client.Client
}

const watchKey = "disk/a"

func newWatch(t *testing.T) *watch {
	t.Helper()
	server := startTemporal(t, temporalserver.Options{DBFile: filepath.Join(t.TempDir(), "temporal.db"), FrontendAddr: "127.0.0.1:0"})
	w := &watch{production: productionOn(t, pgtest.URL(t), server.Addr()), receiver: devtest.NewReceiver(t)}
	serve := devtest.StartServe(t, w.key, w.env...)
	w.api, w.worker = serve.Client, devtest.StartWorker(t, w.env...)
	w.env = append(w.env, "TOCSIN_API_URL="+serve.URL)
	var err error
	if w.temporal, err = client.Dial(client.Options{HostPort: server.Addr()}); err != nil {
		t.Fatalf("dialling Temporal: %v", err)
	}
	t.Cleanup(w.temporal.Close)
	for _, name := range []string{"pager", "lead"} {
		w.api.MustCreate(map[string]any{
			"name": name, "channel": "webhook", "frequency": "instant", "events": []string{"none"}, "config": map[string]any{"url": w.receiver.URL(name)},
		})
	}
	w.api.MustCreate(map[string]any{
		"name": "soc", "channel": "webhook", "run_every": "24h", "events": []string{"custom"}, "config": map[string]any{"url": w.receiver.URL("soc")},
		"escalate": []map[string]any{{"to": "pager", "min_severity": "critical"}, {"to": "lead", "after": "6s", "unless": "acknowledged"}},
	})
	return w
}

func (w *watch) send(id, status string) {
	w.t.Helper()
	w.api.MustSend(map[string]any{"id": id, "source": "/hosts", "type": "custom.disk.full", "severity": "critical", "status": status, "dedup_key": watchKey, "title": "Disk is full"})
}

// arrives waits until a webhook was sent these events, in this order, and nothing else.
func (w *watch) arrives(webhook string, want ...string) {
	w.t.Helper()
	devtest.Until(w.t, webhook+" to get its events", func() error {
		if got := w.got(webhook); !slices.Equal(got, want) {
			return fmt.Errorf("it got %v, want %v", got, want)
		}
		return nil
	})
}

func (w *watch) got(webhook string) (ids []string) {
	for _, r := range w.receiver.All() {
		if r.Path == "/"+webhook {
			ids = append(ids, r.Events...)
		}
	}
	return ids
}

// latest is the latest incident.
func (w *watch) latest() tocsin.Incident {
	w.t.Helper()
	var page struct{ Items []tocsin.Incident }
	w.api.Must(http.MethodGet, "/v1/incidents?limit=1&dedup_key="+watchKey, nil, &page)
	if len(page.Items) != 1 {
		w.t.Fatalf("incidents: %+v", page)
	}
	return page.Items[0]
}

func (w *watch) settled(webhook string, events int64) {
	w.t.Helper()
	if b := w.api.MustSettle(webhook); b.Accepted != events || b.Delivered != events {
		w.t.Errorf("the ledger of %s says %+v, want %d accepted and delivered", webhook, b, events)
	}
}

// The worker is killed before a step is due, and another one makes it late. Who was
// reached hears of the end; the webhook that escalates has not even run.
func TestEscalationOutlivesItsWorker(t *testing.T) {
	w := newWatch(t)
	workflow := workflows.IncidentWorkflowID(tocsin.IncidentKey(watchKey))
	w.send("fires", "firing")
	w.arrives("pager", "fires")
	w.settled("pager", 1)
	devtest.Until(t, "the incident's workflow to wait for the lead", func() error {
		s, err := incidentStatus(t, w.temporal, workflow)
		if err == nil && s.Next != "lead" {
			err = fmt.Errorf("it is %+v", s)
		}
		return err
	})
	w.worker.Kill9()
	i := w.latest()
	if i.State != tocsin.IncidentOpen || len(i.Steps) != 2 || i.Steps[1].State != tocsin.StepWaiting {
		t.Fatalf("too late for a kill before the step: %+v", i)
	}
	devtest.Until(t, "the step to be overdue", since(i.Steps[1].DueAt, time.Second))
	if got := w.got("lead"); len(got) != 0 {
		t.Errorf("without a worker the lead got %v", got)
	}
	w.worker = devtest.StartWorker(t, w.env...)
	w.arrives("lead", "fires")

	w.send("over", "resolved")
	w.arrives("pager", "fires", "over")
	w.arrives("lead", "fires", "over")
	var out activities.IncidentResult
	if err := w.temporal.GetWorkflow(t.Context(), workflow, "").Get(t.Context(), &out); err != nil || out.State != tocsin.IncidentResolved {
		t.Errorf("the workflow ended with %+v (%v)", out, err)
	}
	w.mustKeepQuiet(workflow, "Disk is full", watchKey, "fires")
	saveHistory(t, w.temporal, workflow, "", "incident")
	w.settled("pager", 2)
	w.settled("lead", 2)
	w.mustBalance(2)
	w.receiver.MustKeepIDs()
}

// mustKeepQuiet checks that a workflow's history holds none of these texts of producers.
func (w *watch) mustKeepQuiet(workflowID string, texts ...string) {
	w.t.Helper()
	for it := w.temporal.GetWorkflowHistory(w.t.Context(), workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); it.HasNext(); {
		e, err := it.Next()
		if err != nil {
			w.t.Fatalf("reading history: %v", err)
		}
		raw, err := e.Marshal()
		if err != nil {
			w.t.Fatal(err)
		}
		for _, text := range texts {
			if bytes.Contains(raw, []byte(text)) {
				w.t.Errorf("event %d of the history (%s) says %q", e.GetEventId(), e.GetEventType(), text)
			}
		}
	}
}

// mustBalance checks that soc, which has not run, holds its events, and that all counters
// agree with their rows.
func (w *watch) mustBalance(pending int64) {
	w.t.Helper()
	all, err := w.api.Balances()
	if err != nil || all["soc"].Pending != pending || all["soc"].Accepted != pending {
		w.t.Errorf("the ledger of soc says %+v (%v), want %d pending", all["soc"], err, pending)
	}
	w.tocsin("ledger", "--verify")
}

// People acknowledge by the command line and resolve by Temporal's own signal; it fires
// again, which is another incident under the same workflow id.
func TestPeopleEndAnEscalation(t *testing.T) {
	w := newWatch(t)
	workflow := workflows.IncidentWorkflowID(tocsin.IncidentKey(watchKey))
	w.send("fires", "firing")
	w.arrives("pager", "fires")
	first := w.latest()
	if out := w.tocsin("incidents", "acknowledge", first.ID, "--note", "on it"); !strings.Contains(out, "acknowledged by test") {
		t.Errorf("acknowledging says %s", out)
	}
	acknowledged, resolved := "incident.acknowledged/"+first.ID, "incident.resolved/"+first.ID
	w.arrives("pager", "fires", acknowledged)
	if err := w.temporal.SignalWorkflow(t.Context(), workflow, "", workflows.SignalResolve, workflows.IncidentSignal{By: "dana", Note: "rebooted"}); err != nil {
		t.Fatalf("signalling: %v", err)
	}
	w.arrives("pager", "fires", acknowledged, resolved)
	if err := w.temporal.GetWorkflow(t.Context(), workflow, "").Get(t.Context(), nil); err != nil {
		t.Errorf("the workflow ended with %v", err)
	}
	saveHistory(t, w.temporal, workflow, "", "incident-people")
	if i := w.latest(); i.ResolvedBy != "dana" || i.Steps[1].State != tocsin.StepSkipped {
		t.Errorf("got %+v", i)
	}

	w.send("again", "firing")
	w.arrives("pager", "fires", acknowledged, resolved, "again")
	w.arrives("lead", "again")
	second := w.latest()
	w.api.Must(http.MethodPost, "/v1/incidents/"+second.ID+"/resolve", nil, nil)
	w.arrives("lead", "again", "incident.resolved/"+second.ID)
	w.settled("pager", 5)
	w.settled("lead", 2)
	w.mustBalance(2)
}

func incidentStatus(t *testing.T, c client.Client, workflowID string) (s workflows.IncidentStatus, err error) {
	t.Helper()
	v, err := c.QueryWorkflow(t.Context(), workflowID, "", workflows.QueryStatus)
	if err != nil {
		return s, err
	}
	return s, v.Get(&s)
}
