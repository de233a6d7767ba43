package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// deliverySummary is a delivery as lists show it.
type deliverySummary struct {
	tocsin.Delivery
	Webhook string `json:"webhook,omitempty"` // its name
	// LastError is what the latest failed attempt said: the delivery's own, or while it is
	// open and has none, the webhook's. DueAt is shown while it is open: when the next attempt
	// of the webhook follows at the earliest.
	LastError string     `json:"last_error,omitempty"`
	DueAt     *time.Time `json:"due_at,omitempty"`
	// Next says in a sentence whether and when it will be tried again.
	Next string `json:"next"`
}

// deliveryView is a delivery with all that is known of it.
type deliveryView struct {
	deliverySummary
	// AttemptLog holds the attempts, oldest first.
	AttemptLog []tocsin.Attempt `json:"attempt_log"`
	Events     []eventRef       `json:"events,omitempty"`
}

// eventRef names an event without repeating it.
type eventRef struct {
	Source   string          `json:"source"`
	ID       string          `json:"id"`
	Type     string          `json:"type"`
	Severity tocsin.Severity `json:"severity,omitempty"`
	Title    string          `json:"title,omitempty"`
}

func summarize(d tocsin.Delivery, o owner) deliverySummary {
	view := deliverySummary{Delivery: d, Webhook: o.webhook.Name, LastError: d.LastError, Next: nextOf(d, o)}
	if d.State != tocsin.DeliveryReady && d.State != tocsin.DeliverySending {
		return view
	}
	if o.activity.Failures > 0 && view.LastError == "" {
		view.LastError = o.activity.LastError
	}
	if waits(o) && held(o) == "" {
		view.DueAt = o.activity.DueAt
	}
	return view
}

func viewDelivery(d tocsin.Delivery, attempts []tocsin.Attempt, events []tocsin.Event, o owner) deliveryView {
	if attempts == nil {
		attempts = []tocsin.Attempt{}
	}
	view := deliveryView{deliverySummary: summarize(d, o), AttemptLog: attempts}
	for _, e := range events {
		view.Events = append(view.Events, eventRef{e.Source, e.ID, e.Type, e.Severity, e.Title})
	}
	return view
}

// owner is the webhook of a delivery and what it is up to.
type owner struct {
	webhook  tocsin.Webhook
	activity tocsin.Activity
	now      time.Time
}

// owner finds a webhook, deleted ones included.
func (s *server) owner(ctx context.Context, webhookID string) (owner, error) {
	w, err := s.Store.Webhook(ctx, webhookID)
	if err != nil && !errors.Is(err, tocsin.ErrNotFound) {
		return owner{}, fmt.Errorf("reading webhook: %w", err)
	}
	activities, err := s.Store.Activities(ctx, webhookID)
	if err != nil {
		return owner{}, fmt.Errorf("reading activity: %w", err)
	}
	return owner{w, activities[webhookID], time.Now()}, nil
}

// fewOwners is how many webhooks are looked up one by one; for more, all are read.
const fewOwners = 10

// owners finds the webhooks of a page of deliveries.
func (s *server) owners(ctx context.Context, deliveries []tocsin.Delivery) (map[string]owner, error) {
	found := map[string]owner{}
	of := map[string]bool{}
	for _, d := range deliveries {
		of[d.WebhookID] = true
	}
	if len(of) <= fewOwners {
		for id := range of {
			o, err := s.owner(ctx, id)
			if err != nil {
				return nil, err
			}
			found[id] = o
		}
		return found, nil
	}
	all, err := s.Webhooks.List(ctx)
	if err != nil {
		return nil, err
	}
	activities, err := s.Store.Activities(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading activity: %w", err)
	}
	now := time.Now()
	for _, w := range all {
		found[w.ID] = owner{w, activities[w.ID], now}
	}
	for _, d := range deliveries {
		if _, known := found[d.WebhookID]; !known { // deleted
			if found[d.WebhookID], err = s.owner(ctx, d.WebhookID); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

// listDeliveries answers for one webhook where the path names one, else for all or
// for ?webhook=.
func (s *server) listDeliveries(w http.ResponseWriter, r *http.Request) error {
	names := []string{"state", "type", "parent", "with_dead", "since", "until", "limit", "cursor"}
	name := r.PathValue("id")
	if name == "" {
		names = append(names, "webhook")
	}
	q := readQuery(r.URL.RawQuery, names...)
	want := tocsin.DeliveryQuery{
		Page: q.page(), State: q.state("state"), Type: q.text("type"), Parent: q.text("parent"), WithDead: q.flag("with_dead"),
		Since: q.time("since"), Until: q.time("until"),
	}
	if err := q.err(); err != nil {
		return err
	}
	if name == "" {
		name = q.text("webhook")
	}
	var err error
	if want.WebhookID, err = s.webhookID(r.Context(), name); err != nil {
		return err
	}
	deliveries, next, err := s.Store.Deliveries(r.Context(), want)
	if err != nil {
		return fmt.Errorf("listing deliveries: %w", err)
	}
	owners, err := s.owners(r.Context(), deliveries)
	if err != nil {
		return err
	}
	views := make([]deliverySummary, len(deliveries))
	for i, d := range deliveries {
		views[i] = summarize(d, owners[d.WebhookID])
	}
	return answer(w, http.StatusOK, listed(views, next))
}

// webhookID finds a webhook's id; that of a deleted one is good enough, since its
// history stays.
func (s *server) webhookID(ctx context.Context, idOrName string) (string, error) {
	if idOrName == "" {
		return "", nil
	}
	w, err := s.Webhooks.Get(ctx, idOrName)
	if errors.Is(err, tocsin.ErrNotFound) {
		deleted, derr := s.Store.Webhook(ctx, idOrName)
		if derr == nil {
			return deleted.ID, nil
		}
	}
	return w.ID, err
}

func (s *server) getDelivery(w http.ResponseWriter, r *http.Request) error {
	view, err := s.delivery(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, view)
}

func (s *server) delivery(ctx context.Context, id string) (deliveryView, error) {
	d, attempts, events, err := s.Store.Delivery(ctx, id)
	if errors.Is(err, tocsin.ErrNotFound) {
		return deliveryView{}, noDelivery(id)
	}
	if err != nil {
		return deliveryView{}, fmt.Errorf("reading delivery: %w", err)
	}
	o, err := s.owner(ctx, d.WebhookID)
	if err != nil {
		return deliveryView{}, err
	}
	return viewDelivery(d, attempts, events, o), nil
}

func noDelivery(id string) error {
	return tocsin.Errorf(tocsin.CodeNotFound, "no delivery has the id %q", id)
}

func (s *server) redeliver(_ http.ResponseWriter, r *http.Request, c *change) (reply, error) {
	id := r.PathValue("id")
	before, err := s.delivery(r.Context(), id)
	if err != nil {
		return reply{}, err
	}
	c.of(id, before.Webhook)
	c.from(before.Delivery)
	if err := s.Webhooks.Redeliver(r.Context(), id); errors.Is(err, tocsin.ErrNotFound) {
		return reply{}, noDelivery(id)
	} else if err != nil {
		return reply{}, err
	}
	view, err := s.delivery(r.Context(), id)
	if err != nil { // it is done, whatever else can be said
		view = before
		view.State = tocsin.DeliveryReady
	}
	c.to(view.Delivery)
	return reply{status: http.StatusOK, body: view}, nil
}
