package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// source is what Tocsin's own events have as their source.
const source = "/tocsin"

// maxNote bounds what somebody says about an incident, in bytes.
const maxNote = 4096

// incidentData is the data of the types incident.acknowledged and incident.resolved.
type incidentData struct {
	Incident       string    `json:"incident"`
	By             string    `json:"by"`
	Note           string    `json:"note,omitempty"`
	Type           string    `json:"type"`
	Title          string    `json:"title,omitempty"`
	Events         int       `json:"events"`
	OpenedAt       time.Time `json:"opened_at"`
	AcknowledgedBy string    `json:"acknowledged_by,omitempty"`
}

// ChangeIncident acknowledges or resolves an incident for a person: it submits the event
// that says so, which brings the change about in the transaction that stores it, and
// returns the incident as it is then. What was done already changes nothing, whoever did
// it. CodeNotFound; CodeConflict for acknowledging what is resolved, and where something
// else is stored under the id of that event; CodeInvalid; other errors are those of [Ingest.Submit].
func (in *Ingest) ChangeIncident(ctx context.Context, id string, to tocsin.IncidentState, by, note string) (tocsin.Incident, error) {
	if err := checkChange(to, by, note); err != nil {
		return tocsin.Incident{}, err
	}
	i, err := in.incident(ctx, id)
	if err != nil || done(i, to) {
		return i, err
	}
	if i.State == tocsin.IncidentResolved {
		return i, resolvedAlready(i)
	}
	if err := in.submitChange(ctx, i, to, by, note); err != nil {
		return i, err
	}
	i, err = in.incident(ctx, id)
	switch {
	case err != nil || done(i, to):
		return i, err
	case i.State == tocsin.IncidentResolved: // meanwhile
		return i, resolvedAlready(i)
	}
	return i, tocsin.Errorf(tocsin.CodeConflict, "incident %s is still %s: an event with the id %s and the source %s, which would say so, was stored before and is something else", i.ID, i.State, changes[to]+"/"+i.ID, source)
}

// changes are the types of the events that bring an incident into a state.
var changes = map[tocsin.IncidentState]string{
	tocsin.IncidentAcknowledged: tocsin.TypeIncidentAcknowledged, tocsin.IncidentResolved: tocsin.TypeIncidentResolved,
}

// done reports whether there is nothing left to do for somebody who wants it so.
func done(i tocsin.Incident, to tocsin.IncidentState) bool {
	return i.State == to || to == tocsin.IncidentAcknowledged && i.AcknowledgedAt != nil
}

func resolvedAlready(i tocsin.Incident) error {
	by := i.ResolvedBy
	if by == "" {
		by = "an event"
	}
	return tocsin.Errorf(tocsin.CodeConflict, "incident %s is resolved already, by %s", i.ID, by)
}

func (in *Ingest) incident(ctx context.Context, id string) (tocsin.Incident, error) {
	i, err := in.store.Incident(ctx, id)
	if errors.Is(err, tocsin.ErrNotFound) {
		return i, &tocsin.Error{Code: tocsin.CodeNotFound, Message: fmt.Sprintf("no incident has the id %s", catalog.Quote(id)), Err: tocsin.ErrNotFound}
	}
	if err != nil {
		return i, fmt.Errorf("reading incident: %w", err)
	}
	return i, nil
}

func checkChange(to tocsin.IncidentState, by, note string) error {
	var wrong []tocsin.FieldError
	c := checker{bad: func(field, message string) { wrong = append(wrong, tocsin.FieldError{Field: field, Message: message}) }}
	if to != tocsin.IncidentAcknowledged && to != tocsin.IncidentResolved {
		c.bad("state", fmt.Sprintf("%s is not what an incident is brought to; allowed: %s, %s", catalog.Quote(string(to)), tocsin.IncidentAcknowledged, tocsin.IncidentResolved))
	}
	c.key("by", by)
	c.text("note", note, maxNote, true)
	if len(wrong) == 0 {
		return nil
	}
	return &tocsin.Error{Code: tocsin.CodeInvalid, Message: "the change of an incident is not valid", Fields: wrong}
}

// submitChange stores the event. Its id is made of the incident, so that what is repeated
// converges.
func (in *Ingest) submitChange(ctx context.Context, i tocsin.Incident, to tocsin.IncidentState, by, note string) error {
	e, err := changeEvent(i, to, by, note)
	if err != nil {
		return err
	}
	latest, err := in.store.EventBySeq(ctx, i.Seq)
	if err != nil && !errors.Is(err, tocsin.ErrNotFound) {
		return fmt.Errorf("reading the latest event of an incident: %w", err)
	}
	e.Link = latest.Link
	if collection := latest.Labels["collection"]; collection != "" {
		e.Labels = map[string]string{"collection": collection}
	}
	events := []tocsin.Event{e}
	var p problems
	in.validate(events, &p)
	if err := p.err(1); err != nil {
		return err
	}
	r := in.request(ctx, events)
	r.batch[0].Change = &tocsin.IncidentChange{ID: i.ID, To: to, By: by}
	_, err = in.wait(r)
	return err
}

func changeEvent(i tocsin.Incident, to tocsin.IncidentState, by, note string) (tocsin.Event, error) {
	title := i.Title
	if title == "" {
		title = i.Type
	}
	e := tocsin.Event{
		ID: changes[to] + "/" + i.ID, Source: source, Type: changes[to], Status: tocsin.Firing,
		DedupKey: i.DedupKey, Subject: i.Subject, Severity: i.Severity, Summary: note,
	}
	did := "Acknowledged"
	if to == tocsin.IncidentResolved {
		e.Status, did = tocsin.Resolved, "Resolved"
	}
	e.Title = shortened(fmt.Sprintf("%s by %s: %s", did, by, title), maxTitle)
	var err error
	e.Data, err = json.Marshal(incidentData{
		Incident: i.ID, By: by, Note: note, Type: i.Type, Title: i.Title, Events: i.Events, OpenedAt: i.OpenedAt.UTC(), AcknowledgedBy: i.AcknowledgedBy,
	})
	if err != nil {
		return e, fmt.Errorf("encoding what was done about an incident: %w", err)
	}
	return e, nil
}

// shortened cuts a text to at most so many bytes.
func shortened(text string, most int) string {
	if len(text) <= most {
		return text
	}
	const mark = "…"
	return strings.ToValidUTF8(text[:most-len(mark)], "") + mark
}

// Escalation returns what a webhook is owed by an incident's latest event at this moment,
// for Escalate of [tocsin.Incidents]: its own mutes and batch key count, and nothing that it
// selects. Nor does its repeat_after: that nobody did anything is news. skip says why
// nothing is owed. It is made for the event i.Seq.
func (in *Ingest) Escalation(ctx context.Context, i tocsin.Incident, webhookID string) (owed tocsin.Obligation, skip string, err error) {
	m, err := in.newest(ctx)
	if err != nil {
		return owed, "", err
	}
	place, known := m.byID[webhookID]
	if !known {
		return owed, tocsin.ReasonDeleted, nil
	}
	e, err := in.store.EventBySeq(ctx, i.Seq)
	if errors.Is(err, tocsin.ErrNotFound) {
		return owed, "its event is no longer kept", nil
	}
	if err != nil {
		return owed, "", fmt.Errorf("reading the latest event of an incident: %w", err)
	}
	in.complete(&e, e.ReceivedAt)
	r := run{m: m, at: in.now(), subject: subject{event: &e, category: in.catalog.Category(e.Type)}}
	owed = r.obligation(&m.rules[place])
	owed.RepeatAfter = 0
	return owed, "", nil
}

// batchKey is what a channel makes of an event; "" for one this process does not have.
func (in *Ingest) batchKey(channel string, e *tocsin.Event) string {
	for _, c := range in.channels {
		if c.Name() == channel {
			return c.BatchKey(e)
		}
	}
	return ""
}
