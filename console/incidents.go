package console

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

func incidentsRoutes() []route {
	return []route{
		{pattern: "GET incidents", do: incidents},
		{pattern: "GET incidents/{id}", do: showIncident},
		{pattern: "POST incidents/{id}/acknowledge", do: changeIncident("acknowledge", "Acknowledged. Steps that wait for that are not made.")},
		{pattern: "POST incidents/{id}/resolve", do: changeIncident("resolve", "Resolved. No further step is made.")},
	}
}

// incident is an incident as the API has it.
type incident struct {
	tocsin.Incident
	Steps []step `json:"steps"`
}

// step is a step of an incident as the API has it.
type step struct {
	tocsin.IncidentStep
	Webhook string `json:"webhook"`
	ToName  string `json:"to_name"`
}

// Heading is what an incident is called.
func (i incident) Heading() string { return cmp.Or(i.Title, i.Subject, i.Type, i.DedupKey) }

// Upcoming is the next step that waits; nil for none.
func (i incident) Upcoming() *step {
	for n := range i.Steps {
		if i.Steps[n].State == tocsin.StepWaiting {
			return &i.Steps[n]
		}
	}
	return nil
}

type incidentsData struct {
	Items  []incident
	Pager  Pager
	State  string
	Filter url.Values
	Period period
	States []option
	// Severities is what can be asked for.
	Severities []option
}

// unresolved is what the list shows unless it is asked for something else.
const unresolved = "unresolved"

// anyState is the word of the console's address for incidents of all states.
const anyState = "all"

func incidents(p *request) error {
	ask := p.filters("50", "state", "min_severity", "dedup_key")
	data := incidentsData{Filter: ask, Period: p.period(ask), State: cmp.Or(ask.Get("state"), unresolved), Severities: severities()}
	data.States = []option{{unresolved, "Open or acknowledged"}, {"open", "Open"}, {"acknowledged", "Acknowledged"}, {"resolved", "Resolved"}, {anyState, "All"}}
	ask.Set("state", data.State)
	if data.State == anyState {
		ask.Del("state")
	}
	var page list[incident]
	if err := p.get(at(ask, "v1", "incidents"), &page); err != nil {
		return p.refused(err, "incidents", "incidents", "Incidents", data)
	}
	data.Items, data.Pager = page.Items, p.pager(page.Next)
	return p.show("incidents", "incidents", "Incidents", data)
}

// Filtered reports whether it is not what is shown at first.
func (d incidentsData) Filtered() bool {
	return d.State != unresolved || d.Filter.Get("min_severity")+d.Filter.Get("dedup_key") != "" || d.Period.Exact() || d.Period.Within != ""
}

// moment of an incident, in the order of time.
type incidentMoment struct {
	At    time.Time
	State string
	Text  string
	// Hook and URL are the webhook that was reached, or will be.
	Hook, URL string
	Note      string
	// Ahead says that it is still to come.
	Ahead bool
}

type incidentData struct {
	incident
	Timeline []incidentMoment
	// Latest are events of it that were found, newest first; SearchURL searches for more.
	Latest      []eventAnswer
	SearchURL   string
	WorkflowURL string
	// Note is what was typed where it was refused.
	Note string
}

func showIncident(p *request) error {
	data, err := p.incident()
	if err != nil {
		return err
	}
	return p.show("incidents", "incident", data.Heading(), data)
}

func (p *request) incident() (incidentData, error) {
	var i incident
	if err := p.get(at(nil, "v1", "incidents", p.PathValue("id")), &i); err != nil {
		return incidentData{}, err
	}
	data := incidentData{incident: i}
	if p.console.WorkflowURL != nil {
		data.WorkflowURL = p.console.WorkflowURL(tocsin.PrefixIncident + "_" + i.Key())
	}
	if err := p.timeline(&data); err != nil {
		return data, err
	}
	return data, p.eventsOf(&data)
}

// timeline puts what happened, and what will, in order.
func (p *request) timeline(d *incidentData) error {
	i := d.incident
	d.Timeline = []incidentMoment{{At: i.OpenedAt, State: "open", Text: "It was opened by the first event that was to be escalated."}}
	for _, s := range i.Steps {
		d.Timeline = append(d.Timeline, s.moment())
	}
	if i.AcknowledgedAt != nil {
		note, err := p.note(i, tocsin.TypeIncidentAcknowledged)
		if err != nil {
			return err
		}
		d.Timeline = append(d.Timeline, incidentMoment{At: *i.AcknowledgedAt, State: "acknowledged", Text: "By " + cmp.Or(i.AcknowledgedBy, "nobody known") + ".", Note: note})
	}
	if i.ResolvedAt != nil {
		m := incidentMoment{At: *i.ResolvedAt, State: "resolved", Text: "By an event that says that it is over."}
		if i.ResolvedBy != "" {
			m.Text = "By " + i.ResolvedBy + "."
			var err error
			if m.Note, err = p.note(i, tocsin.TypeIncidentResolved); err != nil {
				return err
			}
		}
		d.Timeline = append(d.Timeline, m)
	}
	slices.SortStableFunc(d.Timeline, func(a, b incidentMoment) int { return a.At.Compare(b.At) })
	return nil
}

// moment is a step as a line of the timeline.
func (s step) moment() incidentMoment {
	m := incidentMoment{At: s.DueAt, State: string(s.State), Hook: s.ToName, URL: to("webhooks", s.To)}
	from := " after " + s.After.String() + ", as " + s.Webhook + " says"
	switch s.State {
	case tocsin.StepDone:
		m.Text = "was told" + from + "."
		if s.DoneAt != nil {
			m.At = *s.DoneAt
		}
	case tocsin.StepSkipped:
		m.Text = "was not told" + because(s.Reason) + ". It would have been" + from + "."
	default:
		m.Ahead, m.Text = true, "will be told"+from
		if s.Unless != "" {
			m.Text += ", unless somebody acknowledges before"
		}
		m.Text += "."
	}
	return m
}

// tocsinSource is what Tocsin's own events have as their source.
const tocsinSource = "/tocsin"

// note is what was said when the incident was acknowledged or resolved: it is in the event
// that says so, which may be gone by now.
func (p *request) note(i incident, kind string) (string, error) {
	var e eventAnswer
	err := p.get(at(nil, "v1", "events", tocsinSource, kind+"/"+i.ID), &e)
	if isNotFound(err) {
		return "", nil
	}
	return e.Summary, err
}

// latestEvents is how many of an incident's events are shown.
const latestEvents = "10"

// eventsOf looks for the latest events of the incident. The type, for which there is an
// index, keeps the search short.
func (p *request) eventsOf(d *incidentData) error {
	q := url.Values{"type": {d.Type}, "dedup_key": {d.DedupKey}, "since": {clock(d.OpenedAt.Add(-time.Minute))}}
	d.SearchURL = to("events") + "?" + q.Encode()
	q.Set("limit", latestEvents)
	var page list[eventAnswer]
	err := p.get(at(q, "v1", "events"), &page)
	d.Latest = page.Items
	return err
}

// changeIncident is a form that acknowledges or resolves an incident, with a note.
func changeIncident(verb, notice string) func(*request) error {
	return func(p *request) error {
		note := p.PostFormValue("note")
		var body any
		if note != "" {
			body = map[string]string{"note": note}
		}
		id := p.PathValue("id")
		err := p.send(http.MethodPost, at(nil, "v1", "incidents", id, verb), body, nil)
		if err == nil {
			return p.done(to("incidents", id), notice)
		}
		data, readErr := p.incident()
		if readErr != nil {
			return err
		}
		data.Note = note
		return p.refused(err, "incidents", "incident", data.Heading(), data)
	}
}

// MuteURL is the form of a mute of this incident.
func (d incidentData) MuteURL() string { return muteURL(d.DedupKey, d.Heading()) }
