package dev

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/app"
)

// Config says where tocsin-dev keeps its data and listens.
type Config struct {
	// DataDir is made when missing; "" is tocsin-data in the working directory.
	DataDir string
	// APIAddr is where the API and the inbox listen, on loopback; "" is 127.0.0.1:8080.
	APIAddr string
	// TemporalAddr and UIAddr are Temporal's own and its Web UI's; "" is 127.0.0.1:7233
	// and 127.0.0.1:8233. Port 0 chooses a free one, here and for APIAddr.
	TemporalAddr, UIAddr string
	// TemporalMetricsAddr is where the Temporal server's own metrics are, for Prometheus;
	// "" is nowhere.
	TemporalMetricsAddr string
	// TemporalOnly leaves out the API, the worker and the store: for those who run
	// `tocsin serve` and tocsin-worker themselves.
	TemporalOnly bool
	// Demo creates a webhook of each kind that delivers to the inbox, and sends an event
	// of every alert type.
	Demo bool
	// Retention says how long things are kept; the zero value is app.DefaultRetention.
	Retention tocsin.Retention
	// Version is the program's own; "" is found out.
	Version string
	// Out gets the addresses, Err warnings and errors; nil is standard output and error.
	Out, Err io.Writer
	// LogLevel is the least that is logged to Err: debug, info, warn or error; "" is warn.
	// The log file has everything from info on.
	LogLevel string
}

// ParseFlags reads the command line, then TOCSIN_DATA_DIR, TOCSIN_LOG_LEVEL, and what
// app.ParseRetention reads. It opens nothing. flag.ErrHelp when help was asked for, after
// it was written to help.
func ParseFlags(args []string, getenv func(string) string, help io.Writer) (Config, error) {
	var cfg Config
	flags := flag.NewFlagSet("tocsin-dev", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	retention := bind(flags, &cfg, getenv)
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(help)
		fmt.Fprintln(help, "tocsin-dev runs all of Tocsin in one process on SQLite, for development.")
		fmt.Fprintln(help, "\nusage: tocsin-dev [flags]")
		flags.PrintDefaults()
		return cfg, err
	case err != nil:
		return cfg, fmt.Errorf("%w; see tocsin-dev --help", err)
	case flags.NArg() > 0:
		return cfg, fmt.Errorf("tocsin-dev takes no arguments, only flags: %q", flags.Arg(0))
	}
	setDefault(&cfg.DataDir, getenv("TOCSIN_DATA_DIR"))
	setDefault(&cfg.LogLevel, getenv("TOCSIN_LOG_LEVEL"))
	if cfg.Retention, err = retention(); err != nil {
		return cfg, err
	}
	return cfg, cfg.complete()
}

// bind declares the flags.
func bind(flags *flag.FlagSet, cfg *Config, getenv func(string) string) (retention func() (tocsin.Retention, error)) {
	flags.StringVar(&cfg.DataDir, "data-dir", "", "`folder` for all state (TOCSIN_DATA_DIR; default tocsin-data)")
	flags.StringVar(&cfg.APIAddr, "api-addr", "", "loopback `address` of the HTTP API and the inbox (default "+defaultAPI+")")
	flags.StringVar(&cfg.TemporalAddr, "temporal-addr", "", "`address` of the Temporal server (default "+defaultTemporal+")")
	flags.StringVar(&cfg.UIAddr, "ui-addr", "", "`address` of the Temporal Web UI (default "+defaultUI+")")
	flags.StringVar(&cfg.TemporalMetricsAddr, "temporal-metrics-addr", "", "`address` of the Temporal server's own /metrics (default none)")
	flags.BoolVar(&cfg.TemporalOnly, "temporal-only", false, "run the Temporal server and its Web UI alone, for a tocsin serve and a tocsin-worker of your own")
	flags.BoolVar(&cfg.Demo, "demo", false, "create a webhook of each kind, and send an event of every alert type to the inbox")
	flags.StringVar(&cfg.LogLevel, "log-level", "", "debug, info, warn or error on standard error (TOCSIN_LOG_LEVEL; default warn)")
	return app.BindRetention(flags, getenv)
}

const (
	defaultAPI      = "127.0.0.1:8080"
	defaultTemporal = "127.0.0.1:7233"
	defaultUI       = "127.0.0.1:8233"
)

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// complete fills in the defaults and checks what can be checked without opening.
func (c *Config) complete() error {
	setDefault(&c.DataDir, "tocsin-data")
	setDefault(&c.APIAddr, defaultAPI)
	setDefault(&c.TemporalAddr, defaultTemporal)
	setDefault(&c.UIAddr, defaultUI)
	setDefault(&c.LogLevel, "warn")
	if c.Out == nil {
		c.Out = os.Stdout
	}
	if c.Err == nil {
		c.Err = os.Stderr
	}
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return fmt.Errorf("finding data directory: %w", err)
	}
	c.DataDir = dir
	if strings.ContainsAny(dir, "?#%") {
		return fmt.Errorf("-data-dir: %q holds one of ? # %%, which SQLite would misread; choose another folder", dir)
	}
	if err := checkLoopback(c.APIAddr); err != nil {
		return err
	}
	if c.TemporalOnly && c.Demo {
		return errors.New("-temporal-only and -demo: the demo needs the API and the worker; leave one of them out")
	}
	return checkDistinct(c.listeners())
}

// listeners are what this will listen on.
func (c *Config) listeners() []listener {
	all := []listener{{"-temporal-addr", c.TemporalAddr}, {"-ui-addr", c.UIAddr}}
	if !c.TemporalOnly {
		all = append([]listener{{"-api-addr", c.APIAddr}}, all...)
	}
	if c.TemporalMetricsAddr != "" {
		all = append(all, listener{"-temporal-metrics-addr", c.TemporalMetricsAddr})
	}
	return all
}

// listener is an address and the flag that sets it.
type listener struct{ flag, addr string }

// checkDistinct refuses one address for two listeners, which would otherwise be reported
// as in use by another program.
func checkDistinct(all []listener) error {
	for i, a := range all {
		for _, b := range all[:i] {
			if same(a.addr, b.addr) {
				return fmt.Errorf("%s and %s are both %s; give each a port of its own", b.flag, a.flag, a.addr)
			}
		}
	}
	return nil
}

// same reports whether two addresses cannot be listened on together. What is no address
// is for others to refuse.
func same(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	resolve := func(host string) string {
		if host == "localhost" {
			return "127.0.0.1"
		}
		return host
	}
	everywhere := func(host string) bool {
		ip := net.ParseIP(host)
		return ip != nil && ip.IsUnspecified()
	}
	return resolve(hostA) == resolve(hostB) || everywhere(hostA) || everywhere(hostB)
}

// checkLoopback refuses addresses that other machines reach: the API asks for no key.
func checkLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("-api-addr: %q: want host:port", addr)
	}
	if host == "localhost" {
		return nil
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return errors.New("-api-addr: " + addr + " is not on loopback, and tocsin-dev's API asks for no key: anybody on the network could use it; " +
			"write 127.0.0.1:port, or run `tocsin serve`, which has keys")
	}
	return nil
}
