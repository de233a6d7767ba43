package e2e_test

import (
	"net/http"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/tocsin-alerts/tocsin/devserver/devtest"
	"github.com/tocsin-alerts/tocsin/workflows"
)

// A webhook is paused while a request is under way that then fails. Temporal does not
// retry an activity that was to be cancelled: the workflow must survive its failure.
func TestAnUpdateDuringAFailingAttempt(t *testing.T) {
	receiver := devtest.NewReceiver(t)
	d := devtest.StartDev(t, devtest.DevOptions{})
	c, err := client.Dial(client.Options{HostPort: d.TemporalAddr})
	if err != nil {
		t.Fatalf("dialling Temporal: %v", err)
	}
	t.Cleanup(c.Close)
	w := d.MustCreate(map[string]any{"name": "cut", "channel": "webhook", "frequency": "instant", "config": map[string]any{"url": receiver.URL("cut")}})

	receiver.Hold()
	receiver.Fail(http.StatusServiceUnavailable)
	ids := d.MustSend(devtest.Events("custom.test", 2)...)
	receiver.MustCount(1)
	d.Must(http.MethodPost, "/v1/webhooks/cut/pause", nil, nil)
	receiver.Release()
	id := workflows.WebhookWorkflowID(w.ID)
	devtest.Until(t, "the workflow to know of the pause", func() error {
		if got := status(t, c, id); got.State != "paused" {
			return errNotYet
		}
		return nil
	})
	info, err := c.DescribeWorkflowExecution(t.Context(), id, "")
	if err != nil {
		t.Fatalf("describing the workflow: %v", err)
	}
	if got := info.GetWorkflowExecutionInfo().GetStatus(); got != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		t.Fatalf("the workflow is %s, want running", got)
	}
	receiver.Recover()
	d.Must(http.MethodPost, "/v1/webhooks/cut/resume", nil, nil)
	receiver.MustGet(ids...)
	receiver.MustKeepIDs()
}
