package app

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/console"
)

// Roles says what a process does; add them up for both.
type Roles uint8

// The roles.
const (
	Serve Roles = 1 << iota // answers the HTTP API and looks after the schedules
	Work                    // runs workflows and deliveries
)

// Config is everything a Tocsin process needs to know. The zero value of a field is
// its default, where one is named.
type Config struct {
	// Roles is required.
	Roles Roles
	// Version is the program's own, for the User-Agent and the logs; "" is "dev".
	Version string

	// Store is an open and migrated store that the caller closes. nil: the app opens
	// DatabaseURL, and closes it on Stop.
	Store tocsin.Store
	// DatabaseURL is postgres://…; required when Store is nil.
	DatabaseURL string
	// Migrate brings the schema up to date on Start; otherwise an old one is an error.
	Migrate bool
	// SecretKey is the key ring: "id:base64 of 32 bytes,…". Required.
	SecretKey tocsin.Secret

	// Temporal says how it is reached; nil is as the TEMPORAL_* variables say. The client
	// connects when it is first needed, and is given this process's metrics and traces, and
	// its logger where it has none.
	Temporal *client.Options

	// Listen is the address of the HTTP API; "" is 127.0.0.1:8080. Only with Serve.
	Listen string
	// MetricsListen is a further address with /metrics, /-/healthy and /-/ready and
	// nothing else; "" is none. It is the only one a pure worker has.
	MetricsListen string
	// Pprof serves profiles at MetricsListen, under /debug/pprof/.
	Pprof bool
	// Tracing exports traces as the OTEL_* variables say; see TracingAsked.
	Tracing bool
	// PublicURL is where people reach this Tocsin, for links; "" makes no links.
	PublicURL string
	// Open answers without API keys, only to requests whose Host is in Hosts.
	Open  bool
	Hosts []string
	// Handlers are served beside the API, by http.ServeMux pattern.
	Handlers map[string]http.Handler
	// TemporalUI is the base address of Temporal's Web UI, for the console's links; "" is
	// none. Links are further entries of the console's navigation.
	TemporalUI string
	Links      []console.Link
	// OIDC is how people sign in to the console without a key; nil is with keys only.
	OIDC *console.OIDC

	// EgressAllow lists networks that deliveries may reach although they are private.
	EgressAllow []netip.Prefix
	// MinRunEvery is the shortest run_every that is accepted; 0 is one minute.
	MinRunEvery time.Duration
	// SweepEvery is how often the sweeper looks for webhooks and replays that nobody serves,
	// and for mutes that are about to end; 0 is 30 seconds.
	SweepEvery time.Duration
	// HousekeepEvery is how often old things are removed and keys rotated; 0 is 5 minutes.
	HousekeepEvery time.Duration
	// Retention says how long things are kept; the zero value is DefaultRetention.
	Retention tocsin.Retention
	// Slots is how many activities a worker runs at once; 0 is 1000. Only with Work.
	Slots int
	// Linger is how long a Deliver stays with an instant webhook that has nothing owed; 0
	// is the activity's default, negative is not at all.
	Linger time.Duration
	// StopTimeout bounds Run's Stop; 0 is DefaultStopTimeout.
	StopTimeout time.Duration

	// Logger is where the process logs; nil is slog.Default().
	Logger *slog.Logger
}

// DefaultListen is where the API listens when nothing else is said.
const DefaultListen = "127.0.0.1:8080"

// DefaultStopTimeout is how long a process may take to stop: a little longer than a
// worker waits for what it is sending.
const DefaultStopTimeout = 45 * time.Second

// Settings are the settings of a process as text: each a flag, a TOCSIN_ variable, or
// its default, in this order. Bind one to a flag set, parse that, then ask Config.
type Settings struct {
	getenv func(string) string
	roles  Roles

	listen, databaseURL, publicURL, egressAllow string
	metricsListen, logLevel, logFormat, slots   string
	temporalUI                                  string
	migrate, pprof                              bool
	retention                                   func() (tocsin.Retention, error)
}

// Bind declares the flags of a process with these roles. getenv is os.Getenv, or a
// test's.
func Bind(flags *flag.FlagSet, roles Roles, getenv func(string) string) *Settings {
	s := &Settings{getenv: getenv, roles: roles}
	// Values of the environment are not made defaults: help would print passwords.
	if roles&Serve != 0 {
		flags.StringVar(&s.listen, "listen", "", "`address` of the HTTP API and the console (TOCSIN_LISTEN; default "+DefaultListen+")")
		flags.StringVar(&s.temporalUI, "temporal-ui", "", "`URL` of Temporal's Web UI, for the console's links (TOCSIN_TEMPORAL_UI)")
	}
	if roles&Work != 0 {
		flags.StringVar(&s.slots, "slots", "", "how many webhooks this worker delivers for at once, as a `number` (TOCSIN_SLOTS; default 1000)")
	}
	flags.StringVar(&s.databaseURL, "database-url", "", "PostgreSQL `URL` (TOCSIN_DATABASE_URL)")
	flags.StringVar(&s.publicURL, "public-url", "", "`URL` people reach this Tocsin at, for links (TOCSIN_PUBLIC_URL)")
	flags.StringVar(&s.egressAllow, "egress-allow", "", "private networks deliveries may reach, as `CIDR,…` (TOCSIN_EGRESS_ALLOW)")
	flags.StringVar(&s.metricsListen, "metrics-listen", "", "further `address` for /metrics, /-/healthy and /-/ready (TOCSIN_METRICS_LISTEN)")
	flags.BoolVar(&s.pprof, "pprof", false, "serve profiles at the address of -metrics-listen, under /debug/pprof/ (TOCSIN_PPROF=true)")
	flags.StringVar(&s.logLevel, "log-level", "", "debug, info, warn or error (TOCSIN_LOG_LEVEL; default info)")
	flags.StringVar(&s.logFormat, "log-format", "", "text or json (TOCSIN_LOG_FORMAT; default text)")
	s.retention = BindRetention(flags, getenv)
	flags.BoolVar(&s.migrate, "migrate", false, "bring the store's schema up to date before starting")
	return s
}

// ParseFlags reads the settings of a process from its arguments and environment. It
// opens nothing. flag.ErrHelp when help was asked for, after it was written to help;
// otherwise an *tocsin.Error with CodeInvalid.
func ParseFlags(name string, args []string, roles Roles, getenv func(string) string, help io.Writer) (*Settings, error) {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	s := Bind(flags, roles, getenv)
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(help, "%s takes its settings from flags, then variables, then defaults; TOCSIN_SECRET_KEY\nand those of OpenID Connect have no flags, and Temporal is reached as the TEMPORAL_* variables say.\n\n", name)
		flags.SetOutput(help)
		flags.PrintDefaults()
		return nil, err
	case err != nil:
		return nil, tocsin.Errorf(tocsin.CodeInvalid, "%w; see %s --help", err, name)
	case flags.NArg() > 0:
		return nil, tocsin.Errorf(tocsin.CodeInvalid, "%s takes no arguments, only flags: %q", name, flags.Arg(0))
	}
	return s, nil
}

// Config checks the settings and returns them, with a logger to logs of the format and
// level they ask for. Errors are *tocsin.Error with CodeInvalid, and name the setting,
// what it is, and what is allowed.
func (s *Settings) Config(logs io.Writer) (Config, error) {
	logger, err := NewLogger(logs, s.get(s.logLevel, "TOCSIN_LOG_LEVEL"), s.get(s.logFormat, "TOCSIN_LOG_FORMAT"))
	if err != nil {
		return Config{}, tocsin.Errorf(tocsin.CodeInvalid, "%w", err)
	}
	egress, err := ParsePrefixes(s.get(s.egressAllow, "TOCSIN_EGRESS_ALLOW"))
	if err != nil {
		return Config{}, tocsin.Errorf(tocsin.CodeInvalid, "TOCSIN_EGRESS_ALLOW: %w", err)
	}
	retention, err := s.retention()
	if err != nil {
		return Config{}, err
	}
	slots, err := parseSlots(s.get(s.slots, "TOCSIN_SLOTS"))
	if err != nil {
		return Config{}, tocsin.Errorf(tocsin.CodeInvalid, "TOCSIN_SLOTS: %w", err)
	}
	tracing, err := TracingAsked(s.getenv)
	if err != nil {
		return Config{}, err
	}
	pprof, err := s.on(s.pprof, "TOCSIN_PPROF")
	if err != nil {
		return Config{}, err
	}
	signIn, err := parseOIDC(s.roles, s.getenv)
	if err != nil {
		return Config{}, tocsin.Errorf(tocsin.CodeInvalid, "%w", err)
	}
	cfg := Config{
		Roles:         s.roles,
		DatabaseURL:   s.get(s.databaseURL, "TOCSIN_DATABASE_URL"),
		Migrate:       s.migrate,
		SecretKey:     tocsin.NewSecret(s.getenv("TOCSIN_SECRET_KEY")),
		Listen:        s.get(s.listen, "TOCSIN_LISTEN"),
		MetricsListen: s.get(s.metricsListen, "TOCSIN_METRICS_LISTEN"),
		Pprof:         pprof,
		Tracing:       tracing,
		PublicURL:     s.get(s.publicURL, "TOCSIN_PUBLIC_URL"),
		TemporalUI:    s.get(s.temporalUI, "TOCSIN_TEMPORAL_UI"),
		OIDC:          signIn,
		EgressAllow:   egress,
		Retention:     retention,
		Slots:         slots,
		Logger:        logger,
	}
	return cfg, nil
}

// parseSlots reads a number of slots; "" is 0, the default. Fewer than 4 could all be
// taken by Delivers that linger, and no process has use for more than 100,000.
func parseSlots(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 4 || n > 100_000 {
		return 0, fmt.Errorf("%q is not a number from 4 to 100000", text)
	}
	return n, nil
}

func (s *Settings) get(flagged, variable string) string {
	if flagged != "" {
		return flagged
	}
	return strings.TrimSpace(s.getenv(variable))
}

// on reads a switch: the flag, else the variable.
func (s *Settings) on(flagged bool, variable string) (bool, error) {
	switch text := s.get("", variable); text {
	case "", "false", "0":
		return flagged, nil
	case "true", "1":
		return true, nil
	default:
		return false, tocsin.Errorf(tocsin.CodeInvalid, "%s: %q is neither true nor false", variable, text)
	}
}

// complete checks the configuration and fills in its defaults. Errors are *tocsin.Error
// with CodeInvalid.
func (c *Config) complete() error {
	if err := c.check(); err != nil {
		return tocsin.Errorf(tocsin.CodeInvalid, "%w", err)
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	setDefault(&c.Version, "dev")
	setDefault(&c.Listen, DefaultListen)
	setDefault(&c.StopTimeout, DefaultStopTimeout)
	setDefault(&c.SweepEvery, 30*time.Second)
	setDefault(&c.HousekeepEvery, 5*time.Minute)
	setDefault(&c.Retention, DefaultRetention)
	setDefault(&c.MinRunEvery, time.Minute)
	setDefault(&c.Logger, slog.Default())
	return nil
}

func (c *Config) check() error {
	if c.Roles&(Serve|Work) == 0 {
		return errors.New("Config.Roles: want Serve, Work or both")
	}
	if c.SecretKey.IsZero() {
		return errors.New("TOCSIN_SECRET_KEY is not set: secrets could not be sealed; make one with `tocsin keys ring`, and give every process the same")
	}
	if c.Store == nil {
		if err := checkDatabaseURL(c.DatabaseURL); err != nil {
			return err
		}
	}
	if c.Pprof && c.MetricsListen == "" {
		return errors.New("TOCSIN_PPROF: profiles are served at the address for metrics alone; set TOCSIN_METRICS_LISTEN, for example to 127.0.0.1:9090")
	}
	if err := checkRetention(c.Retention); err != nil {
		return err
	}
	return errors.Join(checkPublicURL(c.PublicURL), checkTemporalUI(c.TemporalUI), checkOIDC(c.OIDC, c.PublicURL))
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func checkDatabaseURL(raw string) error {
	switch scheme, _, _ := strings.Cut(raw, ":"); {
	case raw == "":
		return errors.New("TOCSIN_DATABASE_URL is not set: want postgres://user:password@host:5432/database")
	case scheme == "sqlite":
		return errors.New("TOCSIN_DATABASE_URL: SQLite is for tocsin-dev only, where one process does everything; want postgres://…")
	case scheme != "postgres" && scheme != "postgresql":
		return errors.New("TOCSIN_DATABASE_URL: want postgres://user:password@host:5432/database")
	}
	return nil
}

func checkPublicURL(raw string) error {
	if raw == "" {
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("TOCSIN_PUBLIC_URL: %q is not a plain http or https URL; write for example https://tocsin.example.com", raw)
	}
	return nil
}

// ParsePrefixes reads networks and single addresses: "10.0.0.0/8, 192.168.1.7".
func ParsePrefixes(text string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, field := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		if addr, err := netip.ParseAddr(field); err == nil {
			all = append(all, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(field)
		if err != nil {
			return nil, fmt.Errorf("%q is neither a network nor an address; write for example 10.0.0.0/8", field)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}
