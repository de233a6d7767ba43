package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/ingest"
)

// submitEvents answers 202 after the commit, and nothing but an error before.
func (s *server) submitEvents(w http.ResponseWriter, r *http.Request) error {
	raw, err := body(w, r, maxBody)
	if err != nil {
		return err
	}
	ctx, cancel := patient(r.Context(), patience)
	defer cancel()
	result, err := s.Ingest.Receive(ctx, r.Header, raw)
	if err != nil {
		return err
	}
	return answer(w, http.StatusAccepted, result)
}

// eventView is an event as the API shows it.
type eventView struct {
	tocsin.Event
	ReceivedAt time.Time `json:"received_at"`
}

func viewEvent(e tocsin.Event) eventView { return eventView{e, e.ReceivedAt} }

func (s *server) listEvents(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r.URL.RawQuery, "type", "source", "subject", "dedup_key", "min_severity", "since", "until", "q", "limit", "cursor")
	want := tocsin.EventQuery{
		Page: q.page(), Type: q.text("type"), Source: q.text("source"), Subject: q.text("subject"), DedupKey: q.text("dedup_key"),
		MinSeverity: q.severity("min_severity"), Since: q.time("since"), Until: q.time("until"), Text: q.text("q"),
	}
	if err := q.err(); err != nil {
		return err
	}
	events, next, err := s.Store.Events(r.Context(), want)
	if err != nil {
		return fmt.Errorf("listing events: %w", err)
	}
	views := make([]eventView, len(events))
	for i, e := range events {
		views[i] = viewEvent(e)
	}
	return answer(w, http.StatusOK, listed(views, next))
}

func (s *server) getEvent(w http.ResponseWriter, r *http.Request) error {
	e, err := s.event(r)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, viewEvent(e))
}

// event finds the event a path names.
func (s *server) event(r *http.Request) (tocsin.Event, error) {
	source, id := r.PathValue("source"), r.PathValue("id")
	e, err := s.Store.Event(r.Context(), source, id)
	if errors.Is(err, tocsin.ErrNotFound) {
		return e, tocsin.Errorf(tocsin.CodeNotFound, "no event of source %q has the id %q", source, id)
	}
	if err != nil {
		return e, fmt.Errorf("reading event: %w", err)
	}
	return e, nil
}

// whyView says what became of an event, and why.
type whyView struct {
	Event eventView `json:"event"`
	// Verdicts say what each webhook's present configuration makes of the event.
	Verdicts []ingest.Verdict `json:"verdicts"`
	// Traces say what was owed for it, and where that went.
	Traces []traceView `json:"traces"`
}

type traceView struct {
	WebhookID  string `json:"webhook_id"`
	Webhook    string `json:"webhook,omitempty"`
	Generation int64  `json:"generation"`
	Bucket     string `json:"bucket"`
	Reason     string `json:"reason,omitempty"`
	// Delivery is absent while the event is pending, and when it was suppressed at once.
	Delivery *deliveryView `json:"delivery,omitempty"`
	// Next says what happens next while nothing is settled.
	Next string `json:"next"`
}

func (s *server) why(w http.ResponseWriter, r *http.Request) error {
	e, err := s.event(r)
	if err != nil {
		return err
	}
	verdicts, err := s.Ingest.Verdicts(r.Context(), e)
	if err != nil {
		return fmt.Errorf("judging event: %w", err)
	}
	traces, err := s.Store.Traces(r.Context(), e.Seq)
	if err != nil {
		return fmt.Errorf("tracing event: %w", err)
	}
	view := whyView{Event: viewEvent(e), Verdicts: verdicts, Traces: make([]traceView, len(traces))}
	for i, t := range traces {
		if view.Traces[i], err = s.trace(r.Context(), t); err != nil {
			return err
		}
	}
	return answer(w, http.StatusOK, view)
}

func (s *server) trace(ctx context.Context, t tocsin.Trace) (traceView, error) {
	view := traceView{WebhookID: t.WebhookID, Generation: t.Generation, Bucket: t.Bucket, Reason: t.Reason}
	o, err := s.owner(ctx, t.WebhookID)
	if err != nil {
		return view, err
	}
	view.Webhook = o.webhook.Name
	view.Next = nextOfPending(o)
	if t.Bucket != "pending" {
		view.Next = settled(t.Bucket, t.Reason)
	}
	if t.DeliveryID == "" {
		return view, nil
	}
	d, attempts, events, err := s.Store.Delivery(ctx, t.DeliveryID)
	if errors.Is(err, tocsin.ErrNotFound) { // pruned since
		return view, nil
	}
	if err != nil {
		return view, fmt.Errorf("reading delivery: %w", err)
	}
	delivery := viewDelivery(d, attempts, events, o)
	// A delivery's events would repeat the whole batch for one of them.
	delivery.Events = nil
	view.Delivery, view.Next = &delivery, delivery.Next
	return view, nil
}
