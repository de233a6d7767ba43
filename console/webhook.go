package console

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// webhookData is the page of one webhook.
type webhookData struct {
	Hook       hookView
	Deliveries []deliverySummary
	More       bool
	// Settings and Config are what is configured, readable.
	Settings, Config []settingLine
	// History is nil for who may not read the audit log.
	History    []logEntry
	Charts     []Chart
	Rejections []rejection
	Workflow   string
	Test       *testTrial
	// Signs says that there is a secret that can be rotated.
	Signs bool
}

// settingLine is one setting as people read it.
type settingLine struct{ Label, Value string }

// rejection is an event that came by signal and was not taken.
type rejection struct {
	At      time.Time `json:"at"`
	Field   string    `json:"field"`
	Message string    `json:"message"`
	Source  string    `json:"source"`
	ID      string    `json:"id"`
}

func showWebhook(p *request) error {
	err := p.showHook(nil, nil)
	var problem *Problem
	if id := p.PathValue("id"); errors.As(err, &problem) && problem.Status == http.StatusNotFound {
		// The history of a deleted webhook stays, and lists lead here.
		var kept list[deliverySummary]
		if p.get(at(url.Values{"limit": {"1"}}, "v1", "webhooks", id, "deliveries"), &kept) == nil {
			return p.done(to("deliveries")+"?"+url.Values{"webhook": {id}}.Encode(), "This webhook is deleted. What it delivered stays.")
		}
	}
	return err
}

// optional asks for what an older API may not have: false then.
func (p *request) optional(path string, out any) (bool, error) {
	err := p.get(path, out)
	var problem *Problem
	if errors.As(err, &problem) && (problem.Status == http.StatusNotFound || problem.Status == http.StatusForbidden) {
		return false, nil
	}
	return err == nil, err
}

// showHook shows the page, and on it what was tried or refused.
func (p *request) showHook(test *testTrial, problem *Problem) error {
	id := p.PathValue("id")
	raw, err := p.stored(id)
	if err != nil {
		return err
	}
	data := webhookData{Test: test}
	if err := json.Unmarshal(raw, &data.Hook); err != nil {
		return fmt.Errorf("reading webhook: %w", err)
	}
	h := data.Hook
	var latest list[deliverySummary]
	if err := p.get(at(url.Values{"limit": {"15"}}, "v1", "webhooks", h.ID, "deliveries"), &latest); err != nil {
		return err
	}
	data.Deliveries, data.More = latest.Items, latest.Next != ""
	if p.console.WorkflowURL != nil {
		data.Workflow = p.console.WorkflowURL(h.ID)
	}
	switch p.URL.Query().Get("part") {
	case "now":
	case "charts":
		err = p.charts(&data)
	default:
		if err = p.charts(&data); err == nil {
			err = p.background(&data, raw)
		}
	}
	if err != nil {
		return err
	}
	status := http.StatusOK
	if problem != nil {
		status = problem.Status
	}
	return p.showStatus(status, "webhooks", "webhook", h.Name, data, problem)
}

// background is what changes only when somebody changes the webhook.
func (p *request) background(data *webhookData, raw json.RawMessage) error {
	h := data.Hook
	var channels list[channelInfo]
	if err := p.get("/v1/channels", &channels); err != nil {
		return err
	}
	doc, err := editable(raw)
	if err != nil {
		return err
	}
	if data.Settings, data.Config, err = readable(doc, channelOf(channels.Items, h.Channel)); err != nil {
		return err
	}
	if channel := channelOf(channels.Items, h.Channel); channel != nil {
		data.Signs = channel.Properties.find("signing_secret") != nil
	}
	var rejected list[rejection]
	if _, err := p.optional(at(url.Values{"limit": {"20"}}, "v1", "webhooks", h.ID, "rejections"), &rejected); err != nil {
		return err
	}
	data.Rejections = rejected.Items
	if !p.me.Can(admin) {
		return nil
	}
	var log list[logEntry]
	err = p.get(at(url.Values{"object": {h.ID}, "limit": {"20"}}, "v1", "audit"), &log)
	data.History = log.Items
	return err
}

// readable is a webhook's settings and configuration, by the names that forms have.
func readable(doc map[string]any, channel *schema) (settings, config []settingLine, err error) {
	s, err := webhookSchema(nil, nil)
	if err != nil {
		return nil, nil, err
	}
	settings = append(settings, settingLine{"Events", eventsText(doc["events"])})
	for _, one := range s.Properties {
		// A webhook that delivers at once has an interval, which does nothing.
		idle := doc["frequency"] == string(tocsin.Instant) && (one.Name == "run_every" || one.Name == "anchor")
		if v := doc[one.Name]; !blank(v) && one.Name != "name" && !idle {
			settings = append(settings, settingLine{one.Schema.Title, one.Schema.say(v)})
		}
	}
	members, _ := doc["config"].(map[string]any)
	return settings, readableConfig(members, channel), nil
}

// readableConfig is a channel's configuration in the order of its schema; what that does not
// know comes last.
func readableConfig(members map[string]any, channel *schema) []settingLine {
	left := maps.Clone(members)
	var lines []settingLine
	add := func(name, label string) {
		for _, c := range differences(label, nil, left[name]) {
			lines = append(lines, settingLine{strings.Replace(c.Field, label+".", label+": ", 1), c.New()})
		}
		delete(left, name)
	}
	if channel != nil {
		for _, one := range channel.Properties {
			add(one.Name, cmp.Or(one.Schema.Title, one.Name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		add(name, name)
	}
	return lines
}

// say is a setting's value as its form calls it.
func (s *schema) say(v any) string {
	switch v := v.(type) {
	case []any:
		var items []string
		for _, one := range v {
			items = append(items, s.say(one))
		}
		return strings.Join(items, ", ")
	case map[string]any:
		var parts []string
		for _, c := range changesOf(nil, v) {
			parts = append(parts, c.Field+": "+c.New())
		}
		return strings.Join(parts, ", ")
	}
	return labelOf(s.Labels, valueText(v))
}

func eventsText(events any) string {
	items, _ := events.([]any)
	switch modeOf(events) {
	case eventsAll:
		return "everything"
	case eventsNone:
		return "none of its own: only as another's fallback or escalation"
	}
	var parts []string
	for _, item := range items {
		name, collections := selectorOf(item)
		if len(collections) > 0 {
			name += " (" + listText(collections) + ")"
		}
		parts = append(parts, name)
	}
	return strings.Join(parts, ", ")
}

// activityAnswer is what moved in a window.
type activityAnswer struct {
	Step  tocsin.Duration `json:"step"`
	Spans []struct {
		Start     time.Time `json:"start"`
		Accepted  int64     `json:"accepted"`
		Delivered int64     `json:"delivered"`
		Attempts  int64     `json:"attempts"`
		Failed    int64     `json:"failed_attempts"`
	} `json:"spans"`
}

// charts are drawn where the API has what they show.
func (p *request) charts(data *webhookData) error {
	for _, w := range []struct{ window, title string }{{"1h", "Last hour"}, {"24h", "Last 24 hours"}} {
		var a activityAnswer
		ok, err := p.optional(at(url.Values{"window": {w.window}, "webhook": {data.Hook.ID}}, "v1", "activity"), &a)
		if err != nil {
			return err
		}
		if ok && len(a.Spans) > 0 {
			data.Charts = append(data.Charts, a.chart("c"+w.window, w.title))
		}
	}
	return nil
}

func (a activityAnswer) chart(id, title string) Chart {
	c := Chart{ID: id, Title: title, Unit: "events", Every: a.Step.Std(), Series: []Series{
		{Name: "delivered", Tone: "ok"}, {Name: "owed anew", Tone: "busy"}, {Name: "failed attempts", Tone: "bad"},
	}}
	for _, s := range a.Spans {
		c.Times = append(c.Times, s.Start)
		for i, v := range []int64{s.Delivered, s.Accepted, s.Failed} {
			c.Series[i].Values = append(c.Series[i].Values, float64(max(0, v)))
		}
	}
	return c
}
