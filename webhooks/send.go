package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// open returns a webhook's configuration with its secrets.
func (s *Service) open(w tocsin.Webhook) (json.RawMessage, error) {
	config, err := s.KeyRing.Open(w.Sealed, w.ID)
	if err != nil {
		return nil, fmt.Errorf("opening configuration of webhook %s: %w", w.ID, err)
	}
	return config, nil
}

// Sender returns what sends for a stored webhook. Senders are kept by id and version,
// so that connections are reused. It returns an error when the channel is not known to
// this process, or the sealed configuration does not open.
func (s *Service) Sender(w tocsin.Webhook) (tocsin.Sender, error) {
	if sender := s.senders.get(w); sender != nil {
		return sender, nil
	}
	ch := s.channels[w.Channel]
	if ch == nil {
		return nil, fmt.Errorf("opening webhook %s: no channel %q in this program", w.ID, w.Channel)
	}
	config, err := s.open(w)
	if err != nil {
		return nil, err
	}
	sender, err := ch.Open(config)
	if err != nil {
		return nil, fmt.Errorf("opening channel %s of webhook %s: %w", w.Channel, w.ID, err)
	}
	s.senders.put(w, sender)
	return sender, nil
}

// maxSenders bounds the cache; one more webhook than this costs an opening, no more.
const maxSenders = 4096

// senders caches the newest version's sender of each webhook. The zero value is ready.
type senders struct {
	mu   sync.Mutex
	byID map[string]opened
}

type opened struct {
	version int64
	sender  tocsin.Sender
}

func (c *senders) get(w tocsin.Webhook) tocsin.Sender {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o, ok := c.byID[w.ID]; ok && o.version == w.Version {
		return o.sender
	}
	return nil
}

func (c *senders) put(w tocsin.Webhook, sender tocsin.Sender) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o, known := c.byID[w.ID]
	if known && o.version > w.Version {
		return
	}
	if c.byID == nil {
		c.byID = map[string]opened{}
	}
	// Any one goes: maps are ranged over in random order, which is fair enough.
	for id := range c.byID {
		if known || len(c.byID) < maxSenders {
			break
		}
		delete(c.byID, id)
	}
	c.byID[w.ID] = opened{w.Version, sender}
}

func (c *senders) drop(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byID, id)
}

// Test sends one example event, marked as a test, and stores nothing. An error of the
// vendor comes with the Receipt, whose exchanges show what happened; every other error
// is a *tocsin.Error.
func (s *Service) Test(ctx context.Context, idOrName string) (tocsin.Receipt, error) {
	w, sender, err := s.prepare(ctx, idOrName)
	if err != nil {
		return tocsin.Receipt{}, err
	}
	return s.test(ctx, w, sender)
}

func (s *Service) test(ctx context.Context, w tocsin.Webhook, sender tocsin.Sender) (tocsin.Receipt, error) {
	events, err := s.examples(w)
	if err != nil {
		return tocsin.Receipt{}, err
	}
	return sender.Send(ctx, s.notification(w, events, true))
}

// Check proves the webhook's configuration by its vendor's cheapest call, and sends
// nothing that a person would see. found says in a sentence what was found. An error of the
// vendor comes with the exchanges; every other error is a *tocsin.Error, CodeInvalid where
// the channel has no such call.
func (s *Service) Check(ctx context.Context, idOrName string) (found string, exchanges []tocsin.Exchange, err error) {
	_, sender, err := s.prepare(ctx, idOrName)
	if err != nil {
		return "", nil, err
	}
	return check(ctx, sender)
}

func check(ctx context.Context, sender tocsin.Sender) (found string, exchanges []tocsin.Exchange, err error) {
	err = tocsin.ErrNoCheck
	if c, ok := sender.(tocsin.Checker); ok {
		found, exchanges, err = c.Check(ctx)
	}
	if errors.Is(err, tocsin.ErrNoCheck) {
		return "", nil, tocsin.Errorf(tocsin.CodeInvalid, "%w", err)
	}
	return found, exchanges, err
}

// Preview returns the requests the webhook would send, secrets redacted, and sends
// nothing: its latest delivery's events with today's configuration, or an example
// when it never had any. CodeInvalid when its template does not render.
func (s *Service) Preview(ctx context.Context, idOrName string) ([]tocsin.Exchange, error) {
	w, sender, err := s.prepare(ctx, idOrName)
	if err != nil {
		return nil, err
	}
	events, err := s.latest(ctx, w)
	if err != nil {
		return nil, err
	}
	test := len(events) == 0
	if test {
		if events, err = s.examples(w); err != nil {
			return nil, err
		}
	}
	return s.render(ctx, w, sender, events, test)
}

func (s *Service) render(ctx context.Context, w tocsin.Webhook, sender tocsin.Sender, events []tocsin.Event, test bool) ([]tocsin.Exchange, error) {
	exchanges, err := sender.Preview(ctx, s.notification(w, events, test))
	var fault *tocsin.SendError
	if errors.As(err, &fault) {
		return nil, &tocsin.Error{Code: tocsin.CodeInvalid, Message: "rendering: " + err.Error(), Err: err}
	}
	return exchanges, err
}

func (s *Service) prepare(ctx context.Context, idOrName string) (tocsin.Webhook, tocsin.Sender, error) {
	w, err := s.Get(ctx, idOrName)
	if err != nil {
		return w, nil, err
	}
	sender, err := s.Sender(w)
	if err != nil {
		err = tocsin.Errorf(tocsin.CodeInternal, "%w", err)
	}
	return w, sender, err
}

// latest returns the events of the newest delivery, nil when there is none.
func (s *Service) latest(ctx context.Context, w tocsin.Webhook) ([]tocsin.Event, error) {
	deliveries, _, err := s.Store.Deliveries(ctx, tocsin.DeliveryQuery{Page: tocsin.Page{Limit: 1}, WebhookID: w.ID})
	if err != nil {
		return nil, fmt.Errorf("listing deliveries: %w", err)
	}
	if len(deliveries) == 0 {
		return nil, nil
	}
	_, _, events, err := s.Store.Delivery(ctx, deliveries[0].ID)
	if err != nil && !errors.Is(err, tocsin.ErrNotFound) {
		return nil, fmt.Errorf("reading delivery: %w", err)
	}
	return events, nil
}

// examples returns the example event of the first alert type the webhook selects.
func (s *Service) examples(w tocsin.Webhook) ([]tocsin.Event, error) {
	types := s.Catalog.Types()
	chosen := types[0]
	for _, t := range types {
		if len(w.Events) > 0 && (w.Events[0].Type == t.Type || w.Events[0].Type == t.Category) {
			chosen = t
			break
		}
	}
	var e tocsin.Event
	if err := json.Unmarshal(chosen.Example, &e); err != nil {
		return nil, fmt.Errorf("reading the example of %s: %w", chosen.Type, err)
	}
	// A key of its own: a trial must neither join nor resolve a real incident.
	e.ID = tocsin.NewID("test")
	e.DedupKey = e.ID
	// Not every channel and template shows Notification.Test.
	e.Title = strings.TrimSpace("[TEST] " + e.Title)
	e.Time = time.Now().UTC().Truncate(time.Millisecond)
	e.ReceivedAt = e.Time
	if e.Severity == tocsin.SeverityNone {
		e.Severity = chosen.DefaultSeverity
	}
	if e.Status == "" {
		e.Status = tocsin.Firing
	}
	raw, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("writing the example of %s: %w", chosen.Type, err)
	}
	// Read back, data is as compact as a producer would write it.
	e.Data = nil
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, fmt.Errorf("reading the example of %s: %w", chosen.Type, err)
	}
	e.Raw = raw
	return []tocsin.Event{e}, nil
}

func (s *Service) notification(w tocsin.Webhook, events []tocsin.Event, test bool) tocsin.Notification {
	return tocsin.Notification{
		DeliveryID: tocsin.NewID("test"), WebhookID: w.ID, WebhookName: w.Name, Attempt: 1, At: time.Now().UTC(),
		Events: events, Test: test, PublicURL: s.PublicURL,
	}
}
