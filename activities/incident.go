package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/internal/audit"
	"github.com/tocsin-alerts/tocsin/internal/failpoint"
)

// Escalator says what escalations owe, and lets people change incidents. *ingest.Ingest is
// one.
type Escalator interface {
	// Escalation returns what a webhook is owed by an incident's latest event at this
	// moment; skip says why nothing.
	Escalation(ctx context.Context, i tocsin.Incident, webhookID string) (owed tocsin.Obligation, skip string, err error)
	// ChangeIncident acknowledges or resolves one for a person.
	ChangeIncident(ctx context.Context, id string, to tocsin.IncidentState, by, note string) (tocsin.Incident, error)
}

// IncidentInput is what the workflow asks IncidentStep. Stored in histories: fields are
// added, never renamed.
type IncidentInput struct {
	Key string `json:"key"`
}

// IncidentResult is how an incident stands. Titles and dedup keys are of producers'
// making, and stay in the store. Stored in histories: fields are added, never renamed.
type IncidentResult struct {
	ID             string               `json:"id"`
	Type           string               `json:"type,omitempty"`
	State          tocsin.IncidentState `json:"state"`
	Severity       tocsin.Severity      `json:"severity,omitempty"`
	Events         int                  `json:"events"`
	OpenedAt       time.Time            `json:"opened_at,omitzero"`
	AcknowledgedAt *time.Time           `json:"acknowledged_at,omitempty"`
	AcknowledgedBy string               `json:"acknowledged_by,omitempty"`
	ResolvedAt     *time.Time           `json:"resolved_at,omitempty"`
	ResolvedBy     string               `json:"resolved_by,omitempty"`
	Steps          []IncidentStep       `json:"steps,omitempty"`

	// Next names the webhook that the next step leads to, "" when none waits; Wait is how
	// long until then.
	Next string        `json:"next,omitempty"`
	Wait time.Duration `json:"wait,omitempty"`
	// Done says that the incident is over and nothing waits.
	Done bool `json:"done,omitempty"`
}

// IncidentStep is a step with the names of its webhooks.
type IncidentStep struct {
	Webhook string           `json:"webhook"`
	To      string           `json:"to"`
	After   tocsin.Duration  `json:"after"`
	Unless  string           `json:"unless,omitempty"`
	State   tocsin.StepState `json:"state"`
	Reason  string           `json:"reason,omitempty"`
	DueAt   time.Time        `json:"due_at"`
	DoneAt  *time.Time       `json:"done_at,omitempty"`
}

// IncidentStep looks how the latest incident of a key stands, and makes the steps that are
// due. All progress is in the store. A call that is repeated goes on from there; what it had
// made already is rung for again.
func (a *Activities) IncidentStep(ctx context.Context, in IncidentInput) (IncidentResult, error) {
	i, now, err := a.Store.Attend(ctx, in.Key)
	if errors.Is(err, tocsin.ErrNotFound) {
		return IncidentResult{Done: true}, nil
	}
	if err != nil {
		return IncidentResult{}, fmt.Errorf("reading the incident: %w", err)
	}
	what := "incident " + i.ID
	defer heartbeat(ctx, func() any { return what })()
	due := dueSteps(i, now)
	for _, step := range due {
		if i, err = a.escalate(ctx, i, step); err != nil {
			return IncidentResult{}, err
		}
	}
	if err := a.ringEscalated(ctx, i, due); err != nil {
		return IncidentResult{}, err
	}
	if len(due) > 0 {
		// Its version has grown by what was done just now: the sweep need not ask for it.
		if i, now, err = a.Store.Attend(ctx, in.Key); err != nil {
			return IncidentResult{}, fmt.Errorf("reading the incident again: %w", err)
		}
	}
	return a.standing(ctx, i, now)
}

// dueSteps are those that wait no longer.
func dueSteps(i tocsin.Incident, now time.Time) (due []tocsin.IncidentStep) {
	for _, s := range i.Steps {
		if s.State == tocsin.StepWaiting && !s.DueAt.After(now) {
			due = append(due, s)
		}
	}
	return due
}

// escalateTries is how often one look asks what a step owes, where the incident fires again
// between the answer and the step. After that the step waits for the next look, which comes
// at once.
const escalateTries = 5

// escalate makes one step, by what the webhook that it leads to is owed at this moment.
func (a *Activities) escalate(ctx context.Context, i tocsin.Incident, step tocsin.IncidentStep) (tocsin.Incident, error) {
	for range escalateTries {
		owed, skip, err := a.Escalate.Escalation(ctx, i, step.To)
		if err != nil {
			return i, fmt.Errorf("finding out what an escalation owes: %w", err)
		}
		after, err := a.Store.Escalate(ctx, i.ID, step.ID, i.Seq, owed, skip)
		if err != nil {
			return i, fmt.Errorf("escalating: %w", err)
		}
		failpoint.Hit("incident.escalated")
		stale := after.Seq != i.Seq && waits(after, step.ID)
		if i = after; !stale {
			break
		}
	}
	return i, nil
}

// waits reports whether a step of an incident waits.
func waits(i tocsin.Incident, step int64) bool {
	return slices.ContainsFunc(i.Steps, func(s tocsin.IncidentStep) bool { return s.ID == step && s.State == tocsin.StepWaiting })
}

// ringEscalated wakes the webhooks of steps that were just made. An attempt before this one
// may have made some, or marked their webhooks awake, and died before it signalled them.
func (a *Activities) ringEscalated(ctx context.Context, i tocsin.Incident, due []tocsin.IncidentStep) error {
	repeated := activity.IsActivity(ctx) && activity.GetInfo(ctx).Attempt > 1
	var ids []string
	for _, s := range i.Steps {
		made := slices.ContainsFunc(due, func(d tocsin.IncidentStep) bool { return d.ID == s.ID }) || repeated && s.After > 0
		if s.State == tocsin.StepDone && made && !slices.Contains(ids, s.To) {
			ids = append(ids, s.To)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	asleep, err := a.Store.Ring(ctx, ids)
	if err != nil {
		return fmt.Errorf("ringing those an incident is escalated to: %w", err)
	}
	if repeated {
		asleep = ids
	}
	if len(asleep) == 0 {
		return nil
	}
	if err := a.Conductor.Ring(ctx, asleep...); err != nil {
		return fmt.Errorf("ringing those an incident is escalated to: %w", err)
	}
	return nil
}

// standing is what the workflow is told.
func (a *Activities) standing(ctx context.Context, i tocsin.Incident, now time.Time) (IncidentResult, error) {
	r := IncidentResult{
		ID: i.ID, Type: i.Type, State: i.State, Severity: i.Severity, Events: i.Events, OpenedAt: i.OpenedAt.UTC(),
		AcknowledgedAt: i.AcknowledgedAt, AcknowledgedBy: i.AcknowledgedBy, ResolvedAt: i.ResolvedAt, ResolvedBy: i.ResolvedBy,
		Done: i.State == tocsin.IncidentResolved,
	}
	known := map[string]string{}
	for _, s := range i.Steps {
		from, err := a.webhookName(ctx, s.WebhookID, known)
		if err != nil {
			return r, err
		}
		to, err := a.webhookName(ctx, s.To, known)
		if err != nil {
			return r, err
		}
		r.Steps = append(r.Steps, IncidentStep{
			Webhook: from, To: to, After: s.After, Unless: s.Unless, State: s.State, Reason: s.Reason, DueAt: s.DueAt.UTC(), DoneAt: s.DoneAt,
		})
		if s.State == tocsin.StepWaiting && (r.Next == "" || s.DueAt.Sub(now) < r.Wait) {
			r.Next, r.Wait, r.Done = to, max(0, s.DueAt.Sub(now)), false
		}
	}
	return r, nil
}

// webhookName finds a webhook's name, also that of a deleted one; its id stands for one
// that is not there at all.
func (a *Activities) webhookName(ctx context.Context, id string, known map[string]string) (string, error) {
	if name, ok := known[id]; ok {
		return name, nil
	}
	w, err := a.Store.Webhook(ctx, id)
	switch {
	case errors.Is(err, tocsin.ErrNotFound):
		w.Name = id
	case err != nil:
		return "", fmt.Errorf("reading the name of a webhook: %w", err)
	}
	known[id] = w.Name
	return w.Name, nil
}

// IncidentChange is a signal that somebody sent to an incident's workflow. Stored in
// histories: fields are added, never renamed.
type IncidentChange struct {
	ID   string               `json:"id"`
	To   tocsin.IncidentState `json:"to"`
	By   string               `json:"by"`
	Note string               `json:"note,omitempty"`
}

// incidentActions are the changes, by what the audit log calls them.
var incidentActions = map[tocsin.IncidentState]string{
	tocsin.IncidentAcknowledged: "incident.acknowledge", tocsin.IncidentResolved: "incident.resolve",
}

// ChangeIncident carries out what somebody asked for by a signal, as the API does for its
// callers. The audit log's actor is Temporal: who used its tools is not known here, whatever
// the signal says.
func (a *Activities) ChangeIncident(ctx context.Context, in IncidentChange) error {
	entry := tocsin.AuditEntry{Actor: "temporal", Action: incidentActions[in.To], Object: in.ID}
	err := audit.Change(ctx, a.Logger, a.Store, entry, func(e *tocsin.AuditEntry) error {
		before, err := a.Store.Incident(ctx, in.ID)
		if err != nil {
			return err
		}
		e.Before, e.Detail = audit.Public(before), audit.Cut("signalled as "+in.By)
		after, err := a.Escalate.ChangeIncident(ctx, in.ID, in.To, in.By, in.Note)
		if err != nil {
			return err
		}
		e.After = audit.Public(after)
		return nil
	})
	if err != nil {
		return asApplicationError(err)
	}
	return nil
}
