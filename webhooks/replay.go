package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tocsin-alerts/tocsin"
)

// ReplayView is a replay as people see it.
type ReplayView struct {
	tocsin.Replay
	Webhook string `json:"webhook"` // its name, also when it is deleted
}

// ReplayCount is what a selection means at the moment.
type ReplayCount struct {
	Events     int64 `json:"events"`
	Deliveries int64 `json:"deliveries"` // 0 for a selection of events
	// Complete is false when there was more than could be counted in time: the other two
	// are then what was found so far.
	Complete bool `json:"complete"`
}

// CreatedReplay is a replay that was created, or would be.
type CreatedReplay struct {
	ReplayView
	Count  ReplayCount `json:"count"`
	DryRun bool        `json:"dry_run"`
}

// CreateReplay checks a replay as users write it, counts what it selects, stores it and
// starts it. A dry run, asked for by the caller or in the document, stores nothing and
// has no id. Errors: CodeMalformed for what is not a JSON object, CodeInvalid with every
// field that is wrong, CodeUnavailable.
func (s *Service) CreateReplay(ctx context.Context, body json.RawMessage, author string, dryRun bool) (CreatedReplay, error) {
	p := &problems{what: "replay"}
	doc, err := decodeReplay(body, p)
	if err != nil {
		return CreatedReplay{}, err
	}
	w, err := s.validateReplay(ctx, &doc, p)
	if err != nil {
		return CreatedReplay{}, err
	}
	r := tocsin.Replay{ReplaySelection: doc.selection, MaxRate: doc.maxRate, State: tocsin.ReplayRunning, Author: author}
	created := CreatedReplay{DryRun: dryRun || doc.dryRun}
	if created.Count, err = s.countReplay(ctx, w, r.ReplaySelection); err != nil {
		return CreatedReplay{}, err
	}
	r.Total = created.Count.Events
	if !created.Count.Complete {
		r.Total = -1
	}
	if !created.DryRun {
		r.ID = tocsin.NewID(tocsin.PrefixReplay)
		if r, err = s.Store.CreateReplay(ctx, r); err != nil {
			return CreatedReplay{}, fmt.Errorf("storing replay: %w", err)
		}
		s.startReplay(ctx, r.ID)
	}
	created.ReplayView = ReplayView{Replay: r, Webhook: w.Name}
	return created, nil
}

// countAtOnce is how many candidates are read at once.
const countAtOnce = 1000

// countReplay walks through what a selection may mean, as the replay itself will, for as
// long as CountFor allows. Without an end it counts all there is: the store's clock says
// when something came, and this process's may be behind it.
func (s *Service) countReplay(ctx context.Context, w tocsin.Webhook, selection tocsin.ReplaySelection) (ReplayCount, error) {
	var n ReplayCount
	limited, cancel := context.WithTimeout(ctx, s.CountFor)
	defer cancel()
	for cursor := ""; ; {
		if limited.Err() != nil {
			return n, ctx.Err() // incomplete, unless it is the caller who has left
		}
		page, err := s.Store.ReplayCandidates(limited, selection, cursor, countAtOnce)
		switch {
		case err != nil && limited.Err() != nil && ctx.Err() == nil:
			return n, nil
		case err != nil:
			return n, fmt.Errorf("counting what is to be replayed: %w", err)
		}
		if err := s.countPage(w, selection.What, page, &n); err != nil {
			return n, err
		}
		if page.Last {
			n.Complete = true
			return n, nil
		}
		cursor = page.Next
	}
}

func (s *Service) countPage(w tocsin.Webhook, what tocsin.ReplayWhat, page tocsin.ReplayCandidates, n *ReplayCount) error {
	n.Deliveries += int64(len(page.Deliveries))
	for _, d := range page.Deliveries {
		n.Events += int64(d.Count)
	}
	if what == tocsin.ReplaySuppressed {
		n.Events += int64(len(page.Events)) // they matched before
		return nil
	}
	for i := range page.Events {
		_, ok, err := s.Matches(w, &page.Events[i])
		if err != nil {
			return fmt.Errorf("matching events again: %w", err)
		}
		if ok {
			n.Events++
		}
	}
	return nil
}

// PauseReplay stops a replay after the step that is under way. CodeConflict when it is
// over, CodeNotFound.
func (s *Service) PauseReplay(ctx context.Context, id string) (ReplayView, error) {
	return s.changeReplay(ctx, id, tocsin.ReplayPaused, "")
}

// ResumeReplay lets a paused replay go on where it was. One that runs is woken. Errors
// are PauseReplay's.
func (s *Service) ResumeReplay(ctx context.Context, id string) (ReplayView, error) {
	return s.changeReplay(ctx, id, tocsin.ReplayRunning, "")
}

// CancelReplay ends a replay after the step that is under way. What was replayed stays so.
// Errors are PauseReplay's; cancelling what is cancelled changes nothing.
func (s *Service) CancelReplay(ctx context.Context, id string) (ReplayView, error) {
	return s.changeReplay(ctx, id, tocsin.ReplayCancelled, "cancelled by a user")
}

// GetReplay finds one. CodeNotFound.
func (s *Service) GetReplay(ctx context.Context, id string) (ReplayView, error) {
	r, err := s.Store.Replay(ctx, id)
	if err != nil {
		return ReplayView{}, replayError("reading replay", id, err)
	}
	return s.viewReplay(ctx, r, names{})
}

// ListReplays returns a page of replays, newest first, and the cursor of the next page.
func (s *Service) ListReplays(ctx context.Context, page tocsin.Page) ([]ReplayView, string, error) {
	replays, next, err := s.Store.ListReplays(ctx, page)
	if err != nil {
		return nil, "", fmt.Errorf("listing replays: %w", err)
	}
	views, known := make([]ReplayView, len(replays)), names{}
	for i, r := range replays {
		if views[i], err = s.viewReplay(ctx, r, known); err != nil {
			return nil, "", err
		}
	}
	return views, next, nil
}

// changeReplay moves a replay and wakes its workflow to look: a paused one waits for
// nothing else.
func (s *Service) changeReplay(ctx context.Context, id string, to tocsin.ReplayState, reason string) (ReplayView, error) {
	r, err := s.Store.SetReplayState(ctx, id, to, reason)
	if err != nil {
		return ReplayView{}, replayError("setting the replay's state", id, err)
	}
	s.startReplay(ctx, id)
	return s.viewReplay(ctx, r, names{})
}

func (s *Service) viewReplay(ctx context.Context, r tocsin.Replay, known names) (ReplayView, error) {
	r.Types = full(r.Types)
	name, err := s.name(ctx, r.WebhookID, known)
	return ReplayView{Replay: r, Webhook: name}, err
}

// startReplay starts or wakes a replay's workflow.
func (s *Service) startReplay(ctx context.Context, id string) {
	s.tell(ctx, id, "replay", func(ctx context.Context) error { return s.Conductor.Replay(ctx, id) })
}

func replayError(doing, id string, err error) error {
	if errors.Is(err, tocsin.ErrNotFound) {
		return &tocsin.Error{Code: tocsin.CodeNotFound, Message: fmt.Sprintf("no replay has the id %q", cut(id)), Err: tocsin.ErrNotFound}
	}
	return fmt.Errorf("%s: %w", doing, err)
}
