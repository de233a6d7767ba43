package chaos_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/devserver/devtest"
	"github.com/tocsin-alerts/tocsin/store/postgres"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/workflows"
)

// crossing is a place where a process dies by itself, as by kill -9, with events on both
// sides of it.
type crossing struct {
	point string // of package failpoint
	at    int    // the time it comes by that it dies at
	// asleep lets the webhook fall asleep before the first event.
	asleep bool
	// alone submits nothing more once the process is dead, so that no later event rings for
	// what it left behind.
	alone bool
	// pauses stops the load before the place is reached, which only idle webhooks do.
	pauses bool
	// want checks what is particular to the place, once everything has arrived.
	want func(t *testing.T, seen *tally)
}

// crossings are the places of events' way through serve and worker. The others have
// tests of their own.
func crossings() []crossing {
	return []crossing{
		{point: "ingest.matched", at: 1, asleep: true, alone: true, want: storedOnce},
		{point: "ingest.committed", at: 1, asleep: true, alone: true, want: knownAlready},
		{point: "ingest.marked", at: 1, asleep: true, alone: true},
		{point: "ingest.signalled", at: 1, asleep: true, alone: true},
		{point: "deliver.begun", at: 2, asleep: true, want: sentOnce},
		{point: "deliver.planned", at: 2, want: sentOnce},
		{point: "deliver.claimed", at: 7, want: sentOnce},
		{point: "deliver.sent", at: 7, want: sentTwice},
		{point: "deliver.recorded", at: 7, want: sentOnce},
		{point: "deliver.rested", at: 1, pauses: true, want: sentOnce},
	}
}

// storedOnce: before the commit nothing is stored. The client got no answer, sends the
// same again, and it is new.
func storedOnce(t *testing.T, seen *tally) {
	if seen.retried == 0 || seen.resubmitted != 0 {
		t.Errorf("%d requests were repeated and %d events known already; want some, and none", seen.retried, seen.resubmitted)
	}
}

// knownAlready: after the commit everything is stored. The client got no answer, sends
// the same again, and it is known.
func knownAlready(t *testing.T, seen *tally) {
	if seen.retried == 0 || seen.resubmitted == 0 {
		t.Errorf("%d requests were repeated and %d events known already; want some of both", seen.retried, seen.resubmitted)
	}
}

// sentOnce: nothing was under way to the receiver.
func sentOnce(t *testing.T, seen *tally) {
	if _, _, again, _, _ := seen.counts(); again != 0 {
		t.Errorf("%d events were delivered again, want none", again)
	}
}

// sentTwice: what was sent and not recorded is sent again, under the same webhook-id, as
// every tally demands.
func sentTwice(t *testing.T, seen *tally) {
	if _, _, again, _, _ := seen.counts(); again == 0 {
		t.Error("no event was delivered again; the delivery that was under way must be")
	}
}

// A process that dies between two steps, at each such place in turn, loses nothing.
func TestFailpoints(t *testing.T) {
	for _, c := range crossings() {
		t.Run(c.point, func(t *testing.T) {
			t.Parallel()
			s := newSmall(t)
			armed := s.arm(c.point, c.at)
			s.serve.start()
			s.worker.start()
			u := newUnder(t, []webhookSpec{{name: "only", batch: 5, concurrency: 1}}, 1, devtest.NewClient(t, s.serve.url, s.key))
			u.recount = s.recount
			if c.asleep {
				s.mustSleep(u.webhooks[0])
			}
			u.load.resume()
			if c.pauses {
				u.ackMore(20)
				u.load.pause(t)
			}
			armed.MustDie()
			if c.alone {
				u.load.hold()
			} else { // serve goes on meanwhile
				u.load.resume()
				u.ackMore(50)
			}
			armed.env = s.env
			armed.start()
			u.load.pause(t)
			u.drain()
			u.check()
			if c.want != nil {
				c.want(t, u.tally)
			}
		})
	}
}

// small is a serve and a worker that may die at failpoints, not started yet.
type small struct {
	t             *testing.T
	temporal      client.Client
	env           []string
	key           string
	serve, worker *process
	store         *postgres.DB
}

// recount compares the ledger's counters with its rows.
func (s *small) recount() error { return recount(s.t, s.store) }

func newSmall(t *testing.T) *small {
	t.Helper()
	if *rounds == 0 {
		t.Skip("make chaos runs this")
	}
	server, addr := newTemporal(t, "")
	server.start()
	var err error
	s := &small{t: t, env: []string{
		"TOCSIN_DATABASE_URL=" + pgtest.URL(t), "TOCSIN_SECRET_KEY=" + tocsin.GenerateKey("test"),
		"TOCSIN_EGRESS_ALLOW=127.0.0.0/8", "TEMPORAL_ADDRESS=" + addr,
	}}
	if s.temporal, err = client.Dial(client.Options{HostPort: addr}); err != nil {
		t.Fatalf("dialling Temporal: %v", err)
	}
	t.Cleanup(s.temporal.Close)
	programs := devtest.Failpoints(t)
	s.key = setUp(t, programs.Tocsin, s.env)
	s.serve, s.worker = newServe(t, programs.Tocsin, s.env), newWorker(t, programs.Worker, s.env)
	s.store = openStore(t, s.env)
	return s
}

// arm lets the process that comes by a place die there, and returns it.
func (s *small) arm(point string, at int) *process {
	armed := s.worker
	if strings.HasPrefix(point, "ingest.") {
		armed = s.serve
	}
	armed.env = append(slices.Clone(s.env), fmt.Sprintf("TOCSIN_FAILPOINT=%s:%d", point, at))
	return armed
}

// mustSleep waits until a webhook's workflow does nothing but wait for the doorbell.
func (s *small) mustSleep(w tocsin.Webhook) {
	s.t.Helper()
	id := workflows.WebhookWorkflowID(w.ID)
	devtest.Until(s.t, "webhook "+w.Name+" to sleep", func() error {
		answer, err := s.temporal.QueryWorkflow(s.t.Context(), id, "", workflows.QueryStatus)
		if err != nil {
			return err
		}
		var status workflows.Status
		if err := answer.Get(&status); err != nil {
			return err
		}
		if status.Webhook == "" {
			return errors.New("it has not looked yet")
		}
		info, err := s.temporal.DescribeWorkflowExecution(s.t.Context(), id, "")
		if err != nil {
			return err
		}
		if n := len(info.GetPendingActivities()); n > 0 {
			return fmt.Errorf("%d activities are under way", n)
		}
		return nil
	})
}
