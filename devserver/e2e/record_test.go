package e2e_test

import (
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/client"

	"github.com/tocsin-alerts/tocsin/devserver/devtest"
	"github.com/tocsin-alerts/tocsin/workflows"
)

// record is where to write histories for the replay test of package workflows; they are
// recorded anew for a new release, beside the old ones:
//
//	go test ./e2e -run 'Flood|Story|Replay|Housekeeping|Escalation' -record ../../workflows/testdata/v1
var record = flag.String("record", "", "`folder` to write the histories of workflows to")

// errNotYet is what a condition says that is still waited for.
var errNotYet = errors.New("not yet")

// saveHistory writes the history of one run, if asked to.
func saveHistory(t *testing.T, c client.Client, workflowID, runID, name string) {
	t.Helper()
	if *record == "" {
		return
	}
	var h history.History
	for it := c.GetWorkflowHistory(t.Context(), workflowID, runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); it.HasNext(); {
		e, err := it.Next()
		if err != nil {
			t.Fatalf("reading history of %s: %v", workflowID, err)
		}
		h.Events = append(h.Events, e)
	}
	text, err := temporalproto.CustomJSONMarshalOptions{Indent: " "}.Marshal(&h)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(*record, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*record, name+".json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// A webhook's life as an operator sees it, through the API and Temporal's own client:
// it fails and backs off, is run now, paused and resumed by hand, changed, gets events by
// signal, and is deleted, and its workflow ends.
func TestStoryOfAWebhook(t *testing.T) {
	receiver := devtest.NewReceiver(t)
	d := devtest.StartDev(t, devtest.DevOptions{})
	c, err := client.Dial(client.Options{HostPort: d.TemporalAddr})
	if err != nil {
		t.Fatalf("dialling Temporal: %v", err)
	}
	t.Cleanup(c.Close)
	w := d.MustCreate(map[string]any{"name": "story", "channel": "webhook", "frequency": "instant", "config": map[string]any{"url": receiver.URL("story")}})
	id := workflows.WebhookWorkflowID(w.ID)

	receiver.Fail(http.StatusServiceUnavailable, "Retry-After", "3600")
	ids := d.MustSend(devtest.Events("custom.test", 3)...)
	receiver.MustCount(1)
	receiver.Recover()
	update := func(name string, in workflows.Control) {
		t.Helper()
		h, err := c.UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{WorkflowID: id, UpdateName: name, Args: []any{in}, WaitForStage: client.WorkflowUpdateStageCompleted})
		if err == nil {
			err = h.Get(t.Context(), nil)
		}
		if err != nil {
			t.Fatalf("update %s: %v", name, err)
		}
	}
	// Retry-After asked for an hour; only "run now" may come before.
	update(workflows.UpdateRunNow, workflows.Control{})
	receiver.MustGet(ids...)

	update(workflows.UpdatePause, workflows.Control{})
	held := d.MustSend(devtest.Events("custom.test", 2)...)
	update(workflows.UpdateConfigure, workflows.Control{Settings: json.RawMessage(`{"batch_size": 1}`)})
	if got := status(t, c, id); got.State != "paused" {
		t.Errorf("status says %+v, want paused", got)
	}
	if n := receiver.Delivered()[held[0]]; n != 0 {
		t.Error("a paused webhook delivered")
	}
	update(workflows.UpdateResume, workflows.Control{})
	receiver.MustGet(held...)

	signal := json.RawMessage(`{"events":[{"id":"by-signal","source":"/story","type":"custom.story"},{"id":"bad","source":"/story","type":"no.such.type"}]}`)
	if err := c.SignalWorkflow(t.Context(), id, "", workflows.SignalSubmitEvents, signal); err != nil {
		t.Fatalf("signalling: %v", err)
	}
	receiver.MustGet("by-signal")
	devtest.Until(t, "the rejected event to be listed with its reason", func() error {
		s := status(t, c, id).Submitted
		if s.Accepted == 1 && len(s.Rejected) == 1 && s.Rejected[0].Field == "type" {
			return nil
		}
		return errNotYet
	})

	d.MustSettle("story")
	run := c.GetWorkflow(t.Context(), id, "")
	d.Must(http.MethodDelete, "/v1/webhooks/story", nil, nil)
	if err := run.GetWithOptions(t.Context(), nil, client.WorkflowRunGetOptions{}); err != nil {
		t.Errorf("the workflow of a deleted webhook ended with %v", err)
	}
	saveHistory(t, c, id, "", "story")
}

func status(t *testing.T, c client.Client, workflowID string) (s workflows.Status) {
	t.Helper()
	devtest.Until(t, "the query to answer", func() error {
		v, err := c.QueryWorkflow(t.Context(), workflowID, "", workflows.QueryStatus)
		if err != nil {
			return err
		}
		return v.Get(&s)
	})
	return s
}
