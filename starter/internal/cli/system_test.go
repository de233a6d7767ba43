package cli_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"

	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"rsc.io/script"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
	"github.com/tocsin-alerts/tocsin/api"
	"github.com/tocsin-alerts/tocsin/ingest"
	"github.com/tocsin-alerts/tocsin/integrations"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
	"github.com/tocsin-alerts/tocsin/webhooks"
)

// system is the server side of one script.
type system struct {
	ring  *tocsin.KeyRing
	path  string // of the SQLite file
	store tocsin.Store
	in    *ingest.Ingest
	hooks *webhooks.Service
	stops []func()
}

// start serves the API on the script's SQLite file, which commands that open the store
// themselves find in TOCSIN_DATABASE_URL; RECEIVER is where deliveries can go.
func (s *system) start(state *script.State, keys bool) error {
	ctx := context.Background()
	db, err := sqlite.Open(ctx, s.path, sqlite.Options{})
	if err != nil {
		return err
	}
	s.store = db
	s.stops = append(s.stops, func() { db.Close() })
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	handler, err := s.assemble(keys)
	if err != nil {
		return err
	}
	return errors.Join(
		state.Setenv("TOCSIN_API_URL", s.listen(handler)),
		state.Setenv("RECEIVER", s.listen(http.HandlerFunc(receive))),
		state.Setenv("TOCSIN_DATABASE_URL", "sqlite:"+s.path),
	)
}

func (s *system) stop() {
	for _, stop := range slices.Backward(s.stops) {
		stop()
	}
	s.stops = nil
}

func (s *system) listen(h http.Handler) string {
	server := httptest.NewServer(h)
	s.stops = append(s.stops, server.Close)
	return server.URL
}

// receive is the place that webhooks deliver to.
func receive(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/slack/") {
		_, _ = io.WriteString(w, `{"ok":true,"user":"tocsin","team":"Acme","channel":{"name":"sec-alerts","is_member":true}}`)
		return
	}
	switch r.URL.Path {
	case "/broken":
		http.Error(w, "out of order", http.StatusInternalServerError)
	case "/unwanted":
		http.Error(w, "not this one", http.StatusUnprocessableEntity)
	}
}

func (s *system) assemble(keys bool) (http.Handler, error) {
	channels := integrations.Channels(integrations.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	var err error
	if s.in, err = ingest.New(ingest.Config{Store: s.store, Conductor: deaf{}, Channels: channels}); err != nil {
		return nil, err
	}
	s.stops = append(s.stops, s.in.Close)
	s.hooks, err = webhooks.New(webhooks.Config{
		Store: s.store, Conductor: deaf{}, KeyRing: s.ring, Channels: channels,
		CheckFilter: func(expr string) error { _, err := ingest.CompileFilter(expr); return err },
		Matches:     s.in.Matches,
	})
	if err != nil {
		return nil, err
	}
	return api.New(api.Config{Store: s.store, Ingest: s.in, Webhooks: s.hooks, Open: !keys})
}

// deliver runs the real activity once, as a worker would.
func (s *system) deliver(name string) error {
	w, err := s.hooks.Get(context.Background(), name)
	if err != nil {
		return err
	}
	acts := &activities.Activities{
		Store: s.store, Conductor: deaf{}, Sender: s.hooks.Sender, Submit: s.in, Linger: -1,
		Backoff: func(int, time.Duration) time.Duration { return time.Hour },
	}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(acts.Deliver)
	_, err = env.ExecuteActivity(acts.Deliver, activities.DeliverInput{WebhookID: w.ID})
	var failed *temporal.ApplicationError
	if errors.As(err, &failed) && failed.Type() == activities.FailureType {
		return nil // the receiver's refusal, which is recorded
	}
	return err
}

// replayed ends the replay that runs, which a script has begun to wait for, as its
// workflow would.
func (s *system) replayed(ctx context.Context, state tocsin.ReplayState) error {
	for {
		all, _, err := s.store.ListReplays(ctx, tocsin.Page{Limit: 100})
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(r tocsin.Replay) bool { return r.State == tocsin.ReplayRunning })
		if i < 0 {
			runtime.Gosched()
			continue
		}
		if state == tocsin.ReplayDone {
			_, err = s.store.ReplayStep(ctx, all[i].ID, tocsin.ReplayStep{Done: true})
		} else {
			_, err = s.store.SetReplayState(ctx, all[i].ID, state, "by the script")
		}
		return err
	}
}

// miscount is a bug that Tocsin does not have.
func miscount(path string) error {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	_, err = db.Exec(`INSERT INTO ledger_deltas (webhook_id, accepted, delivered, pending, in_flight, dead, suppressed) SELECT id, 1, 0, 0, 0, 0, 0 FROM webhooks WHERE name IN ('good', 'soc')`)
	return errors.Join(err, db.Close())
}

// deaf is a Temporal that is always away.
type deaf struct{}

func (deaf) Ring(context.Context, ...string) error              { return nil }
func (deaf) Apply(context.Context, string, string, int64) error { return nil }
func (deaf) Replay(context.Context, string) error               { return nil }
func (deaf) Incidents(context.Context, ...string) error         { return nil }
