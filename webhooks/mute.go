package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// The states of a mute. They follow from the time, and are not stored.
const (
	MutePending = "pending" // it has not begun
	MuteActive  = "active"
	MuteEnded   = "ended"
)

// MuteView is a mute as people see it.
type MuteView struct {
	tocsin.Mute
	// Webhooks are the names of those in WebhookIDs, also of deleted ones.
	Webhooks []string `json:"webhooks"`
	State    string   `json:"state"`
}

// CreateMute checks a mute as users write it and stores it. Its author is actor unless it
// names one. Errors: CodeMalformed for what is not a JSON object, CodeInvalid with every
// field that is wrong, CodeConflict when there are too many, CodeUnavailable.
func (s *Service) CreateMute(ctx context.Context, body json.RawMessage, actor string) (MuteView, error) {
	p := &problems{what: "mute"}
	doc, err := decodeMute(body, p)
	if err != nil {
		return MuteView{}, err
	}
	conf, err := s.Store.Configuration(ctx, tocsin.Configuration{})
	if err != nil {
		return MuteView{}, fmt.Errorf("reading the configuration: %w", err)
	}
	m, err := s.validateMute(doc, actor, conf.Webhooks, p)
	if err != nil {
		return MuteView{}, err
	}
	if len(conf.Mutes) >= maxMutes {
		return MuteView{}, tocsin.Errorf(tocsin.CodeConflict, "there are %d mutes that are not over; at most %d are allowed: end some, or write one for several webhooks or alert types", len(conf.Mutes), maxMutes)
	}
	m.ID = tocsin.NewID(tocsin.PrefixMute)
	if m, err = s.Store.CreateMute(ctx, m); err != nil {
		return MuteView{}, fmt.Errorf("storing mute: %w", err)
	}
	return s.viewMute(ctx, m, names{})
}

// EndMute ends a mute now; one that is over stays as it is. CodeNotFound.
func (s *Service) EndMute(ctx context.Context, id string) (MuteView, error) {
	m, err := s.Store.EndMute(ctx, id)
	if err != nil {
		return MuteView{}, muteError("ending mute", id, err)
	}
	v, err := s.viewMute(ctx, m, names{})
	// By the store's clock it is over, whatever ours says.
	v.State = MuteEnded
	return v, err
}

// GetMute finds one, also when it is over. CodeNotFound.
func (s *Service) GetMute(ctx context.Context, id string) (MuteView, error) {
	m, err := s.Store.Mute(ctx, id)
	if err != nil {
		return MuteView{}, muteError("reading mute", id, err)
	}
	return s.viewMute(ctx, m, names{})
}

// ListMutes returns a page of mutes, newest first, and the cursor of the next page.
func (s *Service) ListMutes(ctx context.Context, q tocsin.MuteQuery) ([]MuteView, string, error) {
	mutes, next, err := s.Store.ListMutes(ctx, q)
	if err != nil {
		return nil, "", fmt.Errorf("listing mutes: %w", err)
	}
	views, known := make([]MuteView, len(mutes)), names{}
	for i, m := range mutes {
		if views[i], err = s.viewMute(ctx, m, known); err != nil {
			return nil, "", err
		}
	}
	return views, next, nil
}

func muteError(doing, id string, err error) error {
	if errors.Is(err, tocsin.ErrNotFound) {
		return &tocsin.Error{Code: tocsin.CodeNotFound, Message: fmt.Sprintf("no mute has the id %q", cut(id)), Err: tocsin.ErrNotFound}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func (s *Service) viewMute(ctx context.Context, m tocsin.Mute, known names) (MuteView, error) {
	v := MuteView{Mute: m, Webhooks: make([]string, len(m.WebhookIDs)), State: muteState(m, s.Now())}
	// Lists and not null, whatever the store made of empty ones.
	v.WebhookIDs, v.Events, v.Collections = full(m.WebhookIDs), full(m.Events), full(m.Collections)
	for i, id := range m.WebhookIDs {
		var err error
		if v.Webhooks[i], err = s.name(ctx, id, known); err != nil {
			return v, err
		}
	}
	return v, nil
}

func full[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// muteState is what a mute is doing. One that began when it was created has begun, even
// when the store's clock is ahead of ours.
func muteState(m tocsin.Mute, now time.Time) string {
	switch {
	case !m.Until.After(m.From) || !now.Before(m.Until):
		return MuteEnded
	case m.From.After(m.CreatedAt) && now.Before(m.From):
		return MutePending
	}
	return MuteActive
}

// names are those of webhooks, by id, as far as somebody asked.
type names map[string]string

// name finds a webhook's name, also that of a deleted one; its id stands for one that is
// not there at all.
func (s *Service) name(ctx context.Context, id string, known names) (string, error) {
	if name, ok := known[id]; ok {
		return name, nil
	}
	w, err := s.Store.Webhook(ctx, id)
	switch {
	case errors.Is(err, tocsin.ErrNotFound):
		w.Name = id
	case err != nil:
		return "", fmt.Errorf("reading webhook: %w", err)
	}
	known[id] = w.Name
	return w.Name, nil
}
