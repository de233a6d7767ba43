package webhooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tocsin-alerts/tocsin"
)

// EventRef names a stored event by its producer's key.
type EventRef struct {
	Source string `json:"source"`
	ID     string `json:"id"`
}

// Previewed is what a draft would send.
type Previewed struct {
	Exchanges []tocsin.Exchange
	// Events are what it is about, in the order of delivery.
	Events []tocsin.Event
	// Origin is where they are from: OriginChosen, OriginLatest or OriginExample.
	Origin string
}

// Where a preview's events are from.
const (
	OriginChosen  = "chosen"
	OriginLatest  = "latest" // those that match among the newest, as one batch
	OriginExample = "example"
)

// TryPreview returns the requests that a draft would send, secrets redacted, and sends
// nothing: for the chosen events, or when there are none, for a batch of the newest that
// match, or an example where none does. Errors are those of Create, Change and Preview.
func (s *Service) TryPreview(ctx context.Context, d Draft, chosen []EventRef) (Previewed, error) {
	w, sender, err := s.draft(ctx, d)
	if err != nil {
		return Previewed{}, err
	}
	p, err := s.about(ctx, w, chosen)
	if err != nil {
		return Previewed{}, err
	}
	p.Exchanges, err = s.render(ctx, w, sender, p.Events, p.Origin == OriginExample)
	return p, err
}

// about finds the events that a preview is about.
func (s *Service) about(ctx context.Context, w tocsin.Webhook, chosen []EventRef) (p Previewed, err error) {
	if len(chosen) > 0 {
		p.Origin = OriginChosen
		p.Events, err = s.chosen(ctx, w, chosen)
		return p, err
	}
	p.Origin = OriginLatest
	if p.Events, err = s.latestBatch(ctx, w); err != nil || len(p.Events) > 0 {
		return p, err
	}
	p.Origin = OriginExample
	p.Events, err = s.examples(w)
	return p, err
}

// chosen reads events that one delivery of the webhook could hold, whatever it selects.
func (s *Service) chosen(ctx context.Context, w tocsin.Webhook, refs []EventRef) ([]tocsin.Event, error) {
	if len(refs) > w.BatchSize {
		return nil, tocsin.Invalid("chosen", "has %d entries; batch_size is %d", len(refs), w.BatchSize)
	}
	p := &problems{what: "preview"}
	ch := s.channels[w.Channel]
	events := make([]tocsin.Event, 0, len(refs))
	for i, ref := range refs {
		at := fmt.Sprintf("chosen[%d]", i)
		if slices.Index(refs, ref) < i {
			p.add(at, "is there twice")
			continue
		}
		e, err := s.Store.Event(ctx, ref.Source, ref.ID)
		switch {
		case errors.Is(err, tocsin.ErrNotFound):
			p.add(at, "no event of source %q has the id %q", cut(ref.Source), cut(ref.ID))
			continue
		case err != nil:
			return nil, fmt.Errorf("reading event: %w", err)
		}
		if len(events) > 0 && ch.BatchKey(&e) != ch.BatchKey(&events[0]) {
			p.add(at, "is never in one delivery with the first: the channel %s delivers them apart", w.Channel)
		}
		events = append(events, e)
	}
	slices.SortFunc(events, bySeq)
	return events, p.err()
}

// latestBatch returns the batch that the newest matching event would be in, had it and those
// before it just come.
func (s *Service) latestBatch(ctx context.Context, w tocsin.Webhook) ([]tocsin.Event, error) {
	events, err := s.newest(ctx)
	if err != nil {
		return nil, err
	}
	ch := s.channels[w.Channel]
	var batch []tocsin.Event
	for i := range events {
		_, ok, err := s.Matches(w, &events[i])
		if err != nil {
			return nil, fmt.Errorf("matching event: %w", err)
		}
		if !ok || len(batch) > 0 && ch.BatchKey(&events[i]) != ch.BatchKey(&batch[0]) {
			continue
		}
		if batch = append(batch, events[i]); len(batch) == w.BatchSize {
			break
		}
	}
	slices.SortFunc(batch, bySeq)
	return batch, nil
}

// bySeq is the order that events are delivered in.
func bySeq(a, b tocsin.Event) int { return cmp.Compare(a.Seq, b.Seq) }
