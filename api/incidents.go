package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/tocsin-alerts/tocsin"
)

// incidentStates are what lists of incidents can be narrowed to.
var incidentStates = []string{"open", "acknowledged", "resolved", "unresolved"}

func (s *server) listIncidents(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r.URL.RawQuery, "state", "dedup_key", "min_severity", "since", "until", "limit", "cursor")
	want := tocsin.IncidentQuery{
		Page: q.page(), State: q.text("state"), DedupKey: q.text("dedup_key"), MinSeverity: q.severity("min_severity"),
		Since: q.time("since"), Until: q.time("until"),
	}
	if want.State != "" && !slices.Contains(incidentStates, want.State) {
		q.add("state", "%q is not a state of incidents; allowed: %s", want.State, strings.Join(incidentStates, ", "))
	}
	if err := q.err(); err != nil {
		return err
	}
	incidents, next, err := s.Webhooks.ListIncidents(r.Context(), want)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listed(incidents, next))
}

func (s *server) getIncident(w http.ResponseWriter, r *http.Request) error {
	v, err := s.Webhooks.GetIncident(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, v)
}

// changeIncident is a POST that brings an incident to a state and answers with it. Who did
// it is the caller.
func (s *server) changeIncident(to tocsin.IncidentState) changeFunc {
	return func(w http.ResponseWriter, r *http.Request, c *change) (reply, error) {
		note, err := readNote(w, r)
		if err != nil {
			return reply{}, err
		}
		before, err := s.Webhooks.GetIncident(r.Context(), r.PathValue("id"))
		if err != nil {
			return reply{}, err
		}
		c.of(before.ID, "")
		c.from(before)
		changed, err := s.Ingest.ChangeIncident(r.Context(), before.ID, to, c.by.name(), note)
		if err != nil {
			return reply{}, err
		}
		after, err := s.Webhooks.ViewIncident(r.Context(), changed)
		if err != nil {
			return reply{}, err
		}
		c.to(after)
		return reply{status: http.StatusOK, body: after}, nil
	}
}

// readNote reads {"note": "…"}; no body, and none in it, is no note.
func readNote(w http.ResponseWriter, r *http.Request) (string, error) {
	raw, err := document(w, r, "application/json")
	if err != nil || len(strings.TrimSpace(string(raw))) == 0 {
		return "", err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		return "", tocsin.Errorf(tocsin.CodeMalformed, `the body is not a JSON object; send {"note": "…"} or nothing`)
	}
	var note string
	var wrong query
	for name, value := range fields {
		switch {
		case name != "note":
			wrong.add(cut(name), `unknown field; allowed: note`)
		case json.Unmarshal(value, &note) != nil:
			wrong.add(name, "%s is not text", cut(string(value)))
		}
	}
	if len(wrong.fields) > 0 {
		return "", &tocsin.Error{Code: tocsin.CodeInvalid, Message: "the change of an incident is not valid", Fields: wrong.fields}
	}
	return note, nil
}
