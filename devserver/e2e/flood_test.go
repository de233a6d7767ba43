package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/devserver/temporalserver"
	"github.com/tocsin-alerts/tocsin/ingest"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
	"github.com/tocsin-alerts/tocsin/workflows"
)

// tally is a sender that counts the events it is sent.
type tally struct {
	mu   sync.Mutex
	seen map[string]int
}

func (s *tally) Send(_ context.Context, n tocsin.Notification) (tocsin.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range n.Events {
		s.seen[e.ID]++
	}
	return tocsin.Receipt{}, nil
}

func (s *tally) Preview(context.Context, tocsin.Notification) ([]tocsin.Exchange, error) {
	return nil, nil
}

func (s *tally) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

// signallers and signalsEach make the flood: each signal carries one event, which exists
// nowhere else until an activity stored it. maxHistory makes the workflow continue as new
// many times meanwhile.
const (
	signallers  = 4
	signalsEach = 250
	maxHistory  = 40
)

// A flood of signals with events inline, while the workflow continues as new over and
// over: every event that Temporal took is stored, and delivered.
func TestContinueAsNewUnderAFloodLosesNothing(t *testing.T) {
	t.Parallel()
	server, err := temporalserver.Start(temporalserver.Options{FrontendAddr: "127.0.0.1:0", SearchAttributes: workflows.SearchAttributes()})
	if err != nil {
		t.Fatalf("starting Temporal: %v", err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	c, err := client.Dial(client.Options{HostPort: server.Addr(), Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		t.Fatalf("dialling Temporal: %v", err)
	}
	t.Cleanup(c.Close)

	store, hook := floodStore(t)
	in, err := ingest.New(ingest.Config{Store: store, Conductor: workflows.NewConductor(c, nil), Catalog: catalog.Default()})
	if err != nil {
		t.Fatalf("starting ingest: %v", err)
	}
	t.Cleanup(in.Close)
	got := &tally{seen: map[string]int{}}
	w := workflows.NewWorker(c, &activities.Activities{
		Store: store, Conductor: workflows.NewConductor(c, nil), Submit: in, Decode: ingest.Decode, Backoff: workflows.Backoff,
		Sender: func(tocsin.Webhook) (tocsin.Sender, error) { return got, nil }, Linger: -1,
	})
	if err := w.Start(); err != nil {
		t.Fatalf("starting worker: %v", err)
	}
	t.Cleanup(w.Stop)

	id := workflows.WebhookWorkflowID(hook.ID)
	if _, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: workflows.TaskQueue}, workflows.TypeWebhook, workflows.WebhookInput{ID: hook.ID, MaxHistory: maxHistory}); err != nil {
		t.Fatalf("starting workflow: %v", err)
	}
	flood(t, c, id)

	want := signallers * signalsEach
	deadline := time.Now().Add(90 * time.Second)
	for got.count() < want && time.Now().Before(deadline) {
		<-time.After(50 * time.Millisecond)
	}
	if n := got.count(); n != want {
		t.Errorf("%d of %d events were delivered", n, want)
	}
	runs := countRuns(t, c, id)
	if runs < 3 {
		t.Errorf("the workflow ran %d times: it hardly continued as new, so this showed nothing", runs)
	}
	saveRuns(t, c, id)
	counted, recounted, err := store.Recount(t.Context())
	if err != nil || len(counted) != 1 || counted[0] != recounted[0] || counted[0].Difference() != 0 || counted[0].Accepted != int64(want) {
		t.Errorf("ledger %+v, recounted %+v (%v)", counted, recounted, err)
	}
	t.Logf("%d signals over %d runs of the workflow, all %d events delivered", want, runs, want)
}

func floodStore(t *testing.T) (*sqlite.DB, tocsin.Webhook) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), t.TempDir()+"/tocsin.db", sqlite.Options{})
	if err != nil {
		t.Fatalf("opening store: %v", err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatalf("migrating: %v", err)
	}
	hook, err := db.CreateWebhook(t.Context(), tocsin.Webhook{
		ID:       tocsin.NewID(tocsin.PrefixWebhook),
		Settings: tocsin.Settings{Name: "flooded", Channel: "webhook", Frequency: tocsin.Instant, BatchSize: 20, Concurrency: 1, RunEvery: tocsin.Duration(time.Hour)},
		Config:   json.RawMessage(`{}`), Sealed: []byte("x"),
	})
	if err != nil {
		t.Fatalf("creating webhook: %v", err)
	}
	return db, hook
}

// flood sends the signals, side by side. One that Temporal refused for the moment is
// sent again: only what it took counts.
func flood(t *testing.T, c client.Client, workflowID string) {
	t.Helper()
	var wg sync.WaitGroup
	for s := range signallers {
		wg.Go(func() {
			for i := range signalsEach {
				body := fmt.Sprintf(`[{"id":"%d-%d","source":"/flood","type":"custom.flood"}]`, s, i)
				for {
					err := c.SignalWorkflow(t.Context(), workflowID, "", workflows.SignalSubmitEvents, activities.SubmitInput{Events: json.RawMessage(body)})
					if err == nil {
						break
					}
					if t.Context().Err() != nil || !strings.Contains(err.Error(), "closing") {
						t.Errorf("signalling: %v", err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// saveRuns writes the first runs' histories, which ended by continuing as new.
func saveRuns(t *testing.T, c client.Client, workflowID string) {
	t.Helper()
	res, err := c.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Query: fmt.Sprintf("WorkflowId = %q AND ExecutionStatus = 'ContinuedAsNew'", workflowID)})
	if err != nil {
		t.Fatalf("listing runs: %v", err)
	}
	for i, e := range res.GetExecutions()[:min(2, len(res.GetExecutions()))] {
		saveHistory(t, c, workflowID, e.GetExecution().GetRunId(), fmt.Sprintf("flood-%d", i))
	}
}

// countRuns counts the runs of a workflow along its chain.
func countRuns(t *testing.T, c client.Client, workflowID string) (n int) {
	t.Helper()
	var token []byte
	for {
		res, err := c.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Query: fmt.Sprintf("WorkflowId = %q", workflowID), NextPageToken: token})
		if err != nil {
			t.Fatalf("listing runs: %v", err)
		}
		n += len(res.GetExecutions())
		if token = res.GetNextPageToken(); len(token) == 0 {
			return n
		}
	}
}
