package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// step is what apply does with one webhook.
type step struct {
	Action    action            `json:"action"`
	Name      string            `json:"name"`
	Channel   string            `json:"channel"`
	ID        string            `json:"id,omitempty"` // "" until it is created
	Changes   []change          `json:"changes,omitempty"`
	Generated map[string]string `json:"generated,omitempty"` // secrets, shown once
	body      map[string]any    // of POST or PATCH
	tag       string            // of what is there: the step is for no other version of it
}

type action string

const (
	create action = "create"
	modify action = "change"
	remove action = "delete"
	keep   action = "keep"
)

var signs = map[action]string{create: "+", modify: "~", remove: "-", keep: "="}

// change is one field before and after, secrets redacted.
type change struct {
	Field  string `json:"field"`
	From   any    `json:"from"`
	To     any    `json:"to"`
	Secret bool   `json:"secret,omitempty"`
}

// existing is a webhook as the API shows it.
type existing struct {
	tocsin.Webhook
	object map[string]any
}

func (e *existing) UnmarshalJSON(b []byte) error {
	return errors.Join(json.Unmarshal(b, &e.Webhook), json.Unmarshal(b, &e.object))
}

// planner compares files with what there is. It changes nothing.
type planner struct {
	api    *apiClient
	have   map[string]existing
	want   []wanted
	wanted map[string]bool
	prune  bool
	bar    *progress
}

// plan returns the steps in an order in which they can be applied: what others refer
// to is created first, deletions come last. Everything is validated by the server;
// everything that is wrong is one error with files and lines.
func (p *planner) plan(ctx context.Context) ([]step, error) {
	var wrong complaints
	ordered := p.order(&wrong)
	var steps []step
	defer p.bar.end()
	for i, w := range ordered {
		p.bar.at(int64(i), int64(len(ordered)), fmt.Sprintf("%d of %d webhooks", i, len(ordered)))
		s, err := p.try(ctx, w)
		var refused *tocsin.Error
		switch {
		case errors.As(err, &refused) && (refused.Code == tocsin.CodeInvalid || refused.Code == tocsin.CodeConflict):
			wrong.addRefused(w, refused)
		case err != nil:
			return nil, fmt.Errorf("validating webhook %q: %w", w.name, err)
		}
		steps = append(steps, s)
	}
	if p.prune {
		steps = append(steps, p.deletions()...)
	}
	return steps, wrong.err("nothing was applied, since some webhooks are not valid")
}

// addRefused translates the server's fields into lines of the file.
func (c *complaints) addRefused(w wanted, refused *tocsin.Error) {
	if len(refused.Fields) == 0 {
		c.add(w.file, w.node.Line, "webhook %q: %s", w.name, refused.Message)
	}
	for _, f := range refused.Fields {
		if isCircle(f) && c.hasCircle(w.name) {
			continue // the server saw what order has said of the files
		}
		c.add(w.file, w.line(f.Field), "webhook %q: %s: %s", w.name, f.Field, f.Message)
	}
}

// try asks the server what creating or changing the webhook would do.
func (p *planner) try(ctx context.Context, w wanted) (step, error) {
	dry := url.Values{"dry_run": {"true"}}
	body, late := p.withoutLate(w)
	have, exists := p.have[w.name]
	if !exists {
		channel, _ := w.value["channel"].(string) // another type is the server's to refuse
		s := step{Action: create, Name: w.name, Channel: channel, body: w.value}
		return s, p.api.call(ctx, http.MethodPost, "/v1/webhooks", dry, body, nil)
	}
	s := step{Action: keep, Name: w.name, ID: have.ID, Channel: have.Channel, tag: have.Tag(), body: patch(w.value, have.object)}
	var answer struct {
		Changes []change `json:"changes"`
	}
	if err := p.api.call(ctx, http.MethodPatch, "/v1/webhooks/"+url.PathEscape(have.ID), dry, patch(body, have.object), &answer); err != nil {
		return s, err
	}
	s.Changes = answer.Changes
	for _, field := range late {
		s.Changes = slices.DeleteFunc(s.Changes, func(c change) bool { return c.Field == field })
		s.Changes = append(s.Changes, change{Field: field, From: have.object[field], To: w.value[field]})
	}
	if len(s.Changes) > 0 {
		s.Action = modify
	}
	return s, nil
}

// withoutLate leaves out the fields that name webhooks which this run creates: the
// server does not know those yet. late lists them.
func (p *planner) withoutLate(w wanted) (body map[string]any, late []string) {
	body = map[string]any{}
	for key, value := range w.value {
		if slices.ContainsFunc(referencesIn(key, value), p.late) {
			late = append(late, key)
			continue
		}
		body[key] = value
	}
	slices.Sort(late)
	return body, late
}

func (p *planner) late(name string) bool {
	_, exists := p.have[name]
	return !exists && p.wanted[name]
}

// references lists the webhooks that a webhook names.
func references(value map[string]any) []string {
	return append(referencesIn("fallback", value["fallback"]), referencesIn("escalate", value["escalate"])...)
}

func referencesIn(key string, value any) []string {
	var names []string
	switch key {
	case "fallback":
		if name, _ := value.(string); name != "" {
			names = append(names, name)
		}
	case "escalate":
		list, _ := value.([]any)
		for _, item := range list {
			object, _ := item.(map[string]any)
			if name, _ := object["to"].(string); name != "" {
				names = append(names, name)
			}
		}
	}
	return names
}

// order sorts webhooks behind those they name which do not exist yet, and otherwise
// leaves them as written. Circles, and names that --prune would delete, are wrong.
func (p *planner) order(wrong *complaints) []wanted {
	byName := map[string]wanted{}
	for _, w := range p.want {
		byName[w.name] = w
	}
	var ordered []wanted
	done := map[string]bool{}
	var visit func(w wanted, path []string)
	visit = func(w wanted, path []string) {
		if slices.Contains(path, w.name) {
			wrong.addCircle(w, append(path[slices.Index(path, w.name):], w.name))
			return
		}
		if done[w.name] {
			return
		}
		for _, name := range references(w.value) {
			next, inFile := byName[name]
			if _, exists := p.have[name]; p.prune && exists && !inFile {
				wrong.add(w.file, w.node.Line, "webhook %q names %q, which is in no file, so that --prune would delete it", w.name, name)
			}
			if inFile {
				visit(next, append(slices.Clone(path), w.name))
			}
		}
		done[w.name] = true
		ordered = append(ordered, w)
	}
	for _, w := range p.want {
		visit(w, nil)
	}
	return ordered
}

// addCircle says in the server's words that following references from w comes back to it.
func (c *complaints) addCircle(w wanted, circle []string) {
	field := "fallback"
	if name, _ := w.value["fallback"].(string); name != circle[1] {
		field = "escalate"
	}
	c.add(w.file, w.line(field), "webhook %q: %s: %s%s", w.name, field, makesACircle, strings.Join(circle, " → "))
}

const makesACircle = "makes a circle: "

// hasCircle reports whether a circle through the webhook was found.
func (c *complaints) hasCircle(name string) bool {
	return slices.ContainsFunc(*c, func(f tocsin.FieldError) bool {
		_, circle, found := strings.Cut(f.Message, makesACircle)
		return found && slices.Contains(strings.Split(circle, " → "), name)
	})
}

// isCircle reports whether the server says that a webhook's references come back to it.
func isCircle(f tocsin.FieldError) bool {
	return strings.HasPrefix(f.Message, makesACircle) || strings.HasSuffix(f.Message, "is this webhook itself")
}

// deletions lists what is in no file, those that name others first.
func (p *planner) deletions() []step {
	var steps []step
	for name, e := range p.have {
		if !p.wanted[name] {
			steps = append(steps, step{Action: remove, Name: name, ID: e.ID, Channel: e.Channel, tag: e.Tag()})
		}
	}
	slices.SortFunc(steps, func(a, b step) int { return strings.Compare(a.Name, b.Name) })
	for i := range steps {
		for j := i + 1; j < len(steps); j++ {
			if slices.Contains(references(p.have[steps[j].Name].object), steps[i].Name) {
				steps[i], steps[j] = steps[j], steps[i]
				j = i
			}
		}
	}
	return steps
}

// patch is the merge patch (RFC 7396) that makes have what want describes: what a file
// leaves out returns to its default, so a file says all there is.
func patch(want, have map[string]any) map[string]any {
	out := replacing(want, nil)
	for _, key := range settingNames() {
		if _, given := want[key]; !given {
			out[key] = nil
		}
	}
	out["labels"] = replacingAny(want["labels"], have["labels"])
	haveConfig, _ := have["config"].(map[string]any)
	wantConfig, isObject := want["config"].(map[string]any)
	if want["config"] != nil && !isObject {
		return out // the server says what is wrong with it
	}
	config := replacing(wantConfig, haveConfig)
	for key, value := range haveConfig {
		// A secret that the file does not mention was generated, and stays.
		if _, given := wantConfig[key]; !given && redacted(value) {
			delete(config, key)
		}
	}
	out["config"] = config
	return out
}

// redacted reports whether a value is a secret, or a list of secrets.
func redacted(value any) bool {
	if list, ok := value.([]any); ok {
		return len(list) > 0 && !slices.ContainsFunc(list, func(item any) bool { return item != tocsin.Redacted })
	}
	return value == tocsin.Redacted
}

// replacing is want with null for each key that only have has, at every depth.
func replacing(want, have map[string]any) map[string]any {
	out := map[string]any{}
	for key := range have {
		out[key] = nil
	}
	for key, value := range want {
		out[key] = replacingAny(value, have[key])
	}
	return out
}

func replacingAny(want, have any) any {
	wantObject, ok := want.(map[string]any)
	if !ok {
		return want
	}
	haveObject, _ := have.(map[string]any)
	return replacing(wantObject, haveObject)
}

// settingNames are the keys of a webhook that users set, but for config.
func settingNames() []string {
	var names []string
	for field := range reflect.TypeFor[tocsin.Settings]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}
