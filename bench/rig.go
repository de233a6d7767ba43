package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
)

// The stores that a rig may have.
const (
	postgresStore = "postgres"
	sqliteStore   = "sqlite"
)

// bench is what all parts share.
type bench struct {
	options
	dir     string          // for data, removed at the end
	cluster *pgtest.Cluster // nil until needed, and with -database-url
	store   string          // of the part that runs
}

// rigOptions say what a part needs. The zero value is one of each process, and one path
// of the receiver.
type rigOptions struct {
	paths   int // of the receiver
	workers int
	env     []string // further settings of serve and workers, before those of -env
}

// rig is a whole system under test.
type rig struct {
	*bench
	receiver *receiver
	send     *generator
	api      *api
	url      string // of the API
	key      string

	databaseURL         string // "" with SQLite
	dataDir             string
	temporal, ui        string // addresses
	temporalMetrics     string
	processes           []*process
	env                 []string
	cleanups            []func() error // run last in, first out
	server, serve, work *process       // of those: Temporal, serve, the first worker
}

// newRig starts a system on a fresh store.
func (b *bench) newRig(ctx context.Context, o rigOptions) (r *rig, err error) {
	r = &rig{bench: b}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if r.receiver, err = newReceiver(max(1, o.paths)); err != nil {
		return r, err
	}
	r.cleanup(func() error { r.receiver.close(); return nil })
	r.receiver.delay.Store(int64(b.delay))
	if b.failing > 0 {
		r.receiver.every.Store(uint64(1 / b.failing))
	}
	if r.dataDir, err = os.MkdirTemp(b.dir, "rig-"); err != nil {
		return r, fmt.Errorf("making a folder: %w", err)
	}
	r.cleanup(func() error { return os.RemoveAll(r.dataDir) })
	if b.store == sqliteStore {
		err = r.startDev(ctx)
	} else {
		err = r.startProduction(ctx, o)
	}
	if err != nil {
		return r, err
	}
	r.api = newAPI(r.url, r.key)
	r.cleanup(func() error { r.api.close(); return nil })
	r.send, err = newGenerator(r.url+"/v1/events", r.key, max(b.connections, b.batched))
	if err == nil {
		r.cleanup(func() error { r.send.close(); return nil })
	}
	return r, err
}

func (r *rig) cleanup(do func() error) { r.cleanups = append(r.cleanups, do) }

// close stops everything and removes its data.
func (r *rig) close() error {
	var errs []error
	for len(r.cleanups) > 0 {
		last := r.cleanups[len(r.cleanups)-1]
		r.cleanups = r.cleanups[:len(r.cleanups)-1]
		errs = append(errs, last())
	}
	return errors.Join(errs...)
}

// launch starts a process that ends with the rig.
func (r *rig) launch(name, program string, args, env []string) (*process, error) {
	p, err := start(name, filepath.Join(r.bin, program), args, env)
	if err != nil {
		return nil, err
	}
	r.cleanup(func() error { p.stop(); return nil })
	r.processes = append(r.processes, p)
	return p, nil
}

// addresses fills in free ones.
func addresses(all ...*string) (err error) {
	for _, a := range all {
		if *a, err = freeAddress(); err != nil {
			return err
		}
	}
	return nil
}

// startTemporal starts tocsin-dev: all of it, or Temporal alone.
func (r *rig) startTemporal(ctx context.Context, name string, args ...string) (err error) {
	if err := addresses(&r.temporal, &r.ui, &r.temporalMetrics); err != nil {
		return err
	}
	args = append(args, "-data-dir", filepath.Join(r.dataDir, "tocsin-dev"), "-temporal-addr", r.temporal, "-ui-addr", r.ui, "-temporal-metrics-addr", r.temporalMetrics)
	if r.server, err = r.launch(name, "tocsin-dev", args, nil); err != nil {
		return err
	}
	return r.server.printed(ctx, "Tocsin is ready")
}

func (r *rig) startDev(ctx context.Context) error {
	var listen string
	if err := addresses(&listen); err != nil {
		return err
	}
	r.url = "http://" + listen
	return r.startTemporal(ctx, "tocsin-dev", "-api-addr", listen)
}

func (r *rig) startProduction(ctx context.Context, o rigOptions) error {
	if err := r.createDatabase(); err != nil {
		return err
	}
	if err := r.startTemporal(ctx, "temporal", "-temporal-only"); err != nil {
		return err
	}
	r.env = slices.Concat([]string{"TOCSIN_DATABASE_URL=" + r.databaseURL, "TOCSIN_SECRET_KEY=" + tocsin.GenerateKey("bench"),
		"TOCSIN_EGRESS_ALLOW=127.0.0.0/8", "TEMPORAL_ADDRESS=" + r.temporal, "TOCSIN_LOG_LEVEL=warn"}, o.env, r.options.env)
	if err := r.prepare(ctx); err != nil {
		return err
	}
	if err := r.startServe(ctx); err != nil {
		return err
	}
	for range max(1, o.workers) {
		if err := r.startWorker(ctx); err != nil {
			return err
		}
	}
	return nil
}

// createDatabase makes one on the server of -database-url, or on a cluster of our own.
func (r *rig) createDatabase() (err error) {
	admin, err := r.postgresURL()
	if err != nil {
		return err
	}
	var drop func() error
	if r.databaseURL, drop, err = pgtest.Create(admin); err == nil {
		r.cleanup(drop)
	}
	return err
}

// prepare migrates and makes a key.
func (r *rig) prepare(ctx context.Context) error {
	if _, err := r.tocsin(ctx, "migrate"); err != nil {
		return err
	}
	text, err := r.tocsin(ctx, "keys", "create", "bench", "--scopes", "admin", "-o", "json")
	if err != nil {
		return err
	}
	var key struct{ Key string }
	if err := json.Unmarshal([]byte(text), &key); err != nil || key.Key == "" {
		return fmt.Errorf("creating a key: got %q", text)
	}
	r.key = key.Key
	return nil
}

// tocsin runs the command line and returns what it printed.
func (r *rig) tocsin(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(r.bin, "tocsin"), args...) // #nosec G204 -- the folder that -bin names
	cmd.Env = append(append(os.Environ(), r.env...), "TOCSIN_API_URL="+r.url, "TOCSIN_API_KEY="+r.key)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("running tocsin %s: %w\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out), nil
}

func (r *rig) startServe(ctx context.Context) (err error) {
	var listen string
	if err := addresses(&listen); err != nil {
		return err
	}
	r.url = "http://" + listen
	if r.serve, err = r.launch("serve", "tocsin", []string{"serve", "--listen", listen}, r.env); err != nil {
		return err
	}
	return r.serve.ready(ctx, r.url)
}

func (r *rig) startWorker(ctx context.Context) error {
	var listen string
	if err := addresses(&listen); err != nil {
		return err
	}
	name := "worker"
	if r.work != nil {
		name = fmt.Sprintf("worker %d", len(r.processes)-1)
	}
	p, err := r.launch(name, "tocsin-worker", []string{"-metrics-listen", listen}, r.env)
	if err != nil {
		return err
	}
	if r.work == nil {
		r.work = p
	}
	return p.ready(ctx, "http://"+listen)
}

// postgresURL is the URL of the PostgreSQL server.
func (b *bench) postgresURL() (string, error) {
	if b.databaseURL != "" {
		return b.databaseURL, nil
	}
	if b.cluster == nil {
		var err error
		if b.cluster, err = pgtest.New(pgtest.Options{}); err != nil {
			return "", fmt.Errorf("starting PostgreSQL: %w", err)
		}
	}
	return b.cluster.URL(), nil
}
