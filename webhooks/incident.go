package webhooks

import (
	"context"
	"errors"
	"fmt"

	"github.com/tocsin-alerts/tocsin"
)

// IncidentView is an incident as people see it.
type IncidentView struct {
	tocsin.Incident
	Steps []StepView `json:"steps"`
}

// StepView is a step of an incident with the names of its webhooks, also of deleted ones.
type StepView struct {
	tocsin.IncidentStep
	Webhook string `json:"webhook"`
	ToName  string `json:"to_name"`
}

// GetIncident finds one. CodeNotFound.
func (s *Service) GetIncident(ctx context.Context, id string) (IncidentView, error) {
	i, err := s.Store.Incident(ctx, id)
	if errors.Is(err, tocsin.ErrNotFound) {
		return IncidentView{}, &tocsin.Error{Code: tocsin.CodeNotFound, Message: fmt.Sprintf("no incident has the id %q", cut(id)), Err: tocsin.ErrNotFound}
	}
	if err != nil {
		return IncidentView{}, fmt.Errorf("reading incident: %w", err)
	}
	return s.ViewIncident(ctx, i)
}

// ListIncidents returns a page of incidents, newest first, and the cursor of the next page.
func (s *Service) ListIncidents(ctx context.Context, q tocsin.IncidentQuery) ([]IncidentView, string, error) {
	incidents, next, err := s.Store.ListIncidents(ctx, q)
	if err != nil {
		return nil, "", fmt.Errorf("listing incidents: %w", err)
	}
	views, known := make([]IncidentView, len(incidents)), names{}
	for i, incident := range incidents {
		if views[i], err = s.viewIncident(ctx, incident, known); err != nil {
			return nil, "", err
		}
	}
	return views, next, nil
}

// ViewIncident adds the names of webhooks to an incident.
func (s *Service) ViewIncident(ctx context.Context, i tocsin.Incident) (IncidentView, error) {
	return s.viewIncident(ctx, i, names{})
}

func (s *Service) viewIncident(ctx context.Context, i tocsin.Incident, known names) (IncidentView, error) {
	v := IncidentView{Incident: i, Steps: make([]StepView, len(i.Steps))}
	for n, step := range i.Steps {
		from, err := s.name(ctx, step.WebhookID, known)
		if err != nil {
			return v, err
		}
		to, err := s.name(ctx, step.To, known)
		if err != nil {
			return v, err
		}
		v.Steps[n] = StepView{IncidentStep: step, Webhook: from, ToName: to}
	}
	return v, nil
}
