package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"path"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tocsin-alerts/tocsin/api"
)

// Bounds of a connection. Reading allows 10 MiB over a slow line; writing allows that
// and a test delivery to a slow receiver.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 60 * time.Second
	writeTimeout      = 120 * time.Second
	idleTimeout       = 120 * time.Second
	maxHeaderBytes    = 64 << 10
)

func (a *App) startAPI(p parts) error {
	a.background("reading the configuration", func(ctx context.Context) {
		// Should it fail, the first event reads it.
		if err := p.ingest.Warm(ctx); err != nil && ctx.Err() == nil {
			a.log.Warn("reading the configuration ahead of the first event", "error", err)
		}
	})
	handler, err := api.New(api.Config{
		Store: a.store, Ingest: p.ingest, Webhooks: p.webhooks, Catalog: p.catalog,
		Open: a.cfg.Open, Hosts: a.cfg.Hosts, Version: a.cfg.Version, Registry: a.registry, Named: a.named,
		Traces: a.tracerProvider(), Logger: a.log,
	})
	if err != nil {
		return fmt.Errorf("setting up the API: %w", err)
	}
	if handler, err = a.withConsole(handler); err != nil {
		return err
	}
	a.addr, err = a.listen("API", a.cfg.Listen, handler)
	return err
}

// beside serves handlers by their patterns and leaves everything else to rest as it is:
// one ServeMux for both would redirect paths that rest refuses with a problem document.
// So would this one, of paths that are a handler's when they are cleaned ("//").
func beside(rest http.Handler, handlers map[string]http.Handler) http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range handlers {
		mux.Handle(pattern, h)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern == "" || !canonical(r.URL.EscapedPath()) {
			rest.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// canonical reports whether ServeMux would take this path as it is.
func canonical(escaped string) bool {
	clean := path.Clean(escaped)
	return escaped == clean || (clean != "/" && escaped == clean+"/")
}

// startMetrics serves metrics and health at an address of their own, which need not be
// reachable for those who submit events.
func (a *App) startMetrics() error {
	if a.cfg.MetricsListen == "" {
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(prometheus.Gatherers{a.registry, a.named}, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "healthy") })
	mux.HandleFunc("GET /-/ready", a.ready)
	if a.cfg.Pprof {
		profiles(mux)
	}
	secured := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		api.SecurityHeaders(w.Header())
		mux.ServeHTTP(w, r)
	})
	var err error
	a.metrics, err = a.listen("metrics", a.cfg.MetricsListen, secured)
	return err
}

// profiles serves what net/http/pprof would serve to everybody, by way of the default mux,
// to those who reach the metrics alone: profiles show memory, and take time.
func profiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}

// ready says whether this process can do its work now: the store answers, and where it
// is a worker, Temporal gives it tasks.
func (a *App) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	if err := a.store.Ping(ctx); err != nil {
		a.log.Warn("not ready", "error", err)
		answer(w, http.StatusServiceUnavailable, "the store does not answer")
		return
	}
	if a.cfg.Roles&Work != 0 && !a.working.Load() {
		answer(w, http.StatusServiceUnavailable, "waiting for Temporal")
		return
	}
	answer(w, http.StatusOK, "ready")
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": text}) // the reader went away
}

// listen serves handler at address and returns where that is, for ":0".
func (a *App) listen(what, address string, handler http.Handler) (string, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return "", fmt.Errorf("listening for %s: %w", what, err)
	}
	server := newServer(handler, a.log)
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.fail(fmt.Errorf("serving %s: %w", what, err))
		}
	}()
	a.cleanup(what, server.Shutdown)
	a.log.Info("listening", "for", what, "address", listener.Addr().String())
	return listener.Addr().String(), nil
}

// newServer bounds what a client may take: a connection that drips, or reads nothing, is
// cut. What goes wrong on single connections is of interest to nobody but debuggers.
func newServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// fail reports the first failure; later ones are most likely its consequences.
func (a *App) fail(err error) {
	select {
	case a.failed <- err:
	default:
		a.log.Error("failing", "error", err)
	}
}
