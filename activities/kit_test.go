package activities_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
	"github.com/tocsin-alerts/tocsin/ingest"
	"github.com/tocsin-alerts/tocsin/store/postgres"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
)

// stores are the two a Deliver must work on.
var stores = map[string]func(*testing.T) tocsin.Store{
	"sqlite": func(t *testing.T) tocsin.Store {
		db, err := sqlite.Open(t.Context(), t.TempDir()+"/tocsin.db", sqlite.Options{})
		return migrated(t, db, err)
	},
	"postgres": func(t *testing.T) tocsin.Store {
		db, err := postgres.Open(t.Context(), pgtest.URL(t), postgres.Options{})
		return migrated(t, db, err)
	},
}

func migrated(t *testing.T, db tocsin.Store, err error) tocsin.Store {
	t.Helper()
	if err != nil {
		t.Fatalf("opening store: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("closing store: %v", err)
		}
	})
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatalf("migrating: %v", err)
	}
	return db
}

// onBoth runs a test on both stores.
func onBoth(t *testing.T, test func(*testing.T, tocsin.Store)) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// receiver is a sender that keeps what it was sent. answer decides; nil accepts.
type receiver struct {
	mu     sync.Mutex
	sent   []tocsin.Notification
	answer func(tocsin.Notification) (tocsin.Receipt, error)
	got    chan struct{} // one value for each notification, when there is room
}

func newReceiver() *receiver { return &receiver{got: make(chan struct{}, 1<<16)} }

func (r *receiver) Send(_ context.Context, n tocsin.Notification) (tocsin.Receipt, error) {
	r.mu.Lock()
	r.sent = append(r.sent, n)
	answer := r.answer
	r.mu.Unlock()
	defer func() { r.got <- struct{}{} }()
	if answer == nil {
		return tocsin.Receipt{}, nil
	}
	return answer(n)
}

func (r *receiver) Preview(context.Context, tocsin.Notification) ([]tocsin.Exchange, error) {
	return nil, nil
}

func (r *receiver) notifications() []tocsin.Notification {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]tocsin.Notification(nil), r.sent...)
}

// ids are the events' ids in the order they were sent.
func (r *receiver) ids() (out []string) {
	for _, n := range r.notifications() {
		for _, e := range n.Events {
			out = append(out, e.ID)
		}
	}
	return out
}

// newActivities are activities over a store, with one receiver for all webhooks.
func newActivities(s tocsin.Store, r *receiver) *activities.Activities {
	return &activities.Activities{
		Store:   s,
		Sender:  func(tocsin.Webhook) (tocsin.Sender, error) { return r, nil },
		Backoff: func(failures int, after time.Duration) time.Duration { return max(time.Hour, after) },
		Linger:  -1,
		Submit:  deaf{},
	}
}

// deaf is a Submitter for tests that announcements are nothing to.
type deaf struct{ activities.Submitter }

func (deaf) Announce(context.Context, tocsin.Event, ...string) (ingest.Result, error) {
	return ingest.Result{}, nil
}

// conductor keeps whom it rang.
type conductor struct {
	mu      sync.Mutex
	rung    []string
	replays []string
}

func (c *conductor) Ring(_ context.Context, ids ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rung = append(c.rung, ids...)
	return nil
}

func (c *conductor) Apply(context.Context, string, string, int64) error { return nil }

func (c *conductor) Replay(_ context.Context, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replays = append(c.replays, id)
	return nil
}

func (c *conductor) Incidents(context.Context, ...string) error { return nil }

// takeRung returns whom it rang since it was last asked.
func (c *conductor) takeRung() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	rung := c.rung
	c.rung = nil
	return rung
}

// ingestInto is a real ingest over a store.
func ingestInto(t *testing.T, s tocsin.Store) *ingest.Ingest {
	t.Helper()
	in, err := ingest.New(ingest.Config{Store: s, Conductor: &conductor{}})
	if err != nil {
		t.Fatalf("starting ingest: %v", err)
	}
	t.Cleanup(in.Close)
	return in
}

func newWebhook(t *testing.T, s tocsin.Store, change func(*tocsin.Webhook)) tocsin.Webhook {
	t.Helper()
	w := tocsin.Webhook{
		ID: tocsin.NewID(tocsin.PrefixWebhook),
		Settings: tocsin.Settings{
			Channel: "webhook", Frequency: tocsin.Instant, BatchSize: 20, Concurrency: 1,
			RunEvery: tocsin.Duration(15 * time.Minute), RetryFor: tocsin.Duration(72 * time.Hour), OnResume: "deliver",
		},
		Config: json.RawMessage(`{}`), Sealed: []byte("sealed"),
	}
	w.Name = w.ID
	if change != nil {
		change(&w)
	}
	w, err := s.CreateWebhook(t.Context(), w)
	if err != nil {
		t.Fatalf("creating webhook: %v", err)
	}
	return w
}

// submit appends events with these ids and returns what Ring says. The dedup key is the
// id, unless the id has the form key/n.
func submit(t *testing.T, s tocsin.Store, w tocsin.Webhook, ids ...string) []string {
	t.Helper()
	revision, _, err := s.ListWebhooks(t.Context())
	if err != nil {
		t.Fatalf("reading revision: %v", err)
	}
	var batch []tocsin.NewEvent
	for _, id := range ids {
		raw := json.RawMessage(fmt.Sprintf(`{"id":%q,"source":"/test","type":"custom.test","data":{"n":1}}`, id))
		batch = append(batch, tocsin.NewEvent{
			Event: tocsin.Event{
				ID: id, Source: "/test", Type: "custom.test", Severity: tocsin.SeverityLow, Status: tocsin.Firing,
				Time: time.Now().UTC(), DedupKey: keyOf(id), Data: json.RawMessage(`{"n":1}`), Raw: raw,
			},
			Fingerprint: []byte(id),
			Owed:        []tocsin.Obligation{{WebhookID: w.ID}},
		})
	}
	if _, err := s.Append(t.Context(), revision, batch); err != nil {
		t.Fatalf("appending: %v", err)
	}
	asleep, err := s.Ring(t.Context(), []string{w.ID})
	if err != nil {
		t.Fatalf("ringing: %v", err)
	}
	return asleep
}

func keyOf(id string) string {
	for i := range id {
		if id[i] == '/' {
			return id[:i]
		}
	}
	return id
}

func deliver(t *testing.T, a *activities.Activities, w tocsin.Webhook) activities.DeliverResult {
	t.Helper()
	out, err := a.Deliver(t.Context(), activities.DeliverInput{WebhookID: w.ID})
	if err != nil {
		t.Fatalf("delivering: %v", err)
	}
	return out
}

// balance reads one webhook's ledger, and holds it against a recount.
func balance(t *testing.T, s tocsin.Store, w tocsin.Webhook) tocsin.Balance {
	t.Helper()
	counted, recounted, err := s.Recount(t.Context())
	if err != nil {
		t.Fatalf("recounting: %v", err)
	}
	find := func(all []tocsin.Balance) tocsin.Balance {
		for _, b := range all {
			if b.WebhookID == w.ID {
				return b
			}
		}
		return tocsin.Balance{WebhookID: w.ID, Webhook: w.Name}
	}
	b, r := find(counted), find(recounted)
	if b != r {
		t.Errorf("the ledger says %+v, its rows %+v", b, r)
	}
	if d := b.Difference(); d != 0 {
		t.Errorf("the ledger is off by %d: %+v", d, b)
	}
	return b
}
