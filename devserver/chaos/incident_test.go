package chaos_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/devserver/devtest"
	"github.com/tocsin-alerts/tocsin/workflows"
)

// A worker dies between a step of an incident and its ring, and serve dies before it tells
// the incident's workflow that it was opened: everybody is paged all the same, once.
func TestFailpointsOfIncidents(t *testing.T) {
	for _, point := range []string{pointEscalated, pointUntold} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			s := newSmall(t)
			armed := s.arm(point, 1)
			s.serve.start()
			s.worker.start()
			api := devtest.NewClient(t, s.serve.url, s.key)
			pager, lead := devtest.NewReceiver(t), devtest.NewReceiver(t)
			create := func(name, url string) tocsin.Webhook {
				return api.MustCreate(map[string]any{"name": name, "channel": "webhook", "frequency": "instant", "events": []string{"none"}, "config": map[string]any{"url": url}})
			}
			hooks := []tocsin.Webhook{create("pager", pager.URL("pager")), create("lead", lead.URL("lead"))}
			api.MustCreate(map[string]any{"name": "soc", "channel": "webhook", "run_every": "24h", "config": map[string]any{"url": pager.URL("soc")},
				"escalate": []map[string]any{{"to": "pager"}, {"to": "lead", "after": "3s"}}})
			for _, w := range hooks {
				s.mustSleep(w)
			}
			e := devtest.Events("custom.test", 1)[0]
			e["dedup_key"] = "incident"
			submit(t, api, e)
			armed.MustDie()
			armed.env = s.env
			armed.start()
			submit(t, api, e)

			id := fmt.Sprint(e["id"])
			pager.MustGet(id)
			lead.MustGet(id)
			e["id"], e["status"] = "over", "resolved"
			api.MustSend(e)
			lead.MustGet("over")
			pager.MustGet("over")
			if err := s.temporal.GetWorkflow(t.Context(), workflows.IncidentWorkflowID(tocsin.IncidentKey("incident")), "").Get(t.Context(), nil); err != nil {
				t.Errorf("the incident's workflow ended with %v", err)
			}
			for _, w := range hooks {
				if b := api.MustSettle(w.Name); b.Accepted != 2 || b.Delivered != 2 {
					t.Errorf("the ledger of %s says %+v, want 2 accepted and delivered", w.Name, b)
				}
			}
			if err := s.recount(); err != nil {
				t.Errorf("counting again: %v", err)
			}
		})
	}
}

// submit sends an event, again if the process dies before it answers.
func submit(t *testing.T, api devtest.Client, e map[string]any) {
	t.Helper()
	devtest.Until(t, "the event to be acknowledged, or the process to die", func() error {
		status, _, err := api.Do(http.MethodPost, "/v1/events", e)
		if err != nil || status == http.StatusAccepted {
			return nil // it is submitted again after the restart, and converges
		}
		return errors.New(http.StatusText(status))
	})
}
