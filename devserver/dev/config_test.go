package dev_test

import (
	"errors"
	"flag"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin/devserver/dev"
)

func none(string) string { return "" }

func TestParseFlags(t *testing.T) {
	cfg, err := dev.ParseFlags([]string{"--demo", "--api-addr", "localhost:9000"}, func(name string) string {
		return map[string]string{"TOCSIN_DATA_DIR": "/tmp/elsewhere"}[name]
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if !cfg.Demo || cfg.APIAddr != "localhost:9000" || cfg.DataDir != "/tmp/elsewhere" || cfg.TemporalAddr != "127.0.0.1:7233" || cfg.UIAddr != "127.0.0.1:8233" {
		t.Errorf("got %+v", cfg)
	}
}

func TestTemporalOnlyNeedsNoAPIAddress(t *testing.T) {
	if _, err := dev.ParseFlags([]string{"--temporal-only", "--temporal-addr", "127.0.0.1:8080"}, none, io.Discard); err != nil {
		t.Errorf("the API's default address is not free for others: %v", err)
	}
}

func TestParseFlagsRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"any address":   {[]string{"--api-addr", "0.0.0.0:8080"}, "not on loopback"},
		"no host":       {[]string{"--api-addr", ":8080"}, "not on loopback"},
		"public":        {[]string{"--api-addr", "192.0.2.7:8080"}, "not on loopback"},
		"a name":        {[]string{"--api-addr", "example.com:8080"}, "not on loopback"},
		"no port":       {[]string{"--api-addr", "127.0.0.1"}, "want host:port"},
		"an argument":   {[]string{"serve"}, `no arguments, only flags: "serve"`},
		"equal":         {[]string{"--api-addr", "127.0.0.1:8233"}, "-api-addr and -ui-addr are both 127.0.0.1:8233; give each a port of its own"},
		"equal metrics": {[]string{"--temporal-metrics-addr", "127.0.0.1:7233"}, "-temporal-addr and -temporal-metrics-addr are both"},
		"no demo":       {[]string{"--temporal-only", "--demo"}, "the demo needs the API"},
		"equal by name": {[]string{"--api-addr", "localhost:9000", "--temporal-addr", "127.0.0.1:9000"}, "-api-addr and -temporal-addr are both"},
		"everywhere":    {[]string{"--temporal-addr", "0.0.0.0:9000", "--ui-addr", "127.0.0.1:9000"}, "-temporal-addr and -ui-addr are both"},
		"unknown":       {[]string{"--frob"}, "see tocsin-dev --help"},
		"no duration":   {[]string{"--retention", "soon"}, `TOCSIN_RETENTION: "soon"`},
		"forgetful":     {[]string{"--retention", "60d", "--dedupe-window", "30d"}, "TOCSIN_DEDUPE_WINDOW: 720h is shorter"},
		"a broken path": {[]string{"--data-dir", "/tmp/what?"}, "misread"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := dev.ParseFlags(test.args, none, io.Discard); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestRetentionIsAsForServe(t *testing.T) {
	set := map[string]string{"TOCSIN_RETENTION": "7d", "TOCSIN_AUDIT_RETENTION": "90d"}
	cfg, err := dev.ParseFlags([]string{"--audit-retention", "10d"}, func(name string) string { return set[name] }, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	const day = 24 * time.Hour
	if r := cfg.Retention; r.History != 7*day || r.Keys != 30*day || r.Audit != 10*day {
		t.Errorf("got %+v", r)
	}
}

func TestHelp(t *testing.T) {
	var help strings.Builder
	if _, err := dev.ParseFlags([]string{"--help"}, none, &help); !errors.Is(err, flag.ErrHelp) || !strings.Contains(help.String(), "TOCSIN_RETENTION") {
		t.Errorf("got %v and %q", err, help.String())
	}
}
