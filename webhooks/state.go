package webhooks

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tocsin-alerts/tocsin"
)

// Pause stops a webhook from sending: once Pause has returned, no request leaves for
// it. Events are held. Pausing what is paused changes nothing.
func (s *Service) Pause(ctx context.Context, idOrName string) (tocsin.Webhook, error) {
	return s.setState(ctx, idOrName, tocsin.StatePaused, "paused by a user", "pause")
}

// Resume makes a paused, failing or disabled webhook active. What it held is then
// delivered, or, when its on_resume is "discard" and it was not merely failing,
// suppressed as "discarded" before.
func (s *Service) Resume(ctx context.Context, idOrName string) (tocsin.Webhook, error) {
	w, err := s.Get(ctx, idOrName)
	if err != nil {
		return w, err
	}
	if w.OnResume == onResumeDiscard && (w.State == tocsin.StatePaused || w.State == tocsin.StateDisabled) {
		if err := s.discard(ctx, w.ID); err != nil {
			return w, err
		}
	}
	if w, err = s.setState(ctx, w.ID, tocsin.StateActive, "", "resume"); err != nil {
		return w, err
	}
	s.ring(ctx, w.ID)
	return w, nil
}

const (
	// discardAtOnce is how many obligations one transaction settles.
	discardAtOnce = 1000
	// discardTries is how often the fence is taken again after a Deliver took it.
	discardTries = 5
)

// discard suppresses what a webhook that does not send is owed. It takes the fence, as
// a Deliver would: should one still be running, it stops, and should one begin, it
// finds nothing to send and gives way. A failure half way leaves the webhook as it was,
// holding what is left.
func (s *Service) discard(ctx context.Context, id string) error {
	for try := 1; ; try++ {
		err := s.discardOnce(ctx, id)
		if !errors.Is(err, tocsin.ErrFenced) {
			return err
		}
		if try == discardTries {
			return tocsin.Errorf(tocsin.CodeConflict, "discarding what was held: the webhook is busy; try again: %w", err)
		}
	}
}

func (s *Service) discardOnce(ctx context.Context, id string) error {
	lease, err := s.Store.Begin(ctx, id)
	if err != nil {
		return fmt.Errorf("taking the webhook over: %w", err)
	}
	if lease.Webhook.State.Delivers() {
		return nil // somebody else resumed it: what it is owed now is to be delivered
	}
	for {
		settled, err := s.Store.Discard(ctx, lease.Fence, lease.Now, "discarded", discardAtOnce)
		if err != nil {
			return fmt.Errorf("discarding what was held: %w", err)
		}
		if settled == 0 {
			return nil
		}
	}
}

// RunNow delivers what is owed at once, whatever tick or backoff is waited for, and
// changes nothing else. CodeConflict when the webhook is paused or disabled.
func (s *Service) RunNow(ctx context.Context, idOrName string) (tocsin.Webhook, error) {
	w, err := s.Get(ctx, idOrName)
	if err != nil {
		return w, err
	}
	if !w.State.Delivers() {
		return w, tocsin.Errorf(tocsin.CodeConflict, "webhook %q is %s and sends nothing; resume it first", w.Name, w.State)
	}
	if err := s.Store.RunNow(ctx, w.ID); err != nil {
		return w, fmt.Errorf("asking for a run: %w", err)
	}
	s.ring(ctx, w.ID)
	s.apply(ctx, w, "run-now")
	return w, nil
}

// Redeliver makes a delivery ready again, under the same id, and wakes its webhook, also
// one that waits for its tick and so is awake already. Errors are those of
// tocsin.Queue's Redeliver.
func (s *Service) Redeliver(ctx context.Context, deliveryID string) error {
	d, err := s.Store.Redeliver(ctx, deliveryID)
	if err != nil {
		return fmt.Errorf("redelivering: %w", err)
	}
	w, err := s.Store.Webhook(ctx, d.WebhookID)
	if err != nil {
		return fmt.Errorf("reading the webhook of a redelivery: %w", err)
	}
	s.ring(ctx, w.ID)
	s.apply(ctx, w, "redeliver")
	return nil
}

// Delete removes a webhook. What it still owed is suppressed as "webhook deleted"; its
// history stays. CodeConflict while another names it as fallback or escalation.
func (s *Service) Delete(ctx context.Context, idOrName string) error {
	return s.DeleteIf(ctx, idOrName, nil)
}

// DeleteIf is Delete under a condition, which is asked once nothing else is in the way.
func (s *Service) DeleteIf(ctx context.Context, idOrName string, when Condition) error {
	for try := 1; ; try++ {
		err := s.delete(ctx, idOrName, when)
		if !errors.Is(err, tocsin.ErrVersion) || try == changeTries {
			return err
		}
	}
}

func (s *Service) delete(ctx context.Context, idOrName string, when Condition) error {
	w, err := s.Get(ctx, idOrName)
	if err != nil {
		return err
	}
	all, err := s.List(ctx)
	if err != nil {
		return err
	}
	if by := users(w.Name, all); len(by) > 0 {
		return tocsin.Errorf(tocsin.CodeConflict, "webhook %q is the fallback or escalation of %s; change that first", w.Name, strings.Join(by, ", "))
	}
	if err := when.check(ctx, w); err != nil {
		return err
	}
	var version []int64 // whatever it is
	if when != nil {
		version = append(version, w.Version)
	}
	if _, err := s.Store.SetState(ctx, w.ID, tocsin.StateDeleted, "deleted by a user", version...); err != nil {
		return fmt.Errorf("deleting webhook: %w", err)
	}
	s.senders.drop(w.ID)
	s.signal(ctx, w.ID)
	return nil
}

func (s *Service) setState(ctx context.Context, idOrName string, to tocsin.State, reason, update string) (tocsin.Webhook, error) {
	w, err := s.Get(ctx, idOrName)
	if err != nil {
		return w, err
	}
	w, err = s.Store.SetState(ctx, w.ID, to, reason)
	if err != nil {
		return w, fmt.Errorf("setting the webhook's state: %w", err)
	}
	s.apply(ctx, w, update)
	return w, nil
}
