package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

func mutesRoutes() []route {
	return []route{
		{pattern: "GET mutes", do: mutes},
		{pattern: "GET mutes/new", do: newMute},
		{pattern: "POST mutes/new", do: createMute},
		{pattern: "GET mutes/{id}", do: showMute},
		{pattern: "POST mutes/{id}/end", do: endMute},
	}
}

// mute is a mute as the API has it.
type mute struct {
	tocsin.Mute
	Webhooks []string `json:"webhooks"`
	State    string   `json:"state"`
}

// Over reports whether it has ended.
func (m mute) Over() bool { return m.State == "ended" }

// StateWord is its state as a pill: what is muted is not well, it is quiet.
func (m mute) StateWord() string {
	if m.State == "pending" {
		return "upcoming"
	}
	return m.State
}

// Matcher is what it mutes, in words.
func (m mute) Matcher() []fact {
	var all []fact
	add := func(name, value string) {
		if value != "" {
			all = append(all, fact{name, value})
		}
	}
	add("Webhooks", strings.Join(m.Webhooks, ", "))
	add("Events", strings.Join(selectors(m.Events), ", "))
	add("Collections", strings.Join(m.Collections, ", "))
	add("Dedup key", m.DedupKey)
	add("Filter", m.Filter)
	return all
}

// fact is a name and what is to say of it.
type fact struct{ Name, Value string }

// selectors are alert types and categories as people read them.
func selectors(all []tocsin.Selector) []string {
	texts := make([]string, len(all))
	for i, s := range all {
		texts[i] = s.Type
		if len(s.Collections) > 0 {
			texts[i] += " (collections " + strings.Join(s.Collections, ", ") + ")"
		}
	}
	return texts
}

type mutesData struct {
	Items []mute
	Pager Pager
	// Ended says that those that are over are shown, too.
	Ended bool
}

func mutes(p *request) error {
	ask := p.filters("50", "ended")
	var page list[mute]
	if err := p.get(at(ask, "v1", "mutes"), &page); err != nil {
		return err
	}
	return p.show("mutes", "mutes", "Mutes", mutesData{page.Items, p.pager(page.Next), ask.Get("ended") == "true"})
}

func showMute(p *request) error {
	var m mute
	if err := p.get(at(nil, "v1", "mutes", p.PathValue("id")), &m); err != nil {
		return err
	}
	return p.show("mutes", "mute", "Mute", m)
}

func endMute(p *request) error {
	if err := p.send(http.MethodDelete, at(nil, "v1", "mutes", p.PathValue("id")), nil, nil); err != nil {
		return err
	}
	return p.done(to("mutes"), "The mute is over: events that come from now on go out. What it suppressed stays suppressed.")
}

// muteForm is what is filled in.
type muteForm struct {
	Webhooks, Events                      []string
	Others, Collections, DedupKey, Filter string
	For, From, Until, Reason              string
}

// ask is the form as the API takes it.
func (f muteForm) ask() map[string]any {
	body := map[string]any{"reason": f.Reason}
	set := func(name string, list []string) {
		if len(list) > 0 {
			body[name] = list
		}
	}
	set("webhooks", f.Webhooks)
	set("events", slices.Concat(f.Events, lines(f.Others)))
	set("collections", lines(f.Collections))
	for name, text := range map[string]string{"dedup_key": f.DedupKey, "filter": f.Filter, "for": f.For, "from": asTime(f.From), "until": asTime(f.Until)} {
		if text != "" {
			body[name] = text
		}
	}
	return body
}

type newMuteData struct {
	Form  muteForm
	Fors  []option
	Hooks []pick
	Types []pick
	// About is what is to be muted, in the words of who came here from there.
	About string
}

// Wide reports whether more than a dedup key says what is muted, or nothing yet.
func (d newMuteData) Wide() bool {
	f := d.Form
	return f.DedupKey == "" || len(f.Webhooks)+len(f.Events)+len(f.Others)+len(f.Collections)+len(f.Filter) > 0
}

// pick is something to tick.
type pick struct {
	Value, Text string
	On          bool
}

// muteFors are the lengths that the form offers.
var muteFors = []option{{"30m", "30 minutes"}, {"1h", "1 hour"}, {"2h", "2 hours"}, {"4h", "4 hours"}, {"8h", "8 hours"}, {"1d", "1 day"}, {"3d", "3 days"}, {"7d", "7 days"}, {"", "Until the time below"}}

func newMute(p *request) error {
	q := p.URL.Query()
	form := muteForm{
		Webhooks: q["webhook"], Events: q["event"], Collections: strings.Join(q["collection"], "\n"), DedupKey: q.Get("dedup_key"),
		Filter: q.Get("filter"), For: "1h", Reason: q.Get("reason"),
	}
	data, err := p.muteForm(form)
	if err != nil {
		return err
	}
	data.About = q.Get("about")
	return p.show("mutes", "mute-new", "New mute", data)
}

// muteForm is a form with what can be ticked in it.
func (p *request) muteForm(f muteForm) (newMuteData, error) {
	data := newMuteData{Form: f, Fors: muteFors}
	if !p.me.Can(admin) {
		return data, forbidden("Mutes are made with a key of scope admin.")
	}
	hooks, _, err := all[struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}](p.client, nil, "v1", "webhooks")
	if err != nil {
		return data, err
	}
	for _, h := range hooks {
		data.Hooks = append(data.Hooks, pick{h.Name, h.Name, slices.Contains(f.Webhooks, h.Name) || slices.Contains(f.Webhooks, h.ID)})
	}
	types, err := p.types()
	if err != nil {
		return data, err
	}
	data.pickTypes(types)
	return data, nil
}

// pickTypes makes the list of categories and their alert types. What was asked for and is
// neither stays in the field for other types.
func (d *newMuteData) pickTypes(types []typeBrief) {
	known := map[string]bool{}
	add := func(value, text string) {
		if known[value] {
			return
		}
		known[value] = true
		d.Types = append(d.Types, pick{value, text, slices.Contains(d.Form.Events, value)})
	}
	for _, t := range types {
		add(t.Category, "All of "+t.Category)
	}
	for _, t := range types {
		add(t.Type, t.Title+" ("+t.Type+")")
	}
	others := lines(d.Form.Others)
	for _, e := range d.Form.Events {
		if !known[e] && !slices.Contains(others, e) {
			others = append(others, e)
		}
	}
	d.Form.Others = strings.Join(others, "\n")
}

func createMute(p *request) error {
	length := p.typed("for")
	form := muteForm{
		Others: p.typed("others"), Collections: p.typed("collections"), DedupKey: p.PostFormValue("dedup_key"), Filter: p.typed("filter"),
		For: length, From: p.typed("from"), Until: p.typed("until"), Reason: p.typed("reason"), Webhooks: p.PostForm["webhooks"], Events: p.PostForm["events"],
	}
	var made mute
	err := p.send(http.MethodPost, "/v1/mutes", form.ask(), &made)
	if err == nil {
		return p.done(to("mutes"), "Muted until "+made.Until.UTC().Format("2 Jan 15:04")+" UTC.")
	}
	data, formErr := p.muteForm(form)
	if formErr != nil {
		return formErr
	}
	data.About = p.typed("about")
	return p.refused(ofFields(err), "mutes", "mute-new", "New mute", data)
}

// Left is how long it is still in force, "" when it is not.
func (m mute) Left() string {
	if m.State != "active" {
		return ""
	}
	return coarse(time.Until(m.Until))
}

// SuppressedURL is the form of a replay of what it suppressed of a webhook, as near as a
// replay can say that: by the time.
func (m mute) SuppressedURL() string {
	q := url.Values{"what": {string(tocsin.ReplaySuppressed)}, "since": {clock(m.From)}}
	if m.Over() {
		q.Set("until", clock(m.Until))
	}
	if len(m.Webhooks) == 1 {
		q.Set("webhook", m.Webhooks[0])
	}
	return to("replays", "new") + "?" + q.Encode()
}
