package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/app"
	"github.com/tocsin-alerts/tocsin/console"
	"github.com/tocsin-alerts/tocsin/devserver/demo"
	"github.com/tocsin-alerts/tocsin/devserver/inbox"
	"github.com/tocsin-alerts/tocsin/devserver/temporalserver"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
	"github.com/tocsin-alerts/tocsin/workflows"
)

// stopTimeout bounds a clean stop. What is under way then is taken up at the next start.
const stopTimeout = 20 * time.Second

// slowStop is when a stop is worth explaining; one with nothing under way takes about a
// second, for Temporal.
const slowStop = 2 * time.Second

// hosts are the names of loopback, which requests must ask for.
var hosts = []string{"localhost", "127.0.0.1", "[::1]", "::1"}

// Dev is the whole system in one process. Start it once.
type Dev struct {
	cfg Config

	dir      *dataDir
	ring     tocsin.Secret
	log      *slog.Logger // warnings to Err, all to the file
	fileLog  *slog.Logger // what the embedded server and the SDK say
	temporal *temporalserver.Server
	store    tocsin.Store
	inbox    *inbox.Inbox
	peers    peers
	app      *app.App
	cleanups []func(context.Context) error // run last in, first out
}

// New checks the configuration and opens nothing.
func New(cfg Config) (*Dev, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	return &Dev{cfg: cfg}, nil
}

// Start locks the data directory, starts Temporal, and then the app. ctx bounds the
// start. After an error everything is closed again.
func (d *Dev) Start(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Stop(context.WithoutCancel(ctx)))
		}
	}()
	for _, step := range d.steps() {
		if err := step(ctx); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dev) steps() []func(context.Context) error {
	if d.cfg.TemporalOnly {
		return []func(context.Context) error{d.openDir, d.startTemporal}
	}
	return []func(context.Context) error{d.openDir, d.startTemporal, d.openStore, d.startApp, d.listenAgain}
}

// Stop undoes Start in reverse. ctx bounds the part that waits for deliveries.
func (d *Dev) Stop(ctx context.Context) error {
	var errs []error
	for len(d.cleanups) > 0 {
		last := d.cleanups[len(d.cleanups)-1]
		d.cleanups = d.cleanups[:len(d.cleanups)-1]
		errs = append(errs, last(ctx))
	}
	return errors.Join(errs...)
}

func (d *Dev) cleanup(do func(context.Context) error) { d.cleanups = append(d.cleanups, do) }

func (d *Dev) openDir(context.Context) (err error) {
	// A start that is refused leaves no new directory behind. Where there is one, the
	// process that uses it is to blame rather than its ports.
	if _, err := os.Stat(d.cfg.DataDir); errors.Is(err, fs.ErrNotExist) {
		if err := d.checkPorts(); err != nil {
			return err
		}
	}
	if d.dir, err = openDataDir(d.cfg.DataDir); err != nil {
		return err
	}
	d.cleanup(func(context.Context) error { return d.dir.close() })
	if !d.cfg.TemporalOnly {
		// Before Temporal takes its time to start, and before its own port is complained of.
		if d.cfg.APIAddr, err = freeAddr("-api-addr", d.cfg.APIAddr); err != nil {
			return err
		}
	}
	file, err := d.dir.logFile()
	if err != nil {
		return err
	}
	d.cleanup(func(context.Context) error { return file.Close() })
	if err := d.openLog(file); err != nil {
		return err
	}
	if d.cfg.TemporalOnly {
		return nil // nothing is sealed
	}
	d.ring, err = d.dir.keyRing()
	return err
}

func (d *Dev) openLog(file io.Writer) error {
	shown, err := app.NewLogger(d.cfg.Err, d.cfg.LogLevel, "")
	if err != nil {
		return err
	}
	whole := slog.NewTextHandler(file, nil)
	d.fileLog = slog.New(whole)
	d.log = slog.New(slog.NewMultiHandler(shown.Handler(), whole))
	return nil
}

// checkPorts returns an error when something listens already where this will.
func (d *Dev) checkPorts() error {
	for _, l := range d.cfg.listeners() {
		if _, err := freeAddr(l.flag, l.addr); err != nil {
			return err
		}
	}
	return nil
}

// freeAddr returns addr with its port chosen, or an error when it is in use.
func freeAddr(flag, addr string) (string, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return "", fmt.Errorf("%s: %s is in use by another program; stop that one, or choose another address", flag, addr)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (d *Dev) startTemporal(ctx context.Context) (err error) {
	d.temporal, err = temporalserver.Start(temporalserver.Options{
		DBFile: d.dir.file("temporal.db"), FrontendAddr: d.cfg.TemporalAddr, UIAddr: d.cfg.UIAddr, MetricsAddr: d.cfg.TemporalMetricsAddr,
		SearchAttributes: workflows.SearchAttributes(), Logger: d.fileLog,
	})
	if err != nil {
		return err
	}
	d.cleanup(func(context.Context) error { return d.temporal.Stop() })
	return nil
}

// temporalOptions say how the app reaches the embedded server.
func (d *Dev) temporalOptions() *client.Options {
	return &client.Options{
		HostPort: d.temporal.Addr(), Identity: workflows.Identity("tocsin-dev", app.Version(d.cfg.Version)), Logger: sdklog.NewStructuredLogger(d.fileLog),
	}
}

func (d *Dev) openStore(ctx context.Context) error {
	store, err := sqlite.Open(ctx, d.dir.file("tocsin.db"), sqlite.Options{})
	if err != nil {
		return fmt.Errorf("opening store: %w", err)
	}
	d.store = store
	d.cleanup(func(context.Context) error { return store.Close() })
	return nil
}

func (d *Dev) startApp(ctx context.Context) (err error) {
	tracing, err := app.TracingAsked(os.Getenv)
	if err != nil {
		return err
	}
	d.inbox = inbox.New(inbox.Options{BaseURL: d.URL(), Hosts: hosts})
	d.app, err = app.New(app.Config{
		Roles: app.Serve | app.Work, Version: app.Version(d.cfg.Version),
		Store: d.store, Migrate: true, SecretKey: d.ring, Temporal: d.temporalOptions(), Tracing: tracing,
		Listen: d.cfg.APIAddr, PublicURL: d.URL(), Open: true, Handlers: d.inbox.Handlers(),
		TemporalUI: "http://" + d.temporal.UIAddr(), Links: []console.Link{{Title: "Inbox", URL: d.URL() + "/inbox"}},
		EgressAllow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		Retention:   d.cfg.Retention,
		Logger:      d.log,
	})
	if err != nil {
		return err
	}
	if err := d.app.Start(ctx); err != nil {
		return err
	}
	d.cleanup(func(ctx context.Context) error {
		bound, cancel := context.WithTimeout(ctx, stopTimeout)
		defer cancel()
		return d.app.Stop(bound)
	})
	return nil
}

// URL is where the API and the inbox are, without a final slash.
func (d *Dev) URL() string { return "http://" + d.cfg.APIAddr }

// TemporalAddr and UIAddr are where Temporal and its Web UI listen.
func (d *Dev) TemporalAddr() string { return d.temporal.Addr() }

// UIAddr is where Temporal's Web UI listens.
func (d *Dev) UIAddr() string { return d.temporal.UIAddr() }

// Inbox is the built-in receiver.
func (d *Dev) Inbox() *inbox.Inbox { return d.inbox }

// Demo creates the demo's webhooks and sends its events. It may be called again: the
// webhooks are there once, the events are new ones. The inbox takes mail and syslog
// messages from then on, at every start with this data directory.
func (d *Dev) Demo(ctx context.Context) (demo.Report, error) {
	if d.peers == (peers{}) {
		if err := d.listenAt(peers{Mail: "127.0.0.1:0", Syslog: "127.0.0.1:0"}); err != nil {
			return demo.Report{}, err
		}
		if err := d.dir.keepPeers(d.peers); err != nil {
			return demo.Report{}, err
		}
	}
	return demo.Run(ctx, demo.Config{
		APIURL: d.URL(), InboxURL: d.URL() + "/inbox", Seed: d.ring, Expect: d.inbox.Expect,
		SMTPAddr: d.peers.Mail, SyslogAddr: d.peers.Syslog,
	})
}

// listenAgain has the inbox listen where it did for an earlier demo, whose webhooks still
// deliver there.
func (d *Dev) listenAgain(context.Context) error {
	before, err := d.dir.readPeers()
	if err != nil || before == (peers{}) {
		return err
	}
	if err := d.listenAt(before); err != nil {
		d.log.Warn("the demo's webhooks for mail and syslog have nobody to deliver to; --demo finds other ports", "error", err)
	}
	return nil
}

// listenAt has the inbox listen for what is not HTTP, at both addresses or none.
func (d *Dev) listenAt(at peers) error {
	mail, closeMail, err := d.inbox.ListenSMTP("email", at.Mail)
	if err != nil {
		return err
	}
	syslog, closeSyslog, err := d.inbox.ListenSyslog("syslog", at.Syslog)
	if err != nil {
		return errors.Join(err, closeMail())
	}
	d.peers = peers{Mail: mail, Syslog: syslog}
	d.cleanup(func(context.Context) error { return errors.Join(closeMail(), closeSyslog()) })
	return nil
}

// Run starts tocsin-dev, says where everything is, and stops when ctx ends or a part of
// it fails.
func Run(ctx context.Context, cfg Config) error {
	d, err := New(cfg)
	if err != nil {
		return err
	}
	began := time.Now()
	fmt.Fprintf(d.cfg.Out, "Starting Tocsin with its data in %s …\n", d.cfg.DataDir)
	if err := d.Start(ctx); err != nil {
		return err
	}
	d.greet(time.Since(began))
	if cfg.Demo {
		report, err := d.Demo(ctx)
		if err != nil {
			d.log.Error("the demo is not complete", "error", err)
		}
		d.greetDemo(report)
	}
	select {
	case <-ctx.Done():
	case err = <-d.failed():
	}
	fmt.Fprintln(d.cfg.Out, "Stopping …")
	return errors.Join(err, d.stopOrLeave(context.WithoutCancel(ctx)))
}

// failed gets an error when a part ends by itself; never where there is no app.
func (d *Dev) failed() <-chan error {
	if d.app == nil {
		return nil
	}
	return d.app.Failed()
}

// errLeft is how Run ends when a signal comes while it stops.
var errLeft = errors.New("stopped at once by a second signal; what was under way is taken up at the next start")

// stopOrLeave is Stop until another signal comes; then everything is left as it is, as a
// kill would leave it, which loses nothing. It listens for that signal itself, so that it
// works whatever else in the process listens for signals, and can say how it ended.
func (d *Dev) stopOrLeave(ctx context.Context) error {
	again := make(chan os.Signal, 1)
	signal.Notify(again, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(again)
	stopped := make(chan error, 1)
	go func() { stopped <- d.Stop(ctx) }()
	slow := time.After(slowStop)
	for {
		select {
		case err := <-stopped:
			return err
		case <-again:
			return errLeft
		case <-slow:
			fmt.Fprintln(d.cfg.Out, "waiting for deliveries under way; Ctrl-C again to stop now")
		}
	}
}
