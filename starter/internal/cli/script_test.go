package cli_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.uber.org/goleak"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
	"github.com/tocsin-alerts/tocsin/api"
	"github.com/tocsin-alerts/tocsin/ingest"
	"github.com/tocsin-alerts/tocsin/integrations"
	"github.com/tocsin-alerts/tocsin/starter/internal/cli"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
	"github.com/tocsin-alerts/tocsin/webhooks"
)

func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){
		"tocsin": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			context.AfterFunc(ctx, stop)
			os.Exit(cli.Run(ctx, cli.Env{
				Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Environ: os.Environ, Version: "v0.0.0-test",
			}, os.Args[1:]))
		},
	})
}

// leakChecked fails when something runs on after the tests.
type leakChecked struct{ m *testing.M }

// Run implements testscript.TestingM.
func (l leakChecked) Run() int {
	code := l.m.Run()
	http.DefaultClient.CloseIdleConnections()
	// The cluster that all tests share lives as long as this process.
	cluster := goleak.IgnoreAnyFunction("github.com/tocsin-alerts/tocsin/store/postgres/pgtest.(*Cluster).Restart.func1")
	if err := goleak.Find(cluster); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// TestScripts runs every scenario in testdata: the command line as a process of its own
// against the real API on a store of its own. Scripts have these commands besides
// testscript's:
//
//	server [keys]     start the API; with keys it asks for them
//	shutdown          stop the API, so that commands can open the store
//	exits CODE cmd…   run a command and want that exit code
//	deliver NAME      make one pass of the Deliver activity for a webhook
//	replayed STATE    wait for a replay that runs, and end it in that state
//	miscount          put one event too many into the ledger of the stopped store
//	env-file VAR FILE set a variable to what a file holds
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			text := tocsin.GenerateKey("test")
			env.Setenv("TOCSIN_SECRET_KEY", text)
			ring, err := tocsin.ParseKeyRing(text)
			env.Values[systemKey] = &system{ring: ring, path: filepath.Join(env.WorkDir, "tocsin.db")}
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(ts.Value(systemKey).(*system).start(ts, len(args) == 1 && args[0] == "keys"))
			},
			// Not "stop": that is testscript's own, and ends a script as passed.
			"shutdown": func(ts *testscript.TestScript, _ bool, _ []string) { ts.Value(systemKey).(*system).stop() },
			"deliver": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(ts.Value(systemKey).(*system).deliver(args[0]))
			},
			"replayed": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(ts.Value(systemKey).(*system).replayed(tocsin.ReplayState(args[0])))
			},
			"miscount": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Check(miscount(ts.Value(systemKey).(*system).path))
			},
			"env-file": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
			},
			"exits": exits,
		},
	})
}

// TestScriptsOnPostgres runs the scenarios in testdata/postgres, on a fresh database
// that nobody has migrated.
func TestScriptsOnPostgres(t *testing.T) {
	url := pgtest.URL(t)
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "postgres"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
			env.Setenv("TOCSIN_DATABASE_URL", url)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

type key string

const systemKey key = "system"

// exits runs a command and compares its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE command [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// system is the server side of one script.
type system struct {
	ring  *tocsin.KeyRing
	path  string // of the SQLite file
	store tocsin.Store
	hooks *webhooks.Service
	stops []func()
}

// start serves the API on the script's SQLite file, which commands that open the store
// themselves find in TOCSIN_DATABASE_URL; RECEIVER is where deliveries can go.
func (s *system) start(ts *testscript.TestScript, keys bool) error {
	ts.Defer(s.stop)
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
	ts.Setenv("TOCSIN_API_URL", s.listen(handler))
	ts.Setenv("RECEIVER", s.listen(http.HandlerFunc(receive)))
	ts.Setenv("TOCSIN_DATABASE_URL", "sqlite:"+s.path)
	return nil
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
	in, err := ingest.New(ingest.Config{Store: s.store, Conductor: deaf{}, Channels: channels})
	if err != nil {
		return nil, err
	}
	s.stops = append(s.stops, in.Close)
	s.hooks, err = webhooks.New(webhooks.Config{
		Store: s.store, Conductor: deaf{}, KeyRing: s.ring, Channels: channels,
		CheckFilter: func(expr string) error { _, err := ingest.CompileFilter(expr); return err },
		Matches:     in.Matches,
	})
	if err != nil {
		return nil, err
	}
	return api.New(api.Config{Store: s.store, Ingest: in, Webhooks: s.hooks, Open: !keys})
}

// deliver runs the real activity once, as a worker would.
func (s *system) deliver(name string) error {
	w, err := s.hooks.Get(context.Background(), name)
	if err != nil {
		return err
	}
	acts := &activities.Activities{
		Store: s.store, Conductor: deaf{}, Sender: s.hooks.Sender, Linger: -1,
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
func (s *system) replayed(state tocsin.ReplayState) error {
	ctx := context.Background()
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
