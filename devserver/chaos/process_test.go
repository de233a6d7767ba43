package chaos_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin/devserver/devtest"
)

// process is a program that can be killed and started again as it was.
type process struct {
	*devtest.Process
	t         *testing.T
	path      string
	args, env []string
	url       string // has /-/ready; "" for Temporal
	ready     string // what Temporal prints
}

// start starts it and returns when it is ready.
func (p *process) start() {
	p.t.Helper()
	p.launch()
	p.await()
}

// launch starts it and does not wait.
func (p *process) launch() {
	p.t.Helper()
	p.Process = devtest.Start(p.t, p.path, p.args, p.env)
}

// await waits until it is ready.
func (p *process) await() {
	p.t.Helper()
	if p.url != "" {
		p.MustBeReady(p.url)
		return
	}
	// A Temporal server finds ports for its inner services, and ends when somebody takes
	// one before it listens there: an outgoing connection is enough. It is started again.
	devtest.Until(p.t, p.ready, func() error {
		if strings.Contains(p.Output(), p.ready) {
			return nil
		}
		if p.Ended() {
			p.t.Logf("Temporal ended before it was ready: %s", p.Output())
			p.launch()
		}
		return errors.New("it is not")
	})
}

// newTemporal is a Temporal server, not started yet, and its address. It keeps what it
// knows in a file, or in memory for "".
func newTemporal(t *testing.T, file string) (p *process, addr string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	addr = devtest.FreeAddr(t)
	return &process{t: t, path: self, args: []string{file}, env: []string{temporalEnv + "=" + addr}, ready: temporalReady}, addr
}

// newServe is a `tocsin serve`, not started yet. Its address stays the same.
func newServe(t *testing.T, tocsin string, env []string) *process {
	t.Helper()
	addr := devtest.FreeAddr(t)
	return &process{t: t, path: tocsin, args: []string{"serve", "--listen", addr, "--log-level", "warn"}, env: env, url: "http://" + addr}
}

// newWorker is a tocsin-worker, not started yet.
func newWorker(t *testing.T, worker string, env []string) *process {
	t.Helper()
	addr := devtest.FreeAddr(t)
	return &process{t: t, path: worker, args: []string{"-metrics-listen", addr, "-log-level", "warn"}, env: env, url: "http://" + addr}
}
