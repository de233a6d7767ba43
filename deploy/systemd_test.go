package deploy_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/app"
)

// units are the units by name, a template as an instance of itself.
var units = map[string]string{
	"tocsin-migrate.service":     "tocsin-migrate.service",
	"tocsin-serve.service":       "tocsin-serve.service",
	"tocsin-worker@9091.service": "tocsin-worker@.service",
}

// directives are the settings of a unit; one that is set twice has its values in order.
func directives(t *testing.T, file string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for line := range strings.Lines(read(t, filepath.Join("systemd", file))) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			all[name] = append(all[name], value)
		}
	}
	return all
}

// example are the settings of systemd/tocsin.env.example, those that are commented out
// included.
func example(t *testing.T) map[string]string {
	t.Helper()
	env := map[string]string{}
	for line := range strings.Lines(read(t, "systemd/tocsin.env.example")) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "#")
		if name, value, ok := strings.Cut(line, "="); ok && !strings.Contains(name, " ") {
			env[name] = value
		}
	}
	env["TOCSIN_SECRET_KEY"] = tocsin.GenerateKey("test") // the example has none
	return env
}

// The programs take the flags and the settings that the units give them, and are given
// the time to stop that they need.
func TestSystemdUnitsFitThePrograms(t *testing.T) {
	known, env := settingsInSource(t), example(t)
	for name := range env {
		if strings.HasPrefix(name, "TOCSIN_") && !strings.Contains(known, `"`+name+`"`) {
			t.Errorf("tocsin.env.example sets %s, which nothing reads", name)
		}
	}
	for unit, file := range units {
		d := directives(t, file)
		command := strings.Fields(strings.ReplaceAll(d["ExecStart"][0], "%i", "9091"))
		program, args := command[0], command[1:]
		role := app.Work
		if program == "/usr/local/bin/tocsin" {
			role, args = app.Serve, args[1:]
		}
		if unit == "tocsin-migrate.service" {
			if got := strings.Join(command[1:], " "); got != "migrate" {
				t.Errorf("%s runs tocsin %s", unit, got)
			}
			continue
		}
		settings, err := app.ParseFlags(unit, args, role, func(name string) string { return env[name] }, io.Discard)
		if err != nil {
			t.Errorf("%s: %v", unit, err)
			continue
		}
		cfg, err := settings.Config(io.Discard)
		if err == nil {
			_, err = app.New(cfg)
		}
		if err != nil || cfg.MetricsListen == "" {
			t.Errorf("%s: %v; metrics at %q", unit, err, cfg.MetricsListen)
		}
		seconds, err := time.ParseDuration(d["TimeoutStopSec"][0] + "s")
		if err != nil || seconds <= app.DefaultStopTimeout {
			t.Errorf("%s is killed after %s, and may take %s to stop (%v)", unit, seconds, app.DefaultStopTimeout, err)
		}
	}
}

// systemd itself reads the units without a complaint, and finds little that they expose.
func TestSystemdUnitsAreSound(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("skipped: systemd-analyze is not installed")
	}
	// A machine of its own, on which the programs are where the units expect them.
	root := t.TempDir()
	write := func(path, content string) {
		t.Helper()
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil { // #nosec G306 -- a program
			t.Fatal(err)
		}
	}
	write("usr/local/bin/tocsin", "#!/bin/sh\n")
	write("usr/local/bin/tocsin-worker", "#!/bin/sh\n")
	for _, target := range []string{"network-online", "multi-user", "basic", "sysinit", "shutdown"} {
		write("usr/lib/systemd/system/"+target+".target", "[Unit]\nDescription="+target+"\n")
	}
	names := []string{}
	for unit, file := range units {
		write("etc/systemd/system/"+unit, read(t, filepath.Join("systemd", file)))
		names = append(names, unit)
	}
	run := func(args ...string) {
		t.Helper()
		out, err := exec.Command("systemd-analyze", append(args, names...)...).CombinedOutput()
		if err != nil {
			t.Errorf("systemd-analyze %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	run("verify", "--root="+root, "--man=no")
	// Exposure from 0 to 10; the network is what is left.
	run("security", "--offline=yes", "--root="+root, "--threshold=15")
}
