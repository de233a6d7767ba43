package devtest

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/tocsin-alerts/tocsin/devserver/dev"
)

// DevOptions configure a tocsin-dev. The zero value has a fresh data directory.
type DevOptions struct {
	DataDir string   // "" is a temporary one
	Args    []string // further flags, such as -demo
	Env     []string
}

// DevProcess is a tocsin-dev that runs.
type DevProcess struct {
	*Process
	Client
	DataDir      string
	TemporalAddr string
	UIAddr       string

	api     string
	options DevOptions
}

// StartDev starts tocsin-dev on free ports and waits until it is ready.
func StartDev(t testing.TB, o DevOptions) *DevProcess {
	t.Helper()
	if o.DataDir == "" {
		o.DataDir = t.TempDir()
	}
	d := &DevProcess{DataDir: o.DataDir, TemporalAddr: FreeAddr(t), UIAddr: FreeAddr(t), api: FreeAddr(t), options: o}
	d.Client = Client{t: t, URL: "http://" + d.api}
	d.start(t)
	return d
}

func (d *DevProcess) start(t testing.TB) {
	t.Helper()
	args := append([]string{"-data-dir", d.DataDir, "-api-addr", d.api, "-temporal-addr", d.TemporalAddr, "-ui-addr", d.UIAddr}, d.options.Args...)
	d.Process = Start(t, Dev(t), args, d.options.Env)
	d.MustPrint(dev.Ready)
}

// Restart starts it again on the same data and ports, after Kill9 or Stop.
func (d *DevProcess) Restart() {
	d.Process.t.Helper()
	<-d.done
	d.start(d.Process.t)
}

// Server is a `tocsin serve` that runs.
type Server struct {
	*Process
	Client
}

// StartServe starts `tocsin serve` on a free port with these variables and waits until
// it is ready. key is sent with the client's requests; "" is none.
func StartServe(t testing.TB, key string, env ...string) *Server {
	t.Helper()
	addr := FreeAddr(t)
	s := &Server{Process: Start(t, Tocsin(t), []string{"serve", "--listen", addr}, env)}
	s.Client = Client{t: t, URL: "http://" + addr, Key: key}
	s.MustBeReady("http://" + addr)
	return s
}

// WorkerProcess is a tocsin-worker that runs.
type WorkerProcess struct {
	*Process
	// MetricsURL has /metrics, /-/healthy and /-/ready.
	MetricsURL string
}

// StartWorker starts tocsin-worker with these variables and waits until Temporal gives
// it tasks.
func StartWorker(t testing.TB, env ...string) *WorkerProcess {
	t.Helper()
	addr := FreeAddr(t)
	w := &WorkerProcess{Process: Start(t, Worker(t), []string{"-metrics-listen", addr}, env), MetricsURL: "http://" + addr}
	w.MustBeReady(w.MetricsURL)
	return w
}

// MustBeReady waits until url + "/-/ready" answers 200.
func (p *Process) MustBeReady(url string) {
	p.t.Helper()
	p.until(p.name+" to be ready", func() error {
		resp, err := http.Get(url + "/-/ready")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("it answers %s", resp.Status)
		}
		return nil
	})
}
