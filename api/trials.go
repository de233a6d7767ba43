package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/ingest"
	"github.com/tocsin-alerts/tocsin/webhooks"
)

// trialRoutes try out settings that are not saved; none of them writes configuration. They
// are beside /v1/webhooks and not below it, where a webhook may be named "test" or "trials".
//
// To match needs the scope read only: it shows events, which that scope sees anyway, opens no
// secret and reaches nobody. To preview needs admin although nothing is sent: settings are
// checked as for a creation, which looks up the names of hosts that the caller chooses, and
// those of a stored webhook are opened for it.
func (s *server) trialRoutes() []route {
	return []route{
		{method: "POST", path: "/v1/trials/match", scope: ScopeRead, handle: bare(s.tryMatch)},
		{method: "POST", path: "/v1/trials/preview", scope: ScopeAdmin, handle: bare(s.tryPreview)},
		changes("POST", "/v1/trials/test", "trial.test", s.tryTest),
		changes("POST", "/v1/trials/check", "trial.check", s.tryCheck),
	}
}

// trialForm is what all trials are sent.
type trialForm struct {
	Webhook  string          `json:"webhook"`
	Settings json.RawMessage `json:"settings"`
}

func (f trialForm) draft() webhooks.Draft {
	return webhooks.Draft{Webhook: f.Webhook, Settings: f.Settings}
}

// matchesView says which of the newest events a draft would be owed.
type matchesView struct {
	// Summary says it in words.
	Summary string `json:"summary"`
	// Looked is how many events were asked about, Matched how many it would be owed, and
	// FilterFailed how many the filter could not be evaluated for.
	Looked       int `json:"looked"`
	Matched      int `json:"matched"`
	FilterFailed int `json:"filter_failed"`
	// Doubts are what the filter compares with that never is.
	Doubts []string    `json:"doubts,omitempty"`
	Items  []matchView `json:"items"`
}

// matchView is one event, and what the draft makes of it.
type matchView struct {
	eventBrief
	Verdict ingest.Verdict `json:"verdict"`
}

// eventBrief is an event in a list that is about something else.
type eventBrief struct {
	Source     string          `json:"source"`
	ID         string          `json:"id"`
	Type       string          `json:"type"`
	Title      string          `json:"title,omitempty"`
	Severity   tocsin.Severity `json:"severity,omitempty"`
	ReceivedAt time.Time       `json:"received_at"`
}

func briefEvent(e tocsin.Event) eventBrief {
	return eventBrief{e.Source, e.ID, e.Type, e.Title, e.Severity, e.ReceivedAt}
}

func (s *server) tryMatch(w http.ResponseWriter, r *http.Request) error {
	form, err := object[trialForm](w, r)
	if err != nil {
		return err
	}
	hook, events, err := s.Webhooks.Selection(r.Context(), form.draft())
	if err != nil {
		return err
	}
	verdicts, err := s.Ingest.Try(r.Context(), hook, events)
	if err != nil {
		return fmt.Errorf("judging events: %w", err)
	}
	view := viewMatches(events, verdicts)
	view.Doubts = s.Ingest.FilterDoubts(hook.Filter)
	return answer(w, http.StatusOK, view)
}

func viewMatches(events []tocsin.Event, verdicts []ingest.Verdict) matchesView {
	view := matchesView{Looked: len(events), Items: make([]matchView, len(events))}
	for i, v := range verdicts {
		view.Items[i] = matchView{briefEvent(events[i]), v}
		if v.Matched {
			view.Matched++
		}
		if v.FilterFailed {
			view.FilterFailed++
		}
	}
	switch {
	case view.Looked == 0:
		view.Summary = "there are no events yet to try this on"
	default:
		view.Summary = fmt.Sprintf("matches %d of the last %d events", view.Matched, view.Looked)
	}
	if view.FilterFailed > 0 {
		view.Summary += fmt.Sprintf("; the filter could not be evaluated for %d of them", view.FilterFailed)
	}
	return view
}

// previewView is what a draft would send.
type previewView struct {
	Origin string            `json:"origin"`
	Events []eventBrief      `json:"events"`
	Items  []tocsin.Exchange `json:"items"`
}

func (s *server) tryPreview(w http.ResponseWriter, r *http.Request) error {
	form, err := object[struct {
		Webhook  string              `json:"webhook"`
		Settings json.RawMessage     `json:"settings"`
		Chosen   []webhooks.EventRef `json:"chosen"`
	}](w, r)
	if err != nil {
		return err
	}
	got, err := s.Webhooks.TryPreview(r.Context(), trialForm{form.Webhook, form.Settings}.draft(), form.Chosen)
	if err != nil {
		return err
	}
	view := previewView{Origin: got.Origin, Events: make([]eventBrief, len(got.Events)), Items: listed(got.Exchanges, "").Items}
	for i, e := range got.Events {
		view.Events[i] = briefEvent(e)
	}
	return answer(w, http.StatusOK, view)
}

func (s *server) tryTest(w http.ResponseWriter, r *http.Request, c *change) (reply, error) {
	return s.try(w, r, c, func(ctx context.Context, d webhooks.Draft) (tocsin.Webhook, tested, error) {
		hook, receipt, err := s.Webhooks.TryTest(ctx, d)
		view, err := viewTest(receipt, err)
		return hook, view, err
	})
}

func (s *server) tryCheck(w http.ResponseWriter, r *http.Request, c *change) (reply, error) {
	return s.try(w, r, c, func(ctx context.Context, d webhooks.Draft) (tocsin.Webhook, tested, error) {
		hook, found, exchanges, err := s.Webhooks.TryCheck(ctx, d)
		view, err := viewCheck(found, exchanges, err)
		return hook, view, err
	})
}

// try carries a trial out that reaches somebody. The audit log keeps the settings that it was
// made with, as they are kept nowhere else.
func (s *server) try(w http.ResponseWriter, r *http.Request, c *change, do func(context.Context, webhooks.Draft) (tocsin.Webhook, tested, error)) (reply, error) {
	form, err := object[trialForm](w, r)
	if err != nil {
		return reply{}, err
	}
	c.of("", cut(form.Webhook))
	hook, view, err := do(r.Context(), form.draft())
	if err != nil {
		return reply{}, err
	}
	c.of(hook.ID, hook.Name)
	c.to(hook)
	return reply{status: http.StatusOK, body: view}, nil
}
