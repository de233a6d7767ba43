package activities_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
	"github.com/tocsin-alerts/tocsin/ingest"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// TestRejectionsAreKept: what comes by signal and is not taken can be asked for, with the
// reason, and is there once although the activity is repeated.
func TestRejectionsAreKept(t *testing.T) {
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		w := storetest.MustCreate(t, s, "w")
		a := newActivities(s, newReceiver())
		a.Submit, a.Decode = ingestInto(t, s), ingest.Decode
		long := strings.Repeat("ü", 2000)
		batch := activities.SubmitBatch{WebhookID: w.ID, Signals: []activities.SubmitInput{
			{Events: json.RawMessage(`[{"id":"good","source":"/s","type":"custom.x"},{"id":"bad","source":"/s","type":"nonsense"}]`)},
			{Events: json.RawMessage(`"no event"`)},
			{Events: json.RawMessage(`[{"id":"` + long + `","source":"/s","type":"custom.x"}]`)},
		}}
		ended := errors.New("the worker died after it had stored everything")
		env := (&testsuite.WorkflowTestSuite{}).NewTestWorkflowEnvironment()
		env.RegisterActivityWithOptions(func(ctx context.Context, in activities.SubmitBatch) error {
			_, err := a.SubmitEvents(ctx, in)
			if err == nil && activity.GetInfo(ctx).Attempt == 1 {
				err = ended
			}
			return err
		}, activity.RegisterOptions{Name: "SubmitEvents"})
		env.ExecuteWorkflow(func(ctx workflow.Context) error {
			ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
			return workflow.ExecuteActivity(ctx, "SubmitEvents", batch).Get(ctx, nil)
		})
		if err := env.GetWorkflowError(); err != nil {
			t.Fatal(err)
		}
		got, _, err := s.Rejected(t.Context(), w.ID, tocsin.Page{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		one, two := 1, 2
		want := []tocsin.Rejection{
			{FieldError: tocsin.FieldError{Index: &two, Field: "id"}, Source: "/s", ID: strings.Repeat("ü", 128) + "…", Type: "custom.x"},
			{FieldError: tocsin.FieldError{Index: &one, Field: "type"}, Source: "/s", ID: "bad", Type: "nonsense"},
			{FieldError: tocsin.FieldError{Field: "events"}},
		}
		for _, r := range got {
			if r.Message == "" || r.At.IsZero() {
				t.Errorf("a rejection without a reason or a time: %+v", r)
			}
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(tocsin.Rejection{}, "At"), cmpopts.IgnoreFields(tocsin.FieldError{}, "Message")); diff != "" {
			t.Errorf("rejected (-want +got):\n%s", diff)
		}
		if _, err := s.Event(t.Context(), "/s", "good"); err != nil {
			t.Errorf("the good one: %v", err)
		}
	})
}
