package activities_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.temporal.io/sdk/testsuite"

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
		in, err := ingest.New(ingest.Config{Store: s, Conductor: &conductor{}})
		if err != nil {
			t.Fatal(err)
		}
		a := newActivities(s, newReceiver())
		a.Submit, a.Decode = in, ingest.Decode
		long := strings.Repeat("ü", 2000)
		batch := activities.SubmitBatch{WebhookID: w.ID, Signals: []activities.SubmitInput{
			{Events: json.RawMessage(`[{"id":"good","source":"/s","type":"custom.x"},{"id":"bad","source":"/s","type":"nonsense"}]`)},
			{Events: json.RawMessage(`"no event"`)},
			{Events: json.RawMessage(`[{"id":"` + long + `","source":"/s","type":"custom.x"}]`)},
		}}
		env := (&testsuite.WorkflowTestSuite{}).NewTestActivityEnvironment()
		env.RegisterActivity(a.SubmitEvents)
		for range 2 {
			if _, err := env.ExecuteActivity(a.SubmitEvents, batch); err != nil {
				t.Fatal(err)
			}
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
