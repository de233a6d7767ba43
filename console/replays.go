package console

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/tocsin-alerts/tocsin"
)

func replaysRoutes() []route {
	return []route{
		{pattern: "GET replays", do: replays},
		{pattern: "GET replays/new", do: newReplay},
		{pattern: "POST replays/new", do: createReplay},
		{pattern: "GET replays/{id}", do: showReplay},
		{pattern: "POST replays/{id}/pause", do: steerReplay("pause", "The replay stops after the step under way.")},
		{pattern: "POST replays/{id}/resume", do: steerReplay("resume", "The replay goes on.")},
		{pattern: "POST replays/{id}/cancel", do: steerReplay("cancel", "The replay is cancelled. What it replayed stays replayed.")},
	}
}

// replay is a replay as the API has it.
type replay struct {
	tocsin.Replay
	Webhook string `json:"webhook"`
}

// whats are what can be replayed, in words.
var whats = []option{
	{"dead", "Dead: what could not be delivered"},
	{"missing", "Missing: events it matches now and was never owed"},
	{"suppressed", "Suppressed: muted, repeated or discarded events"},
	{"cancelled", "Cancelled: deliveries that were open when it discarded"},
	{"delivered", "Delivered: send again what it has already"},
	{"all", "All: every event that it matches now, but for those it still owes"},
}

// WhatText is what is replayed, in words.
func (r replay) WhatText() string {
	for _, w := range whats {
		if w.Value == string(r.What) {
			return w.Text
		}
	}
	return string(r.What)
}

// Counted reports whether the whole is known, so that progress has an end.
func (r replay) Counted() bool { return r.Total >= 0 }

// Progress is how far it is, for a bar that ends at Most.
func (r replay) Progress() int64 {
	if r.State == tocsin.ReplayDone {
		return r.Most()
	}
	return min(r.Replayed, r.Most())
}

// Most is the end of the bar.
func (r replay) Most() int64 { return max(r.Total, 1) }

// Share is how far it is, from 0 to 1.
func (r replay) Share() float64 { return float64(r.Progress()) / float64(r.Most()) }

// Final reports whether it is over.
func (r replay) Final() bool { return r.State.Final() }

type replaysData struct {
	Items []replay
	Pager Pager
}

func replays(p *request) error {
	var page list[replay]
	if err := p.get(at(p.filters("50"), "v1", "replays"), &page); err != nil {
		return err
	}
	return p.show("replays", "replays", "Replays", replaysData{page.Items, p.pager(page.Next)})
}

type replayData struct {
	replay
	WorkflowURL string
	// SentURL lists the deliveries that it is about.
	SentURL string
}

func showReplay(p *request) error {
	var data replayData
	if err := p.get(at(nil, "v1", "replays", p.PathValue("id")), &data.replay); err != nil {
		return err
	}
	if p.console.WorkflowURL != nil {
		data.WorkflowURL = p.console.WorkflowURL(data.ID)
	}
	data.SentURL = to("deliveries") + "?" + url.Values{"webhook": {cmp.Or(data.Webhook, data.WebhookID)}}.Encode()
	return p.show("replays", "replay", "Replay for "+data.Webhook, data)
}

func steerReplay(verb, notice string) func(*request) error {
	return func(p *request) error {
		id := p.PathValue("id")
		if err := p.send(http.MethodPost, at(nil, "v1", "replays", id, verb), nil, nil); err != nil {
			return err
		}
		return p.done(to("replays", id), notice)
	}
}

// replayForm is what is filled in.
type replayForm struct{ Webhook, What, Types, Since, Until, Rate string }

// ask is the form as the API takes it. A rate that is no number is sent as it is, for the
// API to say so.
func (f replayForm) ask() map[string]any {
	body := map[string]any{"webhook": f.Webhook, "what": f.What}
	if types := lines(f.Types); len(types) > 0 {
		body["types"] = types
	}
	if f.Since != "" {
		body["since"] = asTime(f.Since)
	}
	if f.Until != "" {
		body["until"] = asTime(f.Until)
	}
	if rate, err := strconv.ParseFloat(f.Rate, 64); err == nil {
		body["max_per_second"] = rate
	} else if f.Rate != "" {
		body["max_per_second"] = f.Rate
	}
	return body
}

// sum is of all that was filled in, so that nothing is started that was not counted.
func (f replayForm) sum() string {
	raw, err := json.Marshal(f)
	if err != nil {
		return "" // texts always encode
	}
	return string(raw)
}

// replayCount is what a dry run says.
type replayCount struct {
	Events     int64 `json:"events"`
	Deliveries int64 `json:"deliveries"`
	Complete   bool  `json:"complete"`
}

type newReplayData struct {
	Form  replayForm
	Whats []option
	Hooks []string
	Types []string
	// Count is the dry run's; nil before. Counted is of the form that was counted, and
	// Changed says that another was.
	Count   *replayCount
	Counted string
	Changed bool
	// Webhook is the name of the webhook that was counted for.
	Webhook string
}

func newReplay(p *request) error {
	q := p.URL.Query()
	form := replayForm{
		Webhook: p.hookName(strings.TrimSpace(q.Get("webhook"))), What: q.Get("what"), Types: strings.Join(q["types"], "\n"),
		Since: asLocal(q.Get("since")), Until: asLocal(q.Get("until")), Rate: q.Get("rate"),
	}
	data, err := p.replayForm(form)
	if err != nil {
		return err
	}
	return p.show("replays", "replay-new", "New replay", data)
}

// replayForm is a form with what it suggests.
func (p *request) replayForm(f replayForm) (data newReplayData, err error) {
	if !p.me.Can(admin) {
		return data, forbidden("Replays are made with a key of scope admin.")
	}
	data = newReplayData{Form: f, Whats: whats}
	if data.Hooks, err = p.hookNames(); err == nil {
		data.Types, err = p.typeNames()
	}
	return data, err
}

// createReplay counts what a replay would do, and starts one that was counted.
func createReplay(p *request) error {
	form := replayForm{p.typed("webhook"), p.typed("what"), p.typed("types"), p.typed("since"), p.typed("until"), p.typed("max_per_second")}
	data, err := p.replayForm(form)
	if err != nil {
		return err
	}
	start := p.PostFormValue("do") == "start"
	if start && p.PostFormValue("counted") == form.sum() {
		var made replay
		if err := p.send(http.MethodPost, "/v1/replays", form.ask(), &made); err != nil {
			return p.refused(ofFields(err), "replays", "replay-new", "New replay", data)
		}
		return p.done(to("replays", made.ID), "The replay runs.")
	}
	var counted struct {
		replay
		Count replayCount `json:"count"`
	}
	if err := p.send(http.MethodPost, "/v1/replays?dry_run=true", form.ask(), &counted); err != nil {
		return p.refused(ofFields(err), "replays", "replay-new", "New replay", data)
	}
	data.Count, data.Counted, data.Changed, data.Webhook = &counted.Count, form.sum(), start, counted.Webhook
	return p.show("replays", "replay-new", "New replay", data)
}

// Nothing reports whether there is nothing to replay.
func (c replayCount) Nothing() bool { return c.Complete && c.Events == 0 && c.Deliveries == 0 }
