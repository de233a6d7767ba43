package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/ingest"
)

// now is the time of receipt in tests.
var now = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// store keeps in memory what ingest asks a store to keep. Any other method panics.
type store struct {
	tocsin.Store

	mu       sync.Mutex
	revision int64
	webhooks []tocsin.Webhook
	mutes    []tocsin.Mute
	events   map[string]tocsin.NewEvent
	appends  [][]tocsin.NewEvent // those that were written
	lists    int
	rung     [][]string
	awake    map[string]bool

	// before is called at the beginning of Append, outside the lock.
	before func(batch []tocsin.NewEvent) error
	// ringing is called at the beginning of Ring.
	ringing func() error
}

func newStore(webhooks ...tocsin.Webhook) *store {
	return &store{revision: 1, webhooks: webhooks, events: map[string]tocsin.NewEvent{}, awake: map[string]bool{}}
}

func (s *store) Append(_ context.Context, revision int64, batch []tocsin.NewEvent) (tocsin.AppendResult, error) {
	if s.before != nil {
		if err := s.before(batch); err != nil {
			return tocsin.AppendResult{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if revision != s.revision {
		return tocsin.AppendResult{}, tocsin.ErrStaleRevision
	}
	s.appends = append(s.appends, slices.Clone(batch))
	result := tocsin.AppendResult{Events: make([]tocsin.Appended, len(batch))}
	for i, n := range batch {
		key := n.Event.Source + "\x00" + n.Event.ID
		first, known := s.events[key]
		switch {
		case !known:
			s.events[key], result.Events[i] = n, tocsin.AppendedNew
			for _, o := range n.Owed {
				if o.Suppressed == "" && !slices.Contains(result.Owed, o.WebhookID) {
					result.Owed = append(result.Owed, o.WebhookID)
				}
			}
		case string(first.Fingerprint) == string(n.Fingerprint):
			result.Events[i] = tocsin.AppendedDuplicate
		default:
			result.Events[i] = tocsin.AppendedConflict
		}
	}
	return result, nil
}

func (s *store) Configuration(context.Context, tocsin.Configuration) (tocsin.Configuration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists++
	return tocsin.Configuration{Revision: s.revision, Webhooks: slices.Clone(s.webhooks), Mutes: slices.Clone(s.mutes)}, nil
}

func (s *store) Ring(_ context.Context, ids []string) (asleep []string, err error) {
	if s.ringing != nil {
		if err := s.ringing(); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rung = append(s.rung, slices.Clone(ids))
	for _, id := range ids {
		if !s.awake[id] {
			s.awake[id] = true
			asleep = append(asleep, id)
		}
	}
	return asleep, nil
}

// configure changes the webhooks, as another process would.
func (s *store) configure(webhooks ...tocsin.Webhook) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.webhooks, s.revision = webhooks, s.revision+1
}

// stored returns one event by id.
func (s *store) stored(t *testing.T, id string) tocsin.NewEvent {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.events {
		if n.Event.ID == id {
			return n
		}
	}
	t.Fatalf("event %s is not stored", id)
	return tocsin.NewEvent{}
}

// conductor notes whom it rings.
type conductor struct {
	mu   sync.Mutex
	rung []string
	told []string // keys of incidents
	fail error

	// ringing and telling are called at the beginning of Ring and Incidents.
	ringing func()
	telling func() error
}

func (c *conductor) Ring(_ context.Context, ids ...string) error {
	if c.ringing != nil {
		c.ringing()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rung = append(c.rung, ids...)
	return c.fail
}

func (c *conductor) Apply(context.Context, string, string, int64) error {
	return errors.New("ingest changes no webhook")
}

func (c *conductor) Replay(context.Context, string) error {
	return errors.New("ingest replays nothing")
}

func (c *conductor) Incidents(_ context.Context, keys ...string) error {
	c.mu.Lock()
	c.told = append(c.told, keys...)
	c.mu.Unlock()
	if c.telling == nil {
		return nil
	}
	return c.telling()
}

// keyed is a channel whose batch key is the event's type.
type keyed struct{ tocsin.Channel }

func (keyed) Name() string                    { return "keyed" }
func (keyed) BatchKey(e *tocsin.Event) string { return "of " + e.Type }

// start returns an ingest over a store, closed at the end of the test.
func start(t *testing.T, s *store) (*ingest.Ingest, *conductor) {
	t.Helper()
	c := &conductor{}
	in, err := ingest.New(ingest.Config{Store: s, Conductor: c, Channels: []tocsin.Channel{keyed{}}, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	return in, c
}

// hook returns a webhook on everything.
func hook(name string, edit ...func(*tocsin.Webhook)) tocsin.Webhook {
	w := tocsin.Webhook{ID: "wh_" + name, State: tocsin.StateActive, Settings: tocsin.Settings{Name: name, Channel: "plain"}}
	for _, f := range edit {
		f(&w)
	}
	return w
}

func events(names ...string) func(*tocsin.Webhook) {
	return func(w *tocsin.Webhook) {
		for _, name := range names {
			typ, collections, narrowed := strings.Cut(name, "@")
			s := tocsin.Selector{Type: typ}
			if narrowed {
				s.Collections = strings.Split(collections, ",")
			}
			w.Events = append(w.Events, s)
		}
	}
}

func filter(expr string) func(*tocsin.Webhook) { return func(w *tocsin.Webhook) { w.Filter = expr } }
func minimum(s tocsin.Severity) func(*tocsin.Webhook) {
	return func(w *tocsin.Webhook) { w.MinSeverity = s }
}
func collections(names ...string) func(*tocsin.Webhook) {
	return func(w *tocsin.Webhook) { w.Collections = names }
}

// custom returns n small valid events with ids that begin with prefix.
func custom(prefix string, n int) []tocsin.Event {
	all := make([]tocsin.Event, n)
	for i := range all {
		all[i] = tocsin.Event{ID: prefix + strconv.Itoa(i), Source: "/test", Type: "custom.test", Data: json.RawMessage(`{"n":1}`)}
	}
	return all
}

// example returns the catalog's example of a type.
func example(t testing.TB, name string) tocsin.Event {
	t.Helper()
	a, ok := catalog.Default().Lookup(name)
	if !ok {
		t.Fatalf("no type %s", name)
	}
	all, err := ingest.Decode("application/json", a.Example)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

// discard is a store that accepts everything and keeps nothing, for benchmarks.
type discard struct{ *store }

func (discard) Append(_ context.Context, _ int64, batch []tocsin.NewEvent) (tocsin.AppendResult, error) {
	return tocsin.AppendResult{Events: slices.Repeat([]tocsin.Appended{tocsin.AppendedNew}, len(batch))}, nil
}

func (discard) Ring(context.Context, []string) ([]string, error) { return nil, nil }
