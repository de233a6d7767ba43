package temporalserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/server/temporal"

	"github.com/tocsin-alerts/tocsin/devserver/internal/filelock"
)

// MinRetention is how long closed workflows are kept at least, and by default.
const MinRetention = 72 * time.Hour

// Options configure a server. The zero value is an in-memory server on a free port of
// loopback, without Web UI.
type Options struct {
	// DBFile is the database's path; its folder is created when missing. "" keeps
	// everything in memory, until the process ends.
	DBFile string
	// FrontendAddr is host:port of the gRPC service; "" is 127.0.0.1:0, a free port.
	FrontendAddr string
	// UIAddr is host:port of the Web UI, port 0 for a free one; "" is no Web UI.
	UIAddr string
	// MetricsAddr is host:port of the server's own metrics for Prometheus, at /metrics,
	// port 0 for a free one; "" is no metrics.
	MetricsAddr string
	// Namespace is created when missing; "" is "default".
	Namespace string
	// Retention is how long closed workflows are kept. 0 is MinRetention, less than that
	// is an error. It holds for a namespace when it is created.
	Retention time.Duration
	// SearchAttributes are registered in the namespace, old or new.
	SearchAttributes map[string]enumspb.IndexedValueType
	// Logger gets the server's warnings and errors, and our own; nil drops them.
	Logger *slog.Logger
	// ReadyTimeout bounds how long Start waits for the server's health; 0 is one minute.
	ReadyTimeout time.Duration
	// StopTimeout bounds Stop; 0 is 15 seconds. What is still running then is abandoned,
	// which costs nothing that was acknowledged.
	StopTimeout time.Duration
}

// Server is a running server.
type Server struct {
	options  Options
	frontend address
	ui       address
	metrics  address

	lock   *filelock.Lock
	logger *serverLogger
	server temporal.Server
	web    *webUI
}

// Start starts a server and returns once it is healthy. It fails without having changed
// anything when another process uses the database (the error says which), when an address
// is in use, and when the database is of another server version (*VersionError).
func Start(o Options) (*Server, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	s := &Server{options: o, logger: newServerLogger(o.Logger)}
	if err := s.start(); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (o *Options) complete() error {
	if o.FrontendAddr == "" {
		o.FrontendAddr = "127.0.0.1:0"
	}
	if o.Namespace == "" {
		o.Namespace = "default"
	}
	if o.Retention == 0 {
		o.Retention = MinRetention
	}
	if o.Retention < MinRetention {
		return fmt.Errorf("retention %v is too short: want at least %v", o.Retention, MinRetention)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.ReadyTimeout == 0 {
		o.ReadyTimeout = time.Minute
	}
	if o.StopTimeout == 0 {
		o.StopTimeout = 15 * time.Second
	}
	return nil
}

func (s *Server) start() error {
	if err := s.lockDatabase(); err != nil {
		return err
	}
	ports, err := s.listenable()
	if err != nil {
		return err
	}
	database := sqlConfig(s.options.DBFile)
	if s.options.DBFile != "" {
		if err := setUpSchema(s.options.DBFile); err != nil {
			return err
		}
	}
	if err := createNamespace(database, s.options); err != nil {
		return err
	}
	s.server, err = newServer(database, s.frontend, s.metrics, ports, s.logger)
	if err != nil {
		return fmt.Errorf("making temporal server: %w", err)
	}
	if err := s.server.Start(); err != nil {
		return fmt.Errorf("starting temporal server: %w", err)
	}
	if err := s.awaitReady(); err != nil {
		return err
	}
	if s.options.UIAddr != "" {
		s.web, err = startWebUI(s.ui, s.frontend, s.options.Namespace, s.options.ReadyTimeout)
	}
	return err
}

func (s *Server) lockDatabase() error {
	if s.options.DBFile == "" {
		return nil
	}
	path, err := filepath.Abs(s.options.DBFile)
	if err != nil {
		return fmt.Errorf("finding database: %w", err)
	}
	if err := checkPath(path); err != nil {
		return err
	}
	s.options.DBFile = path
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("making folder of database: %w", err)
	}
	s.lock, err = filelock.Acquire(path + ".lock")
	if err != nil {
		return fmt.Errorf("opening %s: one process at a time may use it: %w", path, err)
	}
	return nil
}

// listenable checks the addresses and returns free ports for the inner services. It
// finds out before anything is written; the Web UI would even end the process.
func (s *Server) listenable() (ports [3]int, err error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			_ = l.Close() // it was only tried
		}
	}()
	listen := func(what, addr string) (address, error) {
		a, l, err := tryListen(what, addr)
		if err == nil {
			held = append(held, l)
		}
		return a, err
	}
	if s.frontend, err = listen("temporal", s.options.FrontendAddr); err != nil {
		return ports, err
	}
	if s.options.UIAddr != "" {
		if s.ui, err = listen("temporal web UI", s.options.UIAddr); err != nil {
			return ports, err
		}
	}
	if s.options.MetricsAddr != "" {
		if s.metrics, err = listen("temporal metrics", s.options.MetricsAddr); err != nil {
			return ports, err
		}
	}
	for _, a := range []address{s.frontend, s.ui} {
		if a.host != "" && !a.loopback() {
			s.options.Logger.Warn("TEMPORAL IS REACHABLE FROM OTHER MACHINES, without any authentication: whoever reaches this address reads and changes every workflow", "address", a.String())
		}
	}
	for i := range ports {
		a, err := listenInside(listen)
		if err != nil {
			return ports, err
		}
		ports[i] = a.port
	}
	return ports, nil
}

func (s *Server) awaitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.options.ReadyTimeout)
	defer cancel()
	c, err := client.NewLazyClient(client.Options{HostPort: s.Addr(), Namespace: s.options.Namespace, Logger: quiet{}})
	if err != nil {
		return fmt.Errorf("making temporal client: %w", err)
	}
	defer c.Close()
	err = poll(ctx, func() error {
		_, err := c.CheckHealth(ctx, &client.CheckHealthRequest{})
		return err
	})
	if err != nil {
		return fmt.Errorf("waiting for temporal's health: %w", err)
	}
	return ensureSearchAttributes(ctx, c, s.options)
}

// poll asks every few milliseconds until try succeeds; then, or when ctx ends, it
// returns the last error.
func poll(ctx context.Context, try func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// Addr is host:port where clients reach the server.
func (s *Server) Addr() string { return s.frontend.dial() }

// UIAddr is host:port of the Web UI, or "" when there is none.
func (s *Server) UIAddr() string {
	if s.web == nil {
		return ""
	}
	return s.ui.dial()
}

// MetricsAddr is host:port of the server's metrics, or "" when there are none.
func (s *Server) MetricsAddr() string {
	if s.options.MetricsAddr == "" {
		return ""
	}
	return s.metrics.dial()
}

// Stop stops the server and gives up the database. It is safe to call twice. A server
// that does not stop within Options.StopTimeout is an error.
func (s *Server) Stop() error {
	// What services say about each other's disappearance is noise.
	s.logger.mute()
	s.web.stop()
	s.web = nil
	var err error
	if s.server != nil {
		done := make(chan error, 1)
		go func(server temporal.Server) { done <- server.Stop() }(s.server)
		select {
		case err = <-done:
		case <-time.After(s.options.StopTimeout):
			err = fmt.Errorf("stopping temporal server: not done after %v", s.options.StopTimeout)
		}
		s.server = nil
	}
	err = errors.Join(err, s.lock.Release())
	s.lock = nil
	return err
}
