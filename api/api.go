package api

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/ingest"
	"github.com/tocsin-alerts/tocsin/webhooks"
)

// Config is what the API works with.
type Config struct {
	// Store answers what happened, and holds the keys. Required.
	Store tocsin.Store
	// Ingest takes events in. Required.
	Ingest *ingest.Ingest
	// Webhooks configures. Required.
	Webhooks *webhooks.Service
	// Catalog is served at /v1/alert-types. Nil is catalog.Default().
	Catalog *catalog.Catalog
	// Open asks for no keys. It is for a listener on loopback alone; the Host header and
	// the origin of browsers' requests are checked then.
	Open bool
	// Hosts are the Host headers allowed when Open, with a port ("localhost:8080") or
	// for any port ("localhost"). Empty allows the names of loopback on any port.
	Hosts []string
	// Version is the program's, for those who hold a key; "" is "dev".
	Version string
	// Registry takes this package's metrics and is served at /metrics. Nil makes one.
	Registry *prometheus.Registry
	// Named takes those of them that name webhooks. At /metrics they are for who holds a key
	// with the scope read. Nil makes one.
	Named *prometheus.Registry
	// Traces makes spans of requests. Nil makes none.
	Traces trace.TracerProvider
	// Logger takes what callers are not told. Nil is slog.Default().
	Logger *slog.Logger
}

type server struct {
	Config
	mux      *http.ServeMux
	keys     keyCache
	tries    tries
	refusals *refusals
	metrics  metrics
	origin   *http.CrossOriginProtection
}

// New returns the API's handler. It returns an error when something required is
// missing, or the registry holds metrics of the same names already.
func New(c Config) (http.Handler, error) {
	switch {
	case c.Store == nil:
		return nil, errors.New("making the API: no store")
	case c.Ingest == nil:
		return nil, errors.New("making the API: no ingest")
	case c.Webhooks == nil:
		return nil, errors.New("making the API: no webhooks service")
	}
	if c.Catalog == nil {
		c.Catalog = catalog.Default()
	}
	if c.Version == "" {
		c.Version = "dev"
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	if c.Named == nil {
		c.Named = prometheus.NewRegistry()
	}
	if len(c.Hosts) == 0 {
		c.Hosts = []string{"localhost", "127.0.0.1", "[::1]"}
	}
	s := &server{Config: c, mux: http.NewServeMux(), origin: http.NewCrossOriginProtection(), refusals: newRefusals(c.Store, c.Logger)}
	if err := s.metrics.register(c.Registry); err != nil {
		return nil, err
	}
	if err := s.registerStored(); err != nil {
		return nil, fmt.Errorf("registering the store's metrics: %w", err)
	}
	for _, r := range s.routes() {
		s.mux.Handle(r.method+" "+r.path, s.endpoint(r))
	}
	return s, nil
}

// ServeHTTP answers one request; unknown paths and wrong methods get problem
// documents too.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	SecurityHeaders(w.Header())
	if s.Open {
		if err := s.checkBrowser(r); err != nil {
			s.refusals.note(r.Context(), caller{actor: "anonymous", address: hostOf(r.RemoteAddr)}, "a page of another site", err)
			s.refuse(w, r, "other", err)
			return
		}
	}
	// ServeMux would redirect a path with an empty or dotted segment, which is never
	// what a caller with an unencoded source wanted.
	if unclean(r.URL.EscapedPath()) {
		s.refuse(w, r, "other", noRoute(r))
		return
	}
	handler, pattern := s.mux.Handler(r)
	if pattern != "" {
		if strings.Contains(pattern, "{") {
			handler = s.mux // which fills in the path's values
		}
		handler.ServeHTTP(w, r)
		return
	}
	probe := statusProbe{header: http.Header{}}
	handler.ServeHTTP(&probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		allow := probe.header.Get("Allow")
		w.Header().Set("Allow", allow)
		s.refuse(w, r, "other", methodNotAllowed{r.Method, allow})
		return
	}
	s.refuse(w, r, "other", noRoute(r))
}

// statusProbe finds out what ServeMux would have answered.
type statusProbe struct {
	header http.Header
	status int
}

func (p *statusProbe) Header() http.Header         { return p.header }
func (p *statusProbe) Write(b []byte) (int, error) { return len(b), nil }
func (p *statusProbe) WriteHeader(status int)      { p.status = status }
