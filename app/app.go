// Package app wires a Tocsin process: the store, Temporal, the HTTP API and the
// worker, as its roles ask for. A process is an object: New checks its configuration,
// Start opens and listens, Stop undoes that in reverse, and Addr says where it listens.
//
// Temporal may be away at any time: the API starts and answers all the same, and a
// worker waits for it.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.temporal.io/sdk/client"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// App is one Tocsin process. Start it once.
type App struct {
	cfg      Config
	ring     *tocsin.KeyRing
	log      *slog.Logger
	registry *prometheus.Registry
	named    *prometheus.Registry // metrics that name webhooks
	traces   *sdktrace.TracerProvider

	store     tocsin.Store
	temporal  client.Client
	namespace string // of Temporal
	addr      string
	metrics   string
	working   atomic.Bool // a worker polls Temporal
	failed    chan error
	cleanups  []cleanup // run last in, first out
	ballast   []byte    // see ballastBytes
}

type cleanup struct {
	what string
	do   func(context.Context) error
}

// New checks the configuration and opens nothing. Errors are *tocsin.Error with
// CodeInvalid and say how to set what is missing.
func New(cfg Config) (*App, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	ring, err := tocsin.ParseKeyRing(cfg.SecretKey.Reveal())
	if err != nil {
		return nil, tocsin.Errorf(tocsin.CodeInvalid, "TOCSIN_SECRET_KEY: %w; make one with `tocsin keys ring`", err)
	}
	a := &App{cfg: cfg, ring: ring, log: cfg.Logger, registry: prometheus.NewRegistry(), named: prometheus.NewRegistry(), failed: make(chan error, 1), ballast: make([]byte, ballastBytes)}
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewBuildInfoCollector())
	return a, nil
}

// Start opens the store, listens, and begins to work. ctx bounds the start alone. After
// an error everything that was opened is closed again.
func (a *App) Start(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Stop(context.WithoutCancel(ctx)))
		}
	}()
	if err := a.openTracing(ctx); err != nil {
		return err
	}
	if err := a.openStore(ctx); err != nil {
		return err
	}
	if err := a.registerOwn(); err != nil {
		return err
	}
	if err := a.openTemporal(); err != nil {
		return err
	}
	parts, err := a.assemble()
	if err != nil {
		return err
	}
	if a.cfg.Roles&Work != 0 {
		if err := a.startWorker(parts); err != nil {
			return err
		}
	}
	if a.cfg.Roles&Serve != 0 {
		if err := a.startAPI(parts); err != nil {
			return err
		}
	}
	if err := a.startMetrics(); err != nil {
		return err
	}
	a.startSchedules()
	return nil
}

// Stop undoes Start in reverse: it stops listening and answers what is under way, lets
// deliveries finish, then closes Temporal's client and the store. ctx bounds it. Errors
// are joined; what could not be stopped in time is named.
func (a *App) Stop(ctx context.Context) error {
	var errs []error
	for len(a.cleanups) > 0 {
		last := a.cleanups[len(a.cleanups)-1]
		a.cleanups = a.cleanups[:len(a.cleanups)-1]
		if err := bounded(ctx, last.do); err != nil {
			errs = append(errs, fmt.Errorf("stopping %s: %w", last.what, err))
		}
	}
	return errors.Join(errs...)
}

// bounded runs do, and leaves it behind when ctx ends first: what hangs must not keep
// the rest from being closed.
func bounded(ctx context.Context, do func(context.Context) error) error {
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select { // it may have noticed ctx too, and have something better to say
	case err := <-done:
		return err
	case <-time.After(time.Second):
		return ctx.Err()
	}
}

func (a *App) cleanup(what string, do func(context.Context) error) {
	a.cleanups = append(a.cleanups, cleanup{what, do})
}

// background runs do until it returns or Stop cancels it; Stop waits for it.
func (a *App) background(what string, do func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(ctx)
	}()
	a.cleanup(what, func(context.Context) error {
		cancel()
		<-done
		return nil
	})
}

// Addr is where the API listens ("127.0.0.1:8080"), after Start; "" without Serve.
func (a *App) Addr() string { return a.addr }

// MetricsAddr is where metrics and health are served, after Start; "" for nowhere.
func (a *App) MetricsAddr() string { return a.metrics }

// Failed gets an error when a part of a started app ends by itself; the app should be
// stopped then.
func (a *App) Failed() <-chan error { return a.failed }

// Run starts an app, waits until ctx ends or a part fails, and stops it.
func Run(ctx context.Context, cfg Config) error {
	a, err := New(cfg)
	if err != nil {
		return err
	}
	if err := a.Start(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		a.log.Info("stopping")
	case err = <-a.failed:
	}
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.cfg.StopTimeout)
	defer cancel()
	return errors.Join(err, a.Stop(bound))
}
