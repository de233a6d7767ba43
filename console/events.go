package console

import (
	"encoding/json"
	"net/url"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

func eventsRoutes() []route {
	return []route{
		{pattern: "GET events", do: events},
		{pattern: "GET events/{source}/{id}", do: showEvent},
	}
}

// eventAnswer is an event as the API has it.
type eventAnswer struct {
	tocsin.Event
	Received time.Time `json:"received_at"`
	// Whole is all of the answer.
	Whole json.RawMessage `json:"-"`
}

// UnmarshalJSON also keeps the text.
func (e *eventAnswer) UnmarshalJSON(raw []byte) error {
	type plain eventAnswer
	if err := json.Unmarshal(raw, (*plain)(e)); err != nil {
		return err
	}
	e.Whole = append(json.RawMessage(nil), raw...)
	return nil
}

// Heading is what an event is called in a list.
func (e eventAnswer) Heading() string { return heading(e.Title, e.Type) }

type eventsData struct {
	Items  []eventAnswer
	Pager  Pager
	Filter url.Values
	Period period
	// Severities is what can be asked for; Types are suggestions.
	Severities []option
	Types      []string
}

// eventFilters are what events are searched by, beside the time.
var eventFilters = []string{"q", "min_severity", "type", "subject", "source", "dedup_key"}

// Filtered reports whether anything is asked for.
func (d eventsData) Filtered() bool {
	return d.Narrow() || d.Filter.Get("q")+d.Filter.Get("min_severity")+d.Period.Within != ""
}

// Narrow reports whether one of the filters is set that are seldom needed.
func (d eventsData) Narrow() bool {
	return d.Filter.Get("type")+d.Filter.Get("subject")+d.Filter.Get("source")+d.Filter.Get("dedup_key") != "" || d.Period.Exact()
}

// severities are what lists can begin with.
func severities() []option {
	all := []option{{"", "Any severity"}}
	for _, s := range tocsin.Severities() {
		text := s + " and above"
		if s == tocsin.SeverityCritical.String() {
			text = s
		}
		all = append(all, option{s, text})
	}
	return all
}

func events(p *request) error {
	data := eventsData{Severities: severities(), Filter: p.filters("50", eventFilters...)}
	data.Period = p.period(data.Filter)
	if !p.isPart() {
		var err error
		if data.Types, err = p.typeNames(); err != nil {
			return err
		}
	}
	var page list[eventAnswer]
	if err := p.get(at(data.Filter, "v1", "events"), &page); err != nil {
		return p.refused(err, "events", "events", "Events", data)
	}
	data.Items, data.Pager = page.Items, p.pager(page.Next)
	return p.show("events", "events", "Events", data)
}
