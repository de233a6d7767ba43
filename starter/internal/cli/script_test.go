package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/tools/txtar"
	"rsc.io/script"
	"rsc.io/script/scripttest"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/starter/internal/cli"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
)

// TestMain is also the program that scripts run: under the name of tocsin, this binary is
// the command line.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "tocsin" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		context.AfterFunc(ctx, stop)
		os.Exit(cli.Run(ctx, cli.Env{
			Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Environ: os.Environ, Version: "v0.0.0-test",
		}, os.Args[1:]))
	}
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	// The cluster that all tests share lives as long as this process.
	cluster := goleak.IgnoreAnyFunction("github.com/tocsin-alerts/tocsin/store/postgres/pgtest.(*Cluster).Restart.func1")
	if err := goleak.Find(cluster); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// TestScripts runs every scenario in testdata: the command line as a process of its own
// against the real API on a store of its own.
func TestScripts(t *testing.T) {
	runScripts(t, filepath.Join("testdata", "*.txtar"), func(t *testing.T, state *script.State) map[string]script.Cmd {
		text := tocsin.GenerateKey("test")
		ring, err := tocsin.ParseKeyRing(text)
		if err := errors.Join(err, state.Setenv("TOCSIN_SECRET_KEY", text)); err != nil {
			t.Fatal(err)
		}
		sys := &system{ring: ring, path: state.Path("tocsin.db")}
		t.Cleanup(sys.stop)
		return sys.commands()
	})
}

// TestScriptsOnPostgres runs the scenarios in testdata/postgres, on a fresh database
// that nobody has migrated.
func TestScriptsOnPostgres(t *testing.T) {
	url := pgtest.URL(t)
	runScripts(t, filepath.Join("testdata", "postgres", "*.txtar"), func(t *testing.T, state *script.State) map[string]script.Cmd {
		if err := errors.Join(state.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1"), state.Setenv("TOCSIN_DATABASE_URL", url)); err != nil {
			t.Fatal(err)
		}
		return nil
	})
}

// runScripts runs each script that a pattern names, in a folder that holds its files.
// Setup prepares one, and returns the commands that it has besides those of all.
func runScripts(t *testing.T, pattern string, setup func(*testing.T, *script.State) map[string]script.Cmd) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts at %s: %v", pattern, err)
	}
	env := environment(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			state := newState(t, env, archive)
			commands := everyCommand()
			for name, cmd := range setup(t, state) {
				commands[name] = cmd
			}
			engine := &script.Engine{Cmds: commands, Conds: scripttest.DefaultConds(), Quiet: !testing.Verbose()}
			scripttest.Run(t, engine, state, file, bufio.NewReader(bytes.NewReader(archive.Comment)))
		})
	}
}

// environment is what scripts know of the machine: where programs are, tocsin among them.
func environment(t *testing.T) []string {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(program, filepath.Join(bin, "tocsin")); err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=" + bin + string(filepath.ListSeparator) + os.Getenv("PATH")}
	if covered, ok := os.LookupEnv("GOCOVERDIR"); ok {
		env = append(env, "GOCOVERDIR="+covered)
	}
	return env
}

// newState is a script's folder and environment.
func newState(t *testing.T, env []string, archive *txtar.Archive) *script.State {
	work := t.TempDir()
	ctx := t.Context()
	if deadline, ok := t.Deadline(); ok { // a script that hangs is shown before the test binary is killed
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-time.Until(deadline)/20))
		t.Cleanup(cancel)
	}
	state, err := script.NewState(ctx, work, append(env, "HOME="+work, "WORK="+work, "TMPDIR="+t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, file := range archive.Files {
		if seen[file.Name] {
			t.Fatalf("file %s is there twice", file.Name)
		}
		seen[file.Name] = true
	}
	if err := state.ExtractFiles(archive); err != nil {
		t.Fatal(err)
	}
	return state
}

// A script that is mistaken fails, also where it wants a command to fail.
func TestMistakesAreNotWantedFailures(t *testing.T) {
	for _, line := range []string{
		"! grep anything nowhere", "! stdout '('", "! stderr", "! cmp stdout nowhere", "! exec no-such-program",
		"exits 1 no-such-program", "exits 1 sh -c 'exit 2'", "exits 0 sh -c 'exit 1'", "! exits 1 sh -c 'exit 1'", "exits no sh", "! nothing",
	} {
		state := newState(t, environment(t), &txtar.Archive{})
		engine := &script.Engine{Cmds: everyCommand()}
		var log strings.Builder
		if err := engine.Execute(state, "line", bufio.NewReader(strings.NewReader(line)), &log); err == nil {
			t.Errorf("%s passes", line)
		}
		if err := state.CloseAndWait(&log); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}
