package e2e_test

import (
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin/devserver/devtest"
	"github.com/tocsin-alerts/tocsin/devserver/temporalserver"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
)

// awayFor is how long an outage lasts at least.
const awayFor = 4 * time.Second

// rig is a production of one serve and one worker on a PostgreSQL of its own, with a
// webhook, and producers at work. Nobody restarts a process of Tocsin's.
type rig struct {
	*production
	cluster  *pgtest.Cluster
	temporal *temporalserver.Server
	options  temporalserver.Options
	serve    *devtest.Server
	worker   *devtest.WorkerProcess
	receiver *devtest.Receiver
	load     *load
}

func newRig(t *testing.T, cluster *pgtest.Cluster) *rig {
	t.Helper()
	r := &rig{cluster: cluster, receiver: devtest.NewReceiver(t)}
	r.options = temporalserver.Options{DBFile: filepath.Join(t.TempDir(), "temporal.db"), FrontendAddr: devtest.FreeAddr(t)}
	r.temporal = startTemporal(t, r.options)
	r.production = productionOn(t, r.cluster.Database(t), r.temporal.Addr())
	r.serve, r.worker = devtest.StartServe(t, r.key, r.env...), devtest.StartWorker(t, r.env...)
	r.env = append(r.env, "TOCSIN_API_URL="+r.serve.URL)
	r.serve.MustCreate(map[string]any{
		"name": "steady", "channel": "webhook", "frequency": "instant", "batch_size": 10,
		"config": map[string]any{"url": r.receiver.URL("steady")},
	})
	r.load = startLoad(t, r.serve.Client, 4, 10)
	r.load.mustGrow(200)
	r.receiver.MustCount(5)
	return r
}

func startTemporal(t *testing.T, o temporalserver.Options) *temporalserver.Server {
	t.Helper()
	server, err := temporalserver.Start(o)
	if err != nil {
		t.Fatalf("starting Temporal: %v", err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	return server
}

// mustRecover ends the load and checks that nothing was lost, doubled or half-written.
func (r *rig) mustRecover() {
	r.t.Helper()
	r.serve.MustBeReady(r.serve.URL)
	r.load.mustGrow(200)
	ids := r.load.end()
	r.receiver.MustGet(ids...)
	r.receiver.MustKeepIDs()
	// Every producer sent its batch until it was acknowledged, so what is stored is
	// exactly what was acknowledged; more would be half of a batch or a stranger.
	if b := r.serve.MustSettle("steady"); b.Accepted != int64(len(ids)) || b.Delivered != b.Accepted {
		r.t.Errorf("the ledger says %+v, want %d accepted and delivered", b, len(ids))
	}
	r.tocsin("ledger", "--verify")
	twice := 0
	for _, n := range r.receiver.Delivered() {
		if n > 1 {
			twice++
		}
	}
	r.t.Logf("%d events acknowledged, lost 0, delivered twice under the same webhook-id %d; %d requests refused, the slowest answer took %s",
		len(ids), twice, r.load.refused, r.load.slowest.Round(time.Millisecond))
}

// PostgreSQL goes away under load, by an immediate and by a fast shutdown, while a
// delivery is at its receiver: requests are refused cleanly, the processes live on, and
// everything goes on by itself when it is back.
func TestPostgresAway(t *testing.T) {
	for name, stop := range map[string]func(*pgtest.Cluster) error{
		"immediate": (*pgtest.Cluster).StopImmediate, "fast": (*pgtest.Cluster).Stop,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, pgtest.Start(t, pgtest.Options{NoFsync: true}))
			held := r.hold()
			if err := stop(r.cluster); err != nil {
				t.Fatal(err)
			}
			gone := time.Now()
			r.receiver.Release() // the outcome of what was held cannot be recorded now
			r.load.mustRefuseMore(20)
			mustBeDown(t, r.serve.Client)
			r.mustRefuseReads()
			devtest.Until(t, "the outage to have lasted", since(gone, awayFor))
			if err := r.cluster.Restart(); err != nil {
				t.Fatal(err)
			}
			r.mustRecover()
			if n := r.receiver.Delivered()[held]; n == 0 {
				t.Errorf("event %s, which was at the receiver when the database went, was not delivered", held)
			}
		})
	}
}

// hold has a delivery wait at its receiver, and returns one of its events.
func (r *rig) hold() string {
	r.t.Helper()
	r.receiver.Hold()
	before := len(r.receiver.All())
	all := r.receiver.MustCount(before + 1)
	return all[len(all)-1].Events[0]
}

// mustRefuseReads checks what needs the store and only reads.
func (r *rig) mustRefuseReads() {
	r.t.Helper()
	for _, path := range []string{"/v1/webhooks", "/v1/webhooks/steady", "/v1/ledger", "/v1/events", "/v1/deliveries"} {
		got, err := request(http.MethodGet, r.serve.Client, path, nil)
		if err != nil {
			r.t.Errorf("GET %s: %v", path, err)
			continue
		}
		got.mustRefuse(r.t)
	}
}

// since is a condition: that a moment is so long past.
func since(begin time.Time, d time.Duration) func() error {
	return func() error {
		if time.Since(begin) < d {
			return errNotYet
		}
		return nil
	}
}

// PostgreSQL hangs, with every connection open: nothing waits for it for longer than a
// producer would, and all goes on by itself.
func TestPostgresFrozen(t *testing.T) {
	r := newRig(t, pgtest.Start(t, pgtest.Options{NoFsync: true}))
	r.hold()
	thaw, err := r.cluster.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	defer thaw()
	r.receiver.Release()
	r.load.mustRefuseMore(4) // every producer's
	mustBeDown(t, r.serve.Client)
	r.mustRefuseReads()
	thaw()
	r.mustRecover()
}

// Temporal goes away under load: events are still acknowledged, and delivered once it is
// back.
func TestTemporalAway(t *testing.T) {
	r := newRig(t, pgtest.Start(t, pgtest.Options{NoFsync: true}))
	if err := r.temporal.Stop(); err != nil {
		t.Fatal(err)
	}
	r.load.mustGrow(400)
	if _, refused := r.load.counts(); refused > 0 {
		t.Errorf("%d requests were refused because Temporal is away", refused)
	}
	r.serve.MustBeReady(r.serve.URL)
	startTemporal(t, r.options)
	r.mustRecover()
}
