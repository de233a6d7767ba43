package console

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// channelInfo is a channel as the API lists it.
type channelInfo struct {
	Name   string  `json:"name"`
	Schema *schema `json:"schema"`
}

// draft is a webhook while it is in a form: what it was when the form was made, and what the
// form says.
type draft struct {
	// id is the stored webhook's, "" for a new one; name and version are its own when the form
	// was made.
	id, name string
	version  int64
	// tag is the entity tag of what is stored, where that was asked for.
	tag     string
	channel string
	// base is the webhook as the form was made with it, doc as the form says; both have the
	// settings and the configuration, secrets as [redacted].
	base, doc map[string]any
	active    bool
	wasActive bool // when the form was made
	eventMode string
	problems  []tocsin.FieldError

	channels []channelInfo
	types    []catalog.AlertType
	build    builder
}

// channelOf finds a channel by its name.
func channelOf(channels []channelInfo, name string) *schema {
	for _, c := range channels {
		if c.Name == name {
			return c.Schema
		}
	}
	return nil
}

// prepare asks the API for what forms of webhooks are made of.
func (p *request) prepare(d *draft) error {
	var channels list[channelInfo]
	if err := p.get("/v1/channels", &channels); err != nil {
		return err
	}
	var types list[catalog.AlertType]
	if err := p.get("/v1/alert-types", &types); err != nil {
		return err
	}
	d.channels, d.types = channels.Items, types.Items
	return nil
}

// newDraft is what an empty form says.
func newDraft(channel string) *draft {
	return &draft{
		channel: channel, active: true, wasActive: true, eventMode: eventsAll, base: map[string]any{},
		doc: map[string]any{"frequency": string(tocsin.Periodic), "config": map[string]any{}},
	}
}

// draftOf is what a form says that nobody has touched yet.
func draftOf(raw json.RawMessage) (*draft, error) {
	var hook webhook
	if err := json.Unmarshal(raw, &hook); err != nil {
		return nil, fmt.Errorf("reading webhook: %w", err)
	}
	doc, err := editable(raw)
	if err != nil {
		return nil, err
	}
	d := &draft{id: hook.ID, name: hook.Name, version: hook.Version, channel: hook.Channel, base: doc, doc: doc, active: hook.State.Delivers(), tag: hook.Tag()}
	d.wasActive = d.active
	d.eventMode = modeOf(doc["events"])
	return d, nil
}

// editable is what can be changed of a webhook as the API answers it: its settings and its
// configuration.
func editable(raw json.RawMessage) (map[string]any, error) {
	v, err := decodeTree(raw)
	if err != nil {
		return nil, fmt.Errorf("reading webhook: %w", err)
	}
	all, _ := v.(map[string]any)
	s, err := webhookSchema(nil, nil)
	if err != nil {
		return nil, err
	}
	doc := map[string]any{"config": map[string]any{}}
	for _, name := range append(names(s.Properties), "events", "config") {
		if v, there := all[name]; there {
			doc[name] = v
		}
	}
	return doc, nil
}

func names(all properties) []string {
	var out []string
	for _, p := range all {
		out = append(out, p.Name)
	}
	return out
}

// readDraft reads a form as it was sent. For a stored webhook id is its id.
func (p *request) readDraft(id string) (*draft, error) {
	if err := p.ParseForm(); err != nil {
		return nil, &Problem{Title: "The form cannot be read", Status: 413, Code: tocsin.CodeTooLarge, Detail: "It may be too large: a webhook has at most 1 MiB."}
	}
	form := p.PostForm
	d := &draft{id: id, name: form.Get("base!name"), channel: form.Get("channel"), active: form.Get("active") != "", base: map[string]any{}}
	d.wasActive = id == "" || form.Get("base!active") != ""           // a new one is active
	d.version, _ = strconv.ParseInt(form.Get("base!version"), 10, 64) // 0 for a new one
	if base, err := decodeTree([]byte(form.Get("base"))); err == nil {
		if m, ok := base.(map[string]any); ok {
			d.base = m
		}
	}
	if err := p.prepare(d); err != nil {
		return nil, err
	}
	// The fields are those of the channel that the form was made for.
	shown := cmp.Or(form.Get("channel!shown"), d.channel)
	s, err := webhookSchema(channelOf(d.channels, shown), nil)
	if err != nil {
		return nil, err
	}
	do := form.Get("do")
	r := &formReader{form: form, gone: strings.TrimPrefix(do, "remove:")}
	d.build.more = map[string]int{}
	if name, ok := strings.CutPrefix(do, "add:"); ok {
		d.build.more[name], d.build.focus = blankRows(form, name)+1, name
	}
	d.read(r, s)
	if shown != d.channel {
		d.doc["config"] = map[string]any{}
	}
	return d, nil
}

// blankRows is how many of a map's or list's rows nobody has filled in; they stay when
// another is added.
func blankRows(form url.Values, name string) int {
	n, _ := strconv.Atoi(form.Get(name + "!rows"))
	found := 0
	for i := range min(n, maxRows) {
		row := fmt.Sprintf("%s.%d", name, i)
		if form.Get(row) == "" && form.Get(row+"!key") == "" && form.Get(row+"!kept") == "" {
			found++
		}
	}
	return found
}

func (d *draft) read(r *formReader, s *schema) {
	d.doc = map[string]any{"config": map[string]any{}}
	for _, p := range s.Properties {
		if v, some := r.read(p.Schema, place{p.Name, p.Name}); some {
			d.doc[p.Name] = v
		}
	}
	var events []any
	d.eventMode, events = readEvents(r)
	d.doc["events"] = inOrder(d.base["events"], events)
	// A form has no way to say that a list is there and empty.
	d.doc, _ = reconcile(d.base, d.doc).(map[string]any)
	d.problems = r.problems
}

// settings is the webhook as it would be created.
func (d *draft) settings() map[string]any {
	doc := maps.Clone(d.doc)
	doc["channel"] = d.channel
	return doc
}

// trial is what the API is asked to try.
func (d *draft) trial() map[string]any {
	if d.id == "" {
		return map[string]any{"settings": d.settings()}
	}
	return map[string]any{"webhook": d.id, "settings": mergePatch(d.base, d.doc)}
}

// unreadable is the problem that the form itself has, nil for none.
func (d *draft) unreadable() *Problem {
	if len(d.problems) == 0 {
		return nil
	}
	return &Problem{Title: "The input is not valid", Status: 422, Code: tocsin.CodeInvalid, Errors: d.problems}
}

// fields makes the form's fields. names are the webhooks that may be handed events.
func (d *draft) fields(problem *Problem, names []string) (map[string]*node, error) {
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == d.name })
	s, err := webhookSchema(channelOf(d.channels, d.channel), names)
	if err != nil {
		return nil, err
	}
	d.build.errors = map[string]string{}
	if problem != nil {
		for _, e := range problem.Errors {
			d.build.errors[e.Field] = cmp.Or(d.build.errors[e.Field], e.Message)
		}
	}
	all := map[string]*node{}
	for _, p := range s.Properties {
		v, present := d.doc[p.Name]
		n := d.build.build(p.Schema, place{p.Name, p.Name}, v, present)
		n.Required = slices.Contains(s.Required, p.Name)
		all[p.Name] = n
	}
	return all, nil
}
