package api

import (
	"fmt"
	"net/http"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// windows are those there are series of, by how they are asked for.
var windows = map[string]time.Duration{"1h": time.Hour, "24h": 24 * time.Hour}

// activityView is what moved in a window, by time.
type activityView struct {
	Window string          `json:"window"`
	Step   tocsin.Duration `json:"step"`
	Now    time.Time       `json:"now"`
	Total  movementView    `json:"total"`
	// Spans are all of the window, oldest first; the last is under way.
	Spans []spanView `json:"spans"`
}

type spanView struct {
	Start time.Time `json:"start"`
	movementView
}

type movementView struct {
	// Events is absent for one webhook, whose events are those it accepted.
	Events     *int64 `json:"events,omitempty"`
	Accepted   int64  `json:"accepted"`
	Delivered  int64  `json:"delivered"`
	Dead       int64  `json:"dead"`
	Suppressed int64  `json:"suppressed"`
	Attempts   int64  `json:"attempts"`
	Failed     int64  `json:"failed_attempts"`
}

func viewMovement(m tocsin.Movement, all bool) movementView {
	v := movementView{nil, m.Accepted, m.Delivered, m.Dead, m.Suppressed, m.Attempts, m.Failed}
	if all {
		v.Events = &m.Events
	}
	return v
}

// activity answers what moved in the last hour or day, for charts.
func (s *server) activity(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r.URL.RawQuery, "window", "webhook")
	name := q.text("window")
	if name == "" {
		name = "1h"
	}
	window, known := windows[name]
	if !known {
		q.add("window", "%q is not a window; allowed: 1h, 24h", cut(name))
	}
	if err := q.err(); err != nil {
		return err
	}
	id, err := s.webhookID(r.Context(), q.text("webhook"))
	if err != nil {
		return err
	}
	series, err := s.Store.Series(r.Context(), id, window)
	if err != nil {
		return fmt.Errorf("reading activity: %w", err)
	}
	view := activityView{Window: name, Step: tocsin.Duration(series.Step), Now: series.Now, Total: viewMovement(series.Total, id == "")}
	for _, span := range series.Spans {
		view.Spans = append(view.Spans, spanView{span.Start, viewMovement(span.Movement, id == "")})
	}
	return answer(w, http.StatusOK, view)
}

// listRejections answers which events that came by signal were not taken, and why.
func (s *server) listRejections(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r.URL.RawQuery, "limit", "cursor")
	page := q.page()
	if err := q.err(); err != nil {
		return err
	}
	id, err := s.webhookID(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	all, next, err := s.Store.Rejected(r.Context(), id, page)
	if err != nil {
		return fmt.Errorf("listing rejections: %w", err)
	}
	return answer(w, http.StatusOK, listed(all, next))
}
