package webhooks

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/tocsin-alerts/tocsin"
)

// Draft is a webhook that is tried out before it is saved. Nothing of it is stored.
type Draft struct {
	// Webhook is the id or name of a stored webhook that Settings is a merge patch of: its
	// secrets, which nobody is shown again, are taken from the store. "" for a new one.
	Webhook string
	// Settings is what Create takes, or Change when Webhook is set; then it may be empty.
	Settings json.RawMessage
}

// TryEvents is how many of the newest events a draft's selection is tried on.
const TryEvents = 100

// selective are the settings that decide what a webhook is owed.
var selective = []string{"events", "min_severity", "collections", "filter", "repeat_after"}

// Selection returns a draft as far as it decides which events are wanted, and the events to
// try it on, newest first. Only that part is checked: who types a filter into a form need not
// have thought of a name yet. No secret is opened and no address is looked up. Errors are
// those of Create and Change, about the same fields.
func (s *Service) Selection(ctx context.Context, d Draft) (tocsin.Webhook, []tocsin.Event, error) {
	settings, err := d.document()
	if err != nil {
		return tocsin.Webhook{}, nil, err
	}
	w := tocsin.Webhook{State: tocsin.StateActive}
	base := map[string]any{}
	if d.Webhook != "" {
		if w, err = s.Get(ctx, d.Webhook); err != nil {
			return w, nil, err
		}
		if base, err = settingsTree(w.Settings); err != nil {
			return w, nil, err
		}
	}
	if w.Settings, err = s.selection(base, settings); err != nil {
		return w, nil, err
	}
	events, err := s.newest(ctx)
	return w, events, err
}

// selection reads what a document says about selection, over a base.
func (s *Service) selection(base map[string]any, document json.RawMessage) (tocsin.Settings, error) {
	settings, p := defaults(), &problems{}
	fields, err := object(document)
	if err != nil {
		return settings, err
	}
	checkNames(fields, p)
	for name, raw := range fields {
		var text string
		// Others may hand events on to the name.
		if named := name == "name" && json.Unmarshal(raw, &text) == nil; !named && !slices.Contains(selective, name) {
			delete(fields, name)
		}
	}
	patch, err := json.Marshal(fields)
	if err != nil {
		return settings, fmt.Errorf("reading settings: %w", err)
	}
	changes, err := tree(patch)
	if err != nil {
		return settings, fmt.Errorf("reading settings: %w", err)
	}
	merged, err := json.Marshal(merge(base, changes))
	if err != nil {
		return settings, fmt.Errorf("merging: %w", err)
	}
	if fields, err = object(merged); err != nil {
		return settings, err
	}
	readFields(fields, &settings, readers, p)
	s.validateSelection(settings, p)
	between(p, "repeat_after", settings.RepeatAfter, 0, maxRepeat)
	if err := s.validateFilter(settings, p); err != nil {
		return settings, err
	}
	return settings, p.err()
}

// newest returns the events that drafts are tried on, newest first.
func (s *Service) newest(ctx context.Context) ([]tocsin.Event, error) {
	events, _, err := s.Store.Events(ctx, tocsin.EventQuery{Page: tocsin.Page{Limit: TryEvents}})
	if err != nil {
		return nil, fmt.Errorf("listing events: %w", err)
	}
	return events, nil
}

// TryTest sends one example event with a draft's settings, as Test does with those that are
// stored. Where the channel generates a secret, it is one for this test alone. Errors are
// those of Create, Change and Test. The webhook that is returned shows no secret.
func (s *Service) TryTest(ctx context.Context, d Draft) (tocsin.Webhook, tocsin.Receipt, error) {
	w, sender, err := s.draft(ctx, d)
	if err != nil {
		return w, tocsin.Receipt{}, err
	}
	receipt, err := s.test(ctx, w, sender)
	return w, receipt, err
}

// TryCheck proves a draft's configuration, as Check does with one that is stored. Errors are
// those of Create, Change and Check. The webhook that is returned shows no secret.
func (s *Service) TryCheck(ctx context.Context, d Draft) (w tocsin.Webhook, found string, exchanges []tocsin.Exchange, err error) {
	w, sender, err := s.draft(ctx, d)
	if err != nil {
		return w, "", nil, err
	}
	found, exchanges, err = check(ctx, sender)
	return w, found, exchanges, err
}

// draft checks all of a draft, and returns the webhook it would be and what sends for it.
func (s *Service) draft(ctx context.Context, d Draft) (tocsin.Webhook, tocsin.Sender, error) {
	t, err := s.target(ctx, d)
	if err != nil {
		return t.webhook, nil, err
	}
	if t.webhook.ID == "" {
		t.webhook = imagined(t.webhook)
		t.webhook.ID = tocsin.NewID(tocsin.PrefixWebhook) // for links and vendors' own keys
	}
	// Not by Sender, which would keep it.
	sender, err := s.channels[t.webhook.Channel].Open(t.config)
	if err != nil {
		return t.webhook, nil, tocsin.Errorf(tocsin.CodeInternal, "opening channel %s: %w", t.webhook.Channel, err)
	}
	return t.webhook, sender, nil
}

func (s *Service) target(ctx context.Context, d Draft) (target, error) {
	settings, err := d.document()
	if err != nil {
		return target{}, err
	}
	if d.Webhook == "" {
		return s.fresh(ctx, settings)
	}
	stored, err := s.Get(ctx, d.Webhook)
	if err != nil {
		return target{}, err
	}
	return s.plan(ctx, stored, settings)
}

// document returns the settings, which are an object.
func (d Draft) document() (json.RawMessage, error) {
	raw := bytes.TrimSpace(d.Settings)
	switch {
	case (len(raw) == 0 || isNull(raw)) && d.Webhook != "":
		return json.RawMessage("{}"), nil
	case len(raw) == 0 || isNull(raw):
		return nil, tocsin.Invalid("settings", "is required: the webhook to try, as it would be created")
	case raw[0] != '{':
		// The value is not shown: a secret may have been put in the wrong place.
		return nil, tocsin.Invalid("settings", "is not an object; want a webhook's settings")
	}
	return raw, nil
}
