package console

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/tocsin-alerts/tocsin"
)

// saved is what the API answers to a creation or a change.
type saved struct {
	webhook
	Generated map[string]string `json:"generated"`
	Changes   []fieldChange     `json:"changes"`
}

func (p *request) create(d *draft) error {
	var made saved
	if err := p.send("POST", "/v1/webhooks", d.settings(), &made); err != nil {
		return p.refusedDraft(err, d)
	}
	return p.finish(d, made, "The webhook is created.")
}

// changeTries is how often a change is worked out again because the webhook was changed while
// it was.
const changeTries = 3

// change stores what is different from what the form was made with. When somebody else was
// faster the form comes back with both.
func (p *request) change(d *draft) error {
	for try := 1; ; try++ {
		err := p.changeOnce(d)
		var problem *Problem
		if !errors.As(err, &problem) || problem.Code != tocsin.CodePrecondition || try == changeTries {
			return p.refusedDraft(err, d)
		}
	}
}

// changeOnce compares with what is stored now, and stores the change over nothing else: the
// error is CodePrecondition when that has changed in between.
func (p *request) changeOnce(d *draft) error {
	raw, err := p.stored(d.id)
	if err != nil {
		return err
	}
	now, err := draftOf(raw)
	if err != nil {
		return err
	}
	d.id = now.id // which the address may have named
	patch := mergePatch(d.base, d.doc)
	if now.version != d.version {
		if c := p.conflictOf(d, now, patch); c != nil {
			d.doc, d.base, d.version, d.name = patched(now.doc, patch), now.doc, now.version, now.name
			if d.active == d.wasActive {
				d.active = now.active
			}
			d.wasActive = now.active
			return p.showDraft(d, &Problem{Title: "The webhook was changed meanwhile", Status: http.StatusPreconditionFailed, Code: tocsin.CodePrecondition,
				Detail: "Nothing is saved yet. What you typed is kept, and what you left alone is as it is now. Save again when it is right."}, formData{Conflict: c})
		}
	}
	var made saved
	if len(patch) == 0 {
		if err := json.Unmarshal(raw, &made); err != nil {
			return err
		}
		return p.finish(d, made, "Nothing was different.")
	}
	if err := p.sendIf(now.tag, "PATCH", at(nil, "v1", "webhooks", d.id), patch, &made); err != nil {
		return err
	}
	n := counted(len(made.Changes), "setting")
	return p.finish(d, made, n+" changed.")
}

// conflictOf is what somebody else changed since the form was made: nil when it was only the
// state. That a secret changed cannot be seen, so that one which is about to be replaced counts.
func (p *request) conflictOf(d, now *draft, patch map[string]any) *conflict {
	c := &conflict{Changes: changesOf(d.base, now.base)}
	if _, config := patch["config"]; len(c.Changes) == 0 && !config {
		return nil
	}
	c.History = to("audit") + "?" + url.Values{"object": {d.id}}.Encode()
	var log list[logEntry]
	if p.get(at(url.Values{"object": {d.id}, "limit": {"10"}}, "v1", "audit"), &log) != nil {
		return c
	}
	// What was refused, this form a moment ago among it, changed nothing; a test neither.
	for _, e := range log.Items {
		if e.Outcome == tocsin.AuditDone && len(e.After) > 0 {
			c.By, c.At = e.Actor, &e.At
			break
		}
	}
	return c
}

// finish does what a form asks for beside storing it, and leads on.
func (p *request) finish(d *draft, made saved, notice string) error {
	var after error
	do := func(verb, said string) {
		if after == nil {
			if after = p.send("POST", at(nil, "v1", "webhooks", made.ID, verb), nil, nil); after == nil {
				notice += said
			}
		}
	}
	switch {
	case d.active == d.wasActive: // what somebody else made it meanwhile stays
	case d.active && !made.State.Delivers():
		do("resume", " It is active.")
	case !d.active && made.State.Delivers():
		do("pause", " It is paused: what it is owed is held.")
	}
	if p.PostForm.Get("do") == "save-run" {
		do("run", " It runs now.")
	}
	if after != nil {
		notice += " But: " + after.Error()
	}
	if len(made.Generated) > 0 {
		return p.showSecrets(made.webhook, made.Generated, nil, notice)
	}
	return p.done(to("webhooks", made.ID), notice)
}
