package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/tocsin-alerts/tocsin"
)

// Changed is a webhook after a change, or as it would be.
type Changed struct {
	Webhook tocsin.Webhook
	// Changes lists what differs, by field; empty means that nothing was written.
	Changes []Change
	// Generated holds secrets the channel made up because the change removed the old
	// ones. They are shown this once. Empty in a dry run.
	Generated map[string]string
}

// changeTries is how often a change is worked out again because somebody else's came
// first. More in a row than this is not contention but a fault.
const changeTries = 5

// Change applies an RFC 7396 merge patch to a webhook, its configuration included:
// null puts a setting back to its default. "[redacted]" keeps the secret that is
// stored at its place. The channel cannot change. When nothing differs nothing is
// written. Errors are Create's, and CodeNotFound.
func (s *Service) Change(ctx context.Context, idOrName string, patch json.RawMessage, dryRun bool) (Changed, error) {
	return s.ChangeIf(ctx, idOrName, patch, dryRun, nil)
}

// A Condition is asked about a webhook as it is stored before something is done to it; its
// error is why nothing is. What it has let pass is done to that very version, or asked
// about anew. Nil is for no condition.
type Condition func(context.Context, tocsin.Webhook) error

func (c Condition) check(ctx context.Context, w tocsin.Webhook) error {
	if c == nil {
		return nil
	}
	return c(ctx, w)
}

// ChangeIf is Change under a condition, which is asked once the change is found valid.
func (s *Service) ChangeIf(ctx context.Context, idOrName string, patch json.RawMessage, dryRun bool, when Condition) (Changed, error) {
	for try := 1; ; try++ {
		changed, err := s.change(ctx, idOrName, patch, dryRun, when)
		if !errors.Is(err, tocsin.ErrVersion) || try == changeTries {
			return changed, err
		}
	}
}

// target is a webhook as a change would make it, with its configuration in clear.
type target struct {
	webhook   tocsin.Webhook
	config    json.RawMessage
	changes   []Change
	generated []string
}

func (s *Service) change(ctx context.Context, idOrName string, patch json.RawMessage, dryRun bool, when Condition) (Changed, error) {
	stored, err := s.Get(ctx, idOrName)
	if err != nil {
		return Changed{}, err
	}
	t, err := s.plan(ctx, stored, patch)
	if err != nil {
		return Changed{}, err
	}
	if err := when.check(ctx, stored); err != nil {
		return Changed{}, err
	}
	if len(t.changes) == 0 {
		return Changed{Webhook: stored, Changes: []Change{}}, nil
	}
	if dryRun {
		return Changed{Webhook: t.webhook, Changes: t.changes}, nil
	}
	t.webhook.Sealed = s.KeyRing.Seal(t.config, stored.ID)
	w, err := s.Store.UpdateWebhook(ctx, t.webhook)
	if err != nil {
		return Changed{}, storing(err, t.webhook.Name)
	}
	s.apply(ctx, w, "configure")
	return Changed{Webhook: w, Changes: t.changes, Generated: reveal(t.config, t.generated)}, nil
}

// plan works out what a patch makes of a webhook, checks it and compares.
func (s *Service) plan(ctx context.Context, stored tocsin.Webhook, patch json.RawMessage) (target, error) {
	clear, err := s.open(stored)
	if err != nil {
		return target{}, err
	}
	p := &problems{}
	settings, config, err := read(stored, clear, patch, p)
	if err != nil {
		return target{}, err
	}
	others, err := s.affected(ctx, stored.Settings, settings)
	if err != nil {
		return target{}, err
	}
	if err := s.validate(settings, stored.ID, others, p); err != nil {
		return target{}, err
	}
	if by := users(stored.Name, others); settings.Name != stored.Name && len(by) > 0 {
		p.add("name", "cannot change while %s names %q as its fallback or escalation", strings.Join(by, ", "), stored.Name)
	}
	t := target{webhook: stored}
	t.webhook.Settings = settings
	if t.config, t.generated, err = s.changeConfig(ctx, stored, clear, config, p); err != nil {
		return target{}, err
	}
	if err := conclude(settings.Name, stored.ID, others, p); err != nil {
		return target{}, err
	}
	if t.webhook.Config, err = s.channels[stored.Channel].Public(t.config); err != nil {
		return target{}, fmt.Errorf("redacting configuration: %w", err)
	}
	t.changes, err = compare(stored, clear, t)
	return t, err
}

// read decodes the stored webhook with the patch applied.
func read(stored tocsin.Webhook, clear, patch json.RawMessage, p *problems) (tocsin.Settings, json.RawMessage, error) {
	fields, err := object(patch)
	if err != nil {
		return tocsin.Settings{}, nil, err
	}
	// Before merging: a misspelt field that is null would vanish in it.
	checkNames(fields, p)
	body, err := patched(stored, clear, patch)
	if err != nil {
		return tocsin.Settings{}, nil, err
	}
	settings, config, err := decode(body, p)
	if settings.Anchor.IsZero() {
		settings.Anchor = stored.CreatedAt
	}
	if settings.Channel != stored.Channel && !p.has("channel") {
		p.add("channel", "cannot change from %q to %q; create another webhook", stored.Channel, cut(settings.Channel))
	}
	return settings, config, err
}

// patched is the stored webhook, secrets in clear, with the patch applied.
func patched(stored tocsin.Webhook, clear, patch json.RawMessage) (json.RawMessage, error) {
	current, err := settingsTree(stored.Settings)
	if err != nil {
		return nil, err
	}
	if current["config"], err = tree(clear); err != nil {
		return nil, fmt.Errorf("reading stored configuration: %w", err)
	}
	changes, err := tree(patch)
	if err != nil {
		return nil, tocsin.Errorf(tocsin.CodeMalformed, "reading JSON: %w", err)
	}
	body, err := json.Marshal(merge(current, changes))
	if err != nil {
		return nil, fmt.Errorf("merging: %w", err)
	}
	return body, nil
}

func settingsTree(s tocsin.Settings) (map[string]any, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encoding settings: %w", err)
	}
	v, err := tree(raw)
	if err != nil {
		return nil, fmt.Errorf("encoding settings: %w", err)
	}
	m, _ := v.(map[string]any)
	return m, nil
}

// changeConfig checks a configuration if it is another than the stored one. One that
// stays is left alone: an address that does not resolve today must not stand in the
// way of another batch size.
func (s *Service) changeConfig(ctx context.Context, stored tocsin.Webhook, clear, config json.RawMessage, p *problems) (json.RawMessage, []string, error) {
	config = keepSecrets(config, clear, stored.Config, p)
	before, err := tree(clear)
	if err != nil {
		return nil, nil, fmt.Errorf("reading stored configuration: %w", err)
	}
	after, err := tree(config)
	if err != nil {
		return nil, nil, fmt.Errorf("reading configuration: %w", err)
	}
	if len(differences("", side{before, nil}, side{after, nil})) == 0 {
		return clear, nil, nil
	}
	config, generated, err := s.validateConfig(ctx, stored.Channel, config, p)
	if err != nil {
		return nil, nil, fmt.Errorf("checking configuration: %w", err)
	}
	return config, generated, nil
}

// compare lists the differences between a stored webhook and a target.
func compare(stored tocsin.Webhook, clear json.RawMessage, t target) ([]Change, error) {
	from, err := settingsTree(stored.Settings)
	if err != nil {
		return nil, err
	}
	to, err := settingsTree(t.webhook.Settings)
	if err != nil {
		return nil, err
	}
	changes := differences("", side{from, from}, side{to, to})
	trees := make([]any, 4)
	for i, raw := range []json.RawMessage{clear, stored.Config, t.config, t.webhook.Config} {
		if trees[i], err = tree(raw); err != nil {
			return nil, fmt.Errorf("comparing configurations: %w", err)
		}
	}
	return append(changes, differences("config", side{trees[0], trees[1]}, side{trees[2], trees[3]})...), nil
}
