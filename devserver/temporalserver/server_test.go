package temporalserver_test

import (
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/tocsin-alerts/tocsin/devserver/internal/filelock"
	"github.com/tocsin-alerts/tocsin/devserver/temporalserver"
)

var attributes = map[string]enumspb.IndexedValueType{
	"TocsinWebhook":  enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	"TocsinFailures": enumspb.INDEXED_VALUE_TYPE_INT,
}

func mustStart(t *testing.T, o temporalserver.Options) *temporalserver.Server {
	t.Helper()
	o.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	s, err := temporalserver.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func mustDial(t *testing.T, s *temporalserver.Server) client.Client {
	t.Helper()
	c, err := client.DialContext(t.Context(), client.Options{HostPort: s.Addr(), Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// echo returns what it is signalled.
func echo(ctx workflow.Context) (said string, err error) {
	workflow.GetSignalChannel(ctx, "say").Receive(ctx, &said)
	return said, nil
}

// A workflow started before a restart is there after it, takes its signal and ends.
func TestRestartKeepsWorkflows(t *testing.T) {
	o := temporalserver.Options{DBFile: filepath.Join(t.TempDir(), "new", "temporal.db"), SearchAttributes: attributes}
	first := mustStart(t, o)
	before := mustDial(t, first)
	run, err := before.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "kept", TaskQueue: "q"}, echo)
	if err != nil {
		t.Fatal(err)
	}
	if err := before.SignalWorkflow(t.Context(), "kept", "", "say", "hello"); err != nil {
		t.Fatal(err)
	}
	before.Close()
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}

	// What a later release adds is registered in the namespace that exists.
	o.SearchAttributes = map[string]enumspb.IndexedValueType{
		"TocsinWebhook": enumspb.INDEXED_VALUE_TYPE_KEYWORD, "TocsinLastDelivery": enumspb.INDEXED_VALUE_TYPE_DATETIME,
	}
	second := mustStart(t, o)
	after := mustDial(t, second)
	w := worker.New(after, "q", worker.Options{})
	w.RegisterWorkflow(echo)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	var said string
	if err := after.GetWorkflow(t.Context(), "kept", run.GetRunID()).Get(t.Context(), &said); err != nil {
		t.Fatal(err)
	}
	if said != "hello" {
		t.Errorf("the workflow said %q", said)
	}
	have, err := after.OperatorService().ListSearchAttributes(t.Context(), &operatorservice.ListSearchAttributesRequest{Namespace: "default"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"TocsinWebhook", "TocsinFailures", "TocsinLastDelivery"} {
		if _, ok := have.CustomAttributes[name]; !ok {
			t.Errorf("search attribute %s is not registered", name)
		}
	}
}

func TestNamespaceAndUI(t *testing.T) {
	s := mustStart(t, temporalserver.Options{UIAddr: "127.0.0.1:0", Namespace: "default"})
	resp, err := http.Get("http://" + s.UIAddr() + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the web UI answers %s", resp.Status)
	}
	ns, err := mustDial(t, s).WorkflowService().DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: "default"})
	if err != nil {
		t.Fatal(err)
	}
	if got := ns.Config.WorkflowExecutionRetentionTtl.AsDuration(); got != temporalserver.MinRetention {
		t.Errorf("retention is %v", got)
	}
}

func TestMetrics(t *testing.T) {
	s := mustStart(t, temporalserver.Options{MetricsAddr: "127.0.0.1:0"})
	resp, err := http.Get("http://" + s.MetricsAddr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	// What the benchmark reads.
	for _, name := range []string{"action_total", "history_count_ratio_sum", "persistence_requests_total"} {
		if !strings.Contains(string(text), "\n"+name+"{") {
			t.Errorf("the metrics lack %s", name)
		}
	}
	if addr := mustStart(t, temporalserver.Options{}).MetricsAddr(); addr != "" {
		t.Errorf("metrics are at %s though nobody asked for them", addr)
	}
}

func TestOneProcessPerDatabase(t *testing.T) {
	o := temporalserver.Options{DBFile: filepath.Join(t.TempDir(), "temporal.db")}
	mustStart(t, o)
	_, err := temporalserver.Start(o)
	var held *filelock.HeldError
	if !errors.As(err, &held) {
		t.Fatalf("the second start says %v", err)
	}
	if held.PID == "" || !strings.Contains(err.Error(), o.DBFile) {
		t.Errorf("the error does not say who and what: %v", err)
	}
}

func TestOtherVersionIsRefused(t *testing.T) {
	o := temporalserver.Options{DBFile: filepath.Join(t.TempDir(), "temporal.db")}
	if err := mustStart(t, o).Stop(); err != nil {
		t.Fatal(err)
	}
	exec(t, o.DBFile, `UPDATE tocsin_stamp SET server_version = '1.0.0'`)
	_, err := temporalserver.Start(o)
	var version *temporalserver.VersionError
	if !errors.As(err, &version) || version.Made != "1.0.0" || version.Runs == "" {
		t.Fatalf("starting on another version's database says %v", err)
	}
	// The refusal lets go of the lock: what was wrong can be put right.
	exec(t, o.DBFile, `UPDATE tocsin_stamp SET server_version = '`+version.Runs+`'`)
	mustStart(t, o)
}

func TestForeignDatabaseIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "photos.db")
	exec(t, file, `CREATE TABLE photos (id INT)`)
	if _, err := temporalserver.Start(temporalserver.Options{DBFile: file}); err == nil || !strings.Contains(err.Error(), "did not make") {
		t.Errorf("starting on a foreign database says %v", err)
	}
}

func TestBadOptions(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, test := range map[string]struct {
		o    temporalserver.Options
		want string
	}{
		"port taken":     {temporalserver.Options{FrontendAddr: l.Addr().String()}, "in use"},
		"UI port taken":  {temporalserver.Options{UIAddr: l.Addr().String()}, "in use"},
		"no host":        {temporalserver.Options{FrontendAddr: ":7233"}, "names no host"},
		"no port":        {temporalserver.Options{FrontendAddr: "localhost"}, "want host:port"},
		"retention":      {temporalserver.Options{Retention: 1}, "too short"},
		"path with mark": {temporalserver.Options{DBFile: filepath.Join(t.TempDir(), "a?b.db")}, "misread"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := temporalserver.Start(test.o)
			if err == nil {
				s.Stop()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func exec(t *testing.T, file, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}
