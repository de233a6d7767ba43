package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// Created is a webhook that was created, or would be.
type Created struct {
	Webhook tocsin.Webhook
	// Generated holds the secrets that the channel made up, by their path in the
	// configuration. They are shown this once. Empty in a dry run.
	Generated map[string]string
}

// Create checks a webhook as users write it and stores it. A dry run only checks, and
// returns the webhook without an id. Errors: CodeMalformed for what is not a JSON
// object, CodeInvalid with every field that is wrong, CodeConflict when only the name
// is taken or there are too many, CodeUnavailable.
func (s *Service) Create(ctx context.Context, body json.RawMessage, dryRun bool) (Created, error) {
	t, err := s.fresh(ctx, body)
	if err != nil {
		return Created{}, err
	}
	if err := s.room(ctx); err != nil {
		return Created{}, err
	}
	w := t.webhook
	if dryRun {
		return Created{Webhook: imagined(w)}, nil
	}
	w.ID = tocsin.NewID(tocsin.PrefixWebhook)
	w.Sealed = s.KeyRing.Seal(t.config, w.ID)
	w, err = s.Store.CreateWebhook(ctx, w)
	if err != nil {
		return Created{}, storing(err, t.webhook.Name)
	}
	s.count.add()
	s.start(ctx, w.ID)
	return Created{Webhook: w, Generated: reveal(t.config, t.generated)}, nil
}

// fresh checks a new webhook as users write it, and completes it but for its id.
func (s *Service) fresh(ctx context.Context, body json.RawMessage) (target, error) {
	p := &problems{}
	settings, config, err := decode(body, p)
	if err != nil {
		return target{}, err
	}
	others, err := s.related(ctx, settings)
	if err != nil {
		return target{}, err
	}
	if err := s.validate(settings, "", others, p); err != nil {
		return target{}, err
	}
	config = keepSecrets(config, nil, nil, p)
	config, generated, err := s.validateConfig(ctx, settings.Channel, config, p)
	if err != nil {
		return target{}, fmt.Errorf("checking configuration: %w", err)
	}
	if err := conclude(settings.Name, "", others, p); err != nil {
		return target{}, err
	}
	w := tocsin.Webhook{Settings: settings, State: tocsin.StateActive}
	if w.Config, err = s.channels[w.Channel].Public(config); err != nil {
		return target{}, fmt.Errorf("redacting configuration: %w", err)
	}
	return target{webhook: w, config: config, generated: generated}, nil
}

// imagined is a webhook as the store would have it, by this process's clock.
func imagined(w tocsin.Webhook) tocsin.Webhook {
	w.CreatedAt = time.Now().UTC()
	w.UpdatedAt, w.StateSince, w.Version = w.CreatedAt, w.CreatedAt, 1
	if w.Anchor.IsZero() {
		w.Anchor = w.CreatedAt
	}
	return w
}

// conclude returns what is wrong, if anything. A name that is taken is a conflict
// when nothing else is wrong.
func conclude(name, id string, others []tocsin.Webhook, p *problems) error {
	if !p.has("name") {
		for _, o := range others {
			if o.Name != name || o.ID == id {
				continue
			}
			if len(p.fields) == 0 {
				return nameTaken(name)
			}
			p.fields = append(p.fields, nameTaken(name).Fields...)
		}
	}
	return p.err()
}

func nameTaken(name string) *tocsin.Error {
	return &tocsin.Error{
		Code: tocsin.CodeConflict, Message: "the name is taken", Err: tocsin.ErrNameTaken,
		Fields: []tocsin.FieldError{{Field: "name", Message: fmt.Sprintf("another webhook is named %q; names are unique", cut(name))}},
	}
}

// storing adds to an error of the store what its caller knows.
func storing(err error, name string) error {
	if errors.Is(err, tocsin.ErrNameTaken) {
		return nameTaken(name)
	}
	return fmt.Errorf("storing webhook: %w", err)
}

// reveal picks the secrets at these paths out of a configuration.
func reveal(config json.RawMessage, paths []string) map[string]string {
	secrets := map[string]string{}
	for _, path := range paths {
		var at any
		if json.Unmarshal(config, &at) != nil {
			continue
		}
		for _, key := range strings.Split(path, ".") {
			m, _ := at.(map[string]any)
			at = m[key]
		}
		if text, ok := at.(string); ok {
			secrets[path] = text
		}
	}
	return secrets
}
