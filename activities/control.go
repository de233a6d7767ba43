package activities

import (
	"context"
	"encoding/json"

	"github.com/tocsin-alerts/tocsin"
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

// Do carries out an update that was sent by hand: it writes the same rows as the API.
func (a *Activities) Do(ctx context.Context, in ControlInput) (ControlResult, error) {
	var w tocsin.Webhook
	var err error
	switch in.Update {
	case "pause":
		w, err = a.Control.Pause(ctx, in.WebhookID)
	case "resume":
		w, err = a.Control.Resume(ctx, in.WebhookID)
	case "configure":
		w, err = a.Control.Configure(ctx, in.WebhookID, in.Settings)
	case "run-now":
		if err = a.Store.RunNow(ctx, in.WebhookID); err == nil {
			w, err = a.Store.Webhook(ctx, in.WebhookID)
		}
	case "redeliver":
		w, err = a.redeliver(ctx, in)
	default:
		err = tocsin.Invalid("update", "%q is not known", in.Update)
	}
	if err != nil {
		return ControlResult{}, asApplicationError(err)
	}
	return ControlResult{State: w.State, Version: w.Version}, nil
}

// redeliver makes a delivery of this webhook ready again. Another webhook's is refused:
// its workflow would not hear of it.
func (a *Activities) redeliver(ctx context.Context, in ControlInput) (tocsin.Webhook, error) {
	d, _, _, err := a.Store.Delivery(ctx, in.Delivery)
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
