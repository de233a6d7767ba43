package console

import (
	"errors"

	"github.com/tocsin-alerts/tocsin"
)

// matchTrial is which of the last events a draft would be owed.
type matchTrial struct {
	Problem *Problem `json:"-"`
	Summary string   `json:"summary"`
	Looked  int      `json:"looked"`
	Matched int      `json:"matched"`
	Failed  int      `json:"filter_failed"`
	Doubts  []string `json:"doubts"`
	Items   []struct {
		triedEvent
		Verdict struct {
			Matched      bool            `json:"matched"`
			Clause       string          `json:"clause"`
			Detail       string          `json:"detail"`
			FilterFailed bool            `json:"filter_failed"`
			Mute         string          `json:"mute"`
			Note         string          `json:"note"`
			RepeatAfter  tocsin.Duration `json:"repeat_after"`
		} `json:"verdict"`
	} `json:"items"`
}

// triedEvent is an event in a list that is about something else.
type triedEvent struct {
	Source   string          `json:"source"`
	ID       string          `json:"id"`
	Type     string          `json:"type"`
	Title    string          `json:"title"`
	Severity tocsin.Severity `json:"severity"`
}

// previewTrial is what a draft would send.
type previewTrial struct {
	Problem *Problem          `json:"-"`
	Origin  string            `json:"origin"`
	Events  []triedEvent      `json:"events"`
	Items   []tocsin.Exchange `json:"items"`
}

// Exchanges are the requests as pages show them.
func (t previewTrial) Exchanges() []exchangeView { return viewExchanges(t.Items) }

// testTrial is what came of a test or a check.
type testTrial struct {
	Problem *Problem          `json:"-"`
	Check   bool              `json:"-"`
	OK      bool              `json:"ok"`
	Error   string            `json:"error"`
	Found   string            `json:"found"`
	Items   []tocsin.Exchange `json:"exchanges"`
	Cut     int               `json:"truncated"`
}

// Exchanges are what was sent and what came back.
func (t testTrial) Exchanges() []exchangeView { return viewExchanges(t.Items) }

// try asks the API what a draft would do, and shows it beside the form: alone when htmx asks
// for it, or with the whole page.
func (p *request) try(d *draft, what string) error {
	data := formData{ID: d.id}
	refused, err := p.attempt(d, what, &data)
	if err != nil {
		return err
	}
	if p.isPart() {
		return p.show("webhooks", "webhookform", "Webhook", data)
	}
	return p.showDraft(d, refused, data)
}

// attempt fills in what a trial found. What the API refuses of the draft is returned, and
// shown in the trial's place.
func (p *request) attempt(d *draft, what string, data *formData) (*Problem, error) {
	refused, err := d.unreadable(), error(nil)
	ask := func(path string, out any) {
		if refused != nil {
			return
		}
		if err = p.send("POST", path, d.trial(), out); err == nil {
			return
		}
		if errors.As(err, &refused) && refused.OfForm() {
			err = nil
		} else {
			refused = nil
		}
	}
	switch what {
	case "match":
		t := &matchTrial{}
		ask("/v1/trials/match", t)
		t.Problem, data.Match = refused, t
	case "preview":
		t := &previewTrial{}
		ask("/v1/trials/preview", t)
		t.Problem, data.Preview = refused, t
	default:
		t := &testTrial{Check: what == "check"}
		ask("/v1/trials/"+what, t)
		t.Problem, data.Test = refused, t
	}
	return refused, err
}
