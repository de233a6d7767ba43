package app_test

import (
	"bytes"
	"errors"
	"flag"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/app"
)

// variables is an environment.
type variables map[string]string

func (v variables) get(name string) string { return v[name] }

func TestSettingsAreFlagsThenVariablesThenDefaults(t *testing.T) {
	env := variables{
		"TOCSIN_DATABASE_URL": "postgres://variable/tocsin", "TOCSIN_LISTEN": "127.0.0.1:1111", "TOCSIN_PUBLIC_URL": "https://tocsin.example.com",
		"TOCSIN_EGRESS_ALLOW": "10.1.2.3/8, 192.168.1.7", "TOCSIN_METRICS_LISTEN": ":9090", "TOCSIN_SECRET_KEY": "k:secret",
	}
	settings, err := app.ParseFlags("tocsin", []string{"-listen", "127.0.0.1:2222", "-migrate"}, app.Serve, env.get, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := settings.Config(new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	if got.SecretKey.Reveal() != "k:secret" {
		t.Errorf("SecretKey is %q", got.SecretKey.Reveal())
	}
	want := app.Config{
		Roles: app.Serve, DatabaseURL: "postgres://variable/tocsin", Migrate: true, Listen: "127.0.0.1:2222",
		MetricsListen: ":9090", PublicURL: "https://tocsin.example.com",
		EgressAllow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.168.1.7/32")},
		Retention:   app.DefaultRetention,
	}
	opts := []cmp.Option{cmpopts.IgnoreFields(app.Config{}, "Logger", "SecretKey"), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })}
	if diff := cmp.Diff(want, got, opts...); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func TestParseFlagsErrors(t *testing.T) {
	for _, args := range [][]string{{"-frob"}, {"extra"}, {"-listen", ":1"}} {
		_, err := app.ParseFlags("tocsin-worker", args, app.Work, variables{}.get, nil)
		if tocsin.CodeOf(err) != tocsin.CodeInvalid || !strings.Contains(err.Error(), strings.TrimLeft(args[0], "-")) {
			t.Errorf("ParseFlags(%q): %v, want an invalid-input error that names it", args, err)
		}
	}
}

func TestHelpShowsNoSecrets(t *testing.T) {
	env := variables{"TOCSIN_DATABASE_URL": "postgres://u:hunter2@h/d", "TOCSIN_SECRET_KEY": "k:hunter2"}
	var help bytes.Buffer
	_, err := app.ParseFlags("tocsin-worker", []string{"-help"}, app.Work, env.get, &help)
	if !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v, want flag.ErrHelp", err)
	}
	if !strings.Contains(help.String(), "TOCSIN_DATABASE_URL") || strings.Contains(help.String(), "hunter2") {
		t.Errorf("help is\n%s", help.String())
	}
}

func TestNewSaysWhatIsMissing(t *testing.T) {
	key := tocsin.NewSecret(tocsin.GenerateKey("k"))
	url := "postgres://h/d"
	tests := []struct {
		name string
		cfg  app.Config
		want string
	}{
		{"no roles", app.Config{SecretKey: key, DatabaseURL: url}, "Config.Roles"},
		{"no key", app.Config{Roles: app.Serve, DatabaseURL: url}, "tocsin keys ring"},
		{"bad key", app.Config{Roles: app.Serve, DatabaseURL: url, SecretKey: tocsin.NewSecret("x")}, "TOCSIN_SECRET_KEY: key 1"},
		{"no store", app.Config{Roles: app.Work, SecretKey: key}, "TOCSIN_DATABASE_URL is not set"},
		{"sqlite", app.Config{Roles: app.Work, SecretKey: key, DatabaseURL: "sqlite:x"}, "tocsin-dev only"},
		{"other database", app.Config{Roles: app.Work, SecretKey: key, DatabaseURL: "mysql://x"}, "want postgres://"},
		{"public URL", app.Config{Roles: app.Serve, SecretKey: key, DatabaseURL: url, PublicURL: "https://u:p@h"}, "TOCSIN_PUBLIC_URL"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := app.New(test.cfg)
			if tocsin.CodeOf(err) != tocsin.CodeInvalid || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an invalid-input error with %q", err, test.want)
			}
		})
	}
	if _, err := app.New(app.Config{Roles: app.Serve | app.Work, SecretKey: key, DatabaseURL: url}); err != nil {
		t.Errorf("a complete configuration: %v", err)
	}
}

func TestNewLogger(t *testing.T) {
	var out bytes.Buffer
	log, err := app.NewLogger(&out, "warn", "json")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("quiet")
	log.Warn("loud", "secret", tocsin.NewSecret("hunter2"))
	if got := out.String(); strings.Contains(got, "quiet") || !strings.Contains(got, `"msg":"loud"`) || strings.Contains(got, "hunter2") {
		t.Errorf("logged %s", got)
	}
	if _, err := app.NewLogger(&out, "", "xml"); err == nil || !strings.Contains(err.Error(), "text, json") {
		t.Errorf("got %v, want what is allowed", err)
	}
}

func TestRetention(t *testing.T) {
	const day = 24 * time.Hour
	tests := []struct {
		env  variables
		want tocsin.Retention
		err  string
	}{
		{env: variables{}, want: app.DefaultRetention},
		{env: variables{"TOCSIN_RETENTION": "7d"}, want: tocsin.Retention{History: 7 * day, Keys: 30 * day, Audit: 365 * day, Refs: 365 * day}},
		{env: variables{"TOCSIN_RETENTION": "90d"}, want: tocsin.Retention{History: 90 * day, Keys: 90 * day, Audit: 365 * day, Refs: 365 * day}},
		{
			env:  variables{"TOCSIN_RETENTION": "7d", "TOCSIN_DEDUPE_WINDOW": "10d12h", "TOCSIN_AUDIT_RETENTION": "400d"},
			want: tocsin.Retention{History: 7 * day, Keys: 252 * time.Hour, Audit: 400 * day, Refs: 365 * day},
		},
		{env: variables{"TOCSIN_RETENTION": "7d", "TOCSIN_DEDUPE_WINDOW": "6d"}, err: "TOCSIN_DEDUPE_WINDOW: 144h is shorter than TOCSIN_RETENTION, 168h"},
		{env: variables{"TOCSIN_RETENTION": "a week"}, err: `TOCSIN_RETENTION: "a week" is not a duration`},
		{env: variables{"TOCSIN_AUDIT_RETENTION": "0s"}, err: `TOCSIN_AUDIT_RETENTION: "0s" is not more than nothing`},
	}
	for _, test := range tests {
		got, err := app.ParseRetention(test.env.get)
		if test.err != "" {
			if tocsin.CodeOf(err) != tocsin.CodeInvalid || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%v: got %v, want %q", test.env, err, test.err)
			}
			continue
		}
		if err != nil || got != test.want {
			t.Errorf("%v: got %+v (%v), want %+v", test.env, got, err, test.want)
		}
	}
}

func TestSlotsOfAWorker(t *testing.T) {
	config := func(text string) (app.Config, error) {
		settings, err := app.ParseFlags("tocsin-worker", nil, app.Work, variables{"TOCSIN_SLOTS": text}.get, nil)
		if err != nil {
			t.Fatal(err)
		}
		return settings.Config(new(bytes.Buffer))
	}
	for text, want := range map[string]int{"": 0, "4": 4, "250": 250, "100000": 100_000} {
		if got, err := config(text); err != nil || got.Slots != want {
			t.Errorf("TOCSIN_SLOTS=%q makes %d slots (%v), want %d", text, got.Slots, err, want)
		}
	}
	for _, text := range []string{"3", "0", "-1", "100001", "many", "1e3"} {
		if _, err := config(text); err == nil || !strings.Contains(err.Error(), "TOCSIN_SLOTS") || !strings.Contains(err.Error(), "4 to 100000") {
			t.Errorf("TOCSIN_SLOTS=%q: %v, want an error that names the setting and what is allowed", text, err)
		}
	}
}
