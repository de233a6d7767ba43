package console

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// actOnWebhook is what the buttons of the page do.
func actOnWebhook(p *request) error {
	id, do := p.PathValue("id"), p.PostFormValue("do")
	here := to("webhooks", id)
	said := map[string]string{
		"pause": "The webhook is paused. What it is owed is held.", "resume": "The webhook is active again.", "run": "It delivers now what it is owed.",
	}
	switch do {
	case "pause", "resume", "run":
		if err := p.send("POST", at(nil, "v1", "webhooks", id, do), nil, nil); err != nil {
			return p.refusedHere(err)
		}
		return p.done(here, said[do])
	case "test", "check":
		t := testTrial{Check: do == "check"}
		if err := p.send("POST", at(nil, "v1", "webhooks", id, do), nil, &t); err != nil {
			return p.refusedHere(err)
		}
		return p.showHook(&t, nil)
	case "rotate":
		return p.rotate(id)
	case "delete":
		return p.deleteHook(id)
	}
	return notFound(p)
}

// refusedHere shows the webhook's page with what the API refused.
func (p *request) refusedHere(err error) error {
	var problem *Problem
	if !errors.As(err, &problem) || !problem.OfForm() {
		return err
	}
	return p.showHook(nil, problem)
}

func (p *request) rotate(id string) error {
	var made struct {
		saved
		OldUntil *time.Time `json:"old_secret_until"`
	}
	if err := p.send("POST", at(nil, "v1", "webhooks", id, "rotate-secret"), map[string]string{"overlap": cmp.Or(p.PostFormValue("overlap"), "24h")}, &made); err != nil {
		return p.refusedHere(err)
	}
	return p.showSecrets(made.webhook, made.Generated, made.OldUntil, "The webhook signs with a new secret.")
}

// deleteHook asks for the name, so that nobody deletes another webhook than they think.
func (p *request) deleteHook(id string) error {
	raw, err := p.stored(id)
	if err != nil {
		return err
	}
	var hook webhook
	if err := json.Unmarshal(raw, &hook); err != nil {
		return fmt.Errorf("reading webhook: %w", err)
	}
	if p.PostFormValue("name") != hook.Name {
		return p.showHook(nil, &Problem{Title: "Nothing was deleted", Status: http.StatusUnprocessableEntity, Code: tocsin.CodeInvalid,
			Errors: []tocsin.FieldError{{Field: "name", Message: "type the webhook's name, " + hook.Name}}})
	}
	if err := p.send("DELETE", at(nil, "v1", "webhooks", hook.ID), nil, nil); err != nil {
		return p.refusedHere(err)
	}
	return p.done(to("webhooks"), "Webhook "+hook.Name+" is deleted. Its history stays.")
}
