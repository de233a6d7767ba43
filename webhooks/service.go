package webhooks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// Config is what a Service works with.
type Config struct {
	// Store holds the configuration. Required.
	Store tocsin.Store
	// Conductor wakes the webhooks' workflows after a commit. Nil leaves all of that to
	// the sweeper.
	Conductor tocsin.Conductor
	// KeyRing seals the channels' configurations. Required.
	KeyRing *tocsin.KeyRing
	// Channels are the kinds of places there are. Required.
	Channels []tocsin.Channel
	// Catalog names the alert types. Nil is catalog.Default().
	Catalog *catalog.Catalog
	// CheckFilter compiles a CEL expression; its error names line and column. Required.
	CheckFilter func(expr string) error
	// Matches says whether a webhook selects an event, and under which batch key it is owed
	// it, whatever the webhook's state. Required.
	Matches func(w tocsin.Webhook, e *tocsin.Event) (batchKey string, ok bool, err error)
	// PublicURL is where this Tocsin is reached, for links, without a final slash. Empty
	// for no links.
	PublicURL string
	// Logger takes what is worth knowing and not worth failing for. Nil is slog.Default().
	Logger *slog.Logger
	// MinRunEvery is the shortest run_every. 0 is a minute; only tests want less.
	MinRunEvery time.Duration
	// History is how long finished deliveries are kept, and so how far back it is known what
	// a webhook was owed; 0 is for ever.
	History time.Duration
	// CountFor is how long the events of a replay are counted at most. 0 is ten seconds.
	CountFor time.Duration
	// Now is for what this process decides by its own clock: whether times that users
	// write lie ahead, and how old what it remembers is. Nil is time.Now.
	Now func() time.Time
}

// Service creates, changes and tries out webhooks, mutes them, replays what they were
// owed, and keeps the keys that they sign with. It is safe for concurrent use.
type Service struct {
	Config
	channels map[string]tocsin.Channel
	senders  senders
	signing  signing
	count    counted
	starts   *rate.Limiter // of workflows, see start
}

// New returns a service. It returns an error when something required is missing, or
// two channels have one name.
func New(c Config) (*Service, error) {
	switch {
	case c.Store == nil:
		return nil, errors.New("configuring webhooks: no store")
	case c.KeyRing == nil:
		return nil, errors.New("configuring webhooks: no key ring")
	case len(c.Channels) == 0:
		return nil, errors.New("configuring webhooks: no channels")
	case c.CheckFilter == nil:
		return nil, errors.New("configuring webhooks: no check for filters")
	case c.Matches == nil:
		return nil, errors.New("configuring webhooks: nothing that matches events")
	}
	if c.Catalog == nil {
		c.Catalog = catalog.Default()
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.MinRunEvery == 0 {
		c.MinRunEvery = time.Minute
	}
	if c.CountFor == 0 {
		c.CountFor = 10 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Service{Config: c, channels: map[string]tocsin.Channel{}, starts: newStarts()}
	for _, ch := range c.Channels {
		if s.channels[ch.Name()] != nil {
			return nil, fmt.Errorf("configuring webhooks: two channels are named %q", ch.Name())
		}
		s.channels[ch.Name()] = ch
	}
	return s, nil
}

// Get finds a webhook that is not deleted by its id or its name; the error is
// CodeNotFound and says what was looked for.
func (s *Service) Get(ctx context.Context, idOrName string) (tocsin.Webhook, error) {
	w, err := s.Store.WebhookByName(ctx, idOrName)
	if errors.Is(err, tocsin.ErrNotFound) {
		w, err = s.Store.Webhook(ctx, idOrName)
	}
	switch {
	case errors.Is(err, tocsin.ErrNotFound) || err == nil && w.State == tocsin.StateDeleted:
		return tocsin.Webhook{}, notFound(idOrName)
	case err != nil:
		return tocsin.Webhook{}, fmt.Errorf("reading webhook: %w", err)
	}
	return w, nil
}

// List returns all webhooks that are not deleted, by name.
func (s *Service) List(ctx context.Context) ([]tocsin.Webhook, error) {
	_, all, err := s.Store.ListWebhooks(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing webhooks: %w", err)
	}
	return all, nil
}

func notFound(idOrName string) error {
	return &tocsin.Error{
		Code: tocsin.CodeNotFound, Message: fmt.Sprintf("no webhook has the id or name %q", cut(idOrName)), Err: tocsin.ErrNotFound,
	}
}

// tellTimeout bounds how long an answer waits for a Temporal that may be away.
const tellTimeout = 5 * time.Second

// apply tells the workflow that a committed row changed.
func (s *Service) apply(ctx context.Context, w tocsin.Webhook, update string) {
	s.tell(ctx, w.ID, update, func(ctx context.Context) error {
		return s.Conductor.Apply(ctx, w.ID, update, w.Version)
	})
}

// signal sends the doorbell signal whatever the store says about being awake.
func (s *Service) signal(ctx context.Context, id string) {
	s.tell(ctx, id, "ring", func(ctx context.Context) error { return s.Conductor.Ring(ctx, id) })
}

// ring is the doorbell after something owed was committed.
func (s *Service) ring(ctx context.Context, id string) {
	s.tell(ctx, id, "ring", func(ctx context.Context) error {
		asleep, err := s.Store.Ring(ctx, []string{id})
		if err != nil || len(asleep) == 0 {
			return err
		}
		return s.Conductor.Ring(ctx, asleep...)
	})
}

// tell runs what follows a commit: the caller's going away must not undo it, and its
// failure must not undo the caller's answer.
func (s *Service) tell(ctx context.Context, id, what string, do func(context.Context) error) {
	if s.Conductor == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTimeout)
	defer cancel()
	if err := do(ctx); err != nil {
		s.Logger.Warn("telling a workflow; the sweeper will make up for it", "about", id, "what", what, "error", err)
	}
}
