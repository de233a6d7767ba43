package activities

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/internal/audit"
)

// ControlInput is an update that was sent by hand, through Temporal's own tools.
type ControlInput struct {
	WebhookID string          `json:"webhook_id"`
	Update    string          `json:"update"`
	Settings  json.RawMessage `json:"settings,omitempty"`
	Delivery  string          `json:"delivery,omitempty"`
}

// ControlResult is the webhook after it.
type ControlResult struct {
	State   tocsin.State `json:"state"`
	Version int64        `json:"version"`
}

// controlActions are the updates, by what the audit log calls them.
var controlActions = map[string]string{
	"pause": "webhook.pause", "resume": "webhook.resume", "configure": "webhook.change", "run-now": "webhook.run", "redeliver": "delivery.redeliver",
}

// Do carries out an update that was sent by hand: it writes the same rows as the API, and
// the audit log, where its actor is Temporal: who used its tools is not known here.
func (a *Activities) Do(ctx context.Context, in ControlInput) (ControlResult, error) {
	action, known := controlActions[in.Update]
	if !known {
		return ControlResult{}, asApplicationError(tocsin.Invalid("update", "%q is not known", in.Update))
	}
	var w tocsin.Webhook
	entry := tocsin.AuditEntry{Actor: "temporal", Action: action, Object: in.WebhookID}
	err := audit.Change(ctx, a.Logger, a.Store, entry, func(e *tocsin.AuditEntry) error {
		before, err := a.Store.Webhook(ctx, in.WebhookID)
		if err != nil {
			return err
		}
		if before.State == tocsin.StateDeleted {
			return tocsin.Errorf(tocsin.CodeNotFound, "the webhook %s is deleted; its workflow ends", before.Name)
		}
		e.Name, e.Before = before.Name, audit.Public(before)
		if w, err = a.control(ctx, in); err != nil {
			return err
		}
		e.After = audit.Public(w)
		if in.Update == "redeliver" {
			e.Object, e.Before, e.After = in.Delivery, nil, nil
		}
		return nil
	})
	if err != nil {
		return ControlResult{}, asApplicationError(err)
	}
	return ControlResult{State: w.State, Version: w.Version}, nil
}

func (a *Activities) control(ctx context.Context, in ControlInput) (w tocsin.Webhook, err error) {
	switch in.Update {
	case "pause":
		return a.Control.Pause(ctx, in.WebhookID)
	case "resume":
		return a.Control.Resume(ctx, in.WebhookID)
	case "configure":
		return a.Control.Configure(ctx, in.WebhookID, in.Settings)
	case "redeliver":
		return a.redeliver(ctx, in)
	}
	if err := a.Store.RunNow(ctx, in.WebhookID); err != nil {
		return w, err
	}
	return a.Store.Webhook(ctx, in.WebhookID)
}

// redeliver makes a delivery of this webhook ready again. Another webhook's is refused:
// its workflow would not hear of it.
func (a *Activities) redeliver(ctx context.Context, in ControlInput) (tocsin.Webhook, error) {
	d, _, _, err := a.Store.Delivery(ctx, in.Delivery)
	if errors.Is(err, tocsin.ErrNotFound) {
		return tocsin.Webhook{}, tocsin.Errorf(tocsin.CodeNotFound, "there is no delivery %q; `tocsin deliveries list` shows the webhook's", in.Delivery)
	}
	if err != nil {
		return tocsin.Webhook{}, err
	}
	if d.WebhookID != in.WebhookID {
		return tocsin.Webhook{}, tocsin.Invalid("delivery", "%q is of webhook %s; send the update to that one's workflow", in.Delivery, d.WebhookID)
	}
	if _, err := a.Store.Redeliver(ctx, in.Delivery); err != nil {
		return tocsin.Webhook{}, err
	}
	return a.Store.Webhook(ctx, in.WebhookID)
}
