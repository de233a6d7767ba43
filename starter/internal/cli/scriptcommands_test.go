package cli_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"regexp/syntax"
	"strconv"
	"strings"

	"rsc.io/script"
	"rsc.io/script/scripttest"

	"github.com/tocsin-alerts/tocsin"
)

// everyCommand returns the commands of every script: those of rsc.io/script, and
//
//	exits CODE cmd…   run a command and want that exit code
//	env-file VAR FILE set a variable to what a file holds
func everyCommand() map[string]script.Cmd {
	commands := scripttest.DefaultCmds()
	for _, name := range []string{"cmp", "exec", "grep", "stderr", "stdout"} {
		commands[name] = unforgiven(commands[name])
	}
	commands["exits"] = exits(commands["exec"])
	commands["env-file"] = command("VAR FILE", "set a variable to what a file holds", 2, func(s *script.State, args []string) error {
		text, err := os.ReadFile(s.Path(args[1]))
		if err != nil {
			return err
		}
		return s.Setenv(args[0], strings.TrimSpace(string(text)))
	})
	return commands
}

// commands returns those of scripts with a server side:
//
//	server [keys]     start the API; with keys it asks for them
//	shutdown          stop the API, so that commands can open the store
//	deliver NAME      make one pass of the Deliver activity for a webhook
//	replayed STATE    wait for a replay that runs, and end it in that state
//	miscount          put one event too many into the ledger of the stopped store
func (s *system) commands() map[string]script.Cmd {
	return map[string]script.Cmd{
		"server": script.Command(script.CmdUsage{Args: "[keys]", Summary: "start the API; with keys it asks for them"},
			func(state *script.State, args ...string) (script.WaitFunc, error) {
				if len(args) > 1 || len(args) == 1 && args[0] != "keys" {
					return nil, script.ErrUsage
				}
				return nil, s.start(state, len(args) == 1)
			}),
		"shutdown": command("", "stop the API", 0, func(*script.State, []string) error {
			s.stop()
			return nil
		}),
		"deliver": command("NAME", "make one pass of Deliver", 1, func(_ *script.State, args []string) error {
			return s.deliver(args[0])
		}),
		"replayed": command("STATE", "end the replay that runs", 1, func(state *script.State, args []string) error {
			return s.replayed(state.Context(), tocsin.ReplayState(args[0]))
		}),
		"miscount": command("", "put one event too many into the ledger", 0, func(*script.State, []string) error {
			return miscount(s.path)
		}),
	}
}

// command is one with a fixed number of arguments and no output.
func command(args, summary string, count int, run func(*script.State, []string) error) script.Cmd {
	return script.Command(script.CmdUsage{Args: args, Summary: summary}, func(s *script.State, args ...string) (script.WaitFunc, error) {
		if len(args) != count {
			return nil, script.ErrUsage
		}
		return nil, run(s, args)
	})
}

// exits runs a command and compares its exit code.
func exits(run script.Cmd) script.Cmd {
	usage := script.CmdUsage{Args: "CODE program [args...]", Summary: "run a program and want an exit code", Async: true}
	return script.Command(usage, func(s *script.State, args ...string) (script.WaitFunc, error) {
		if len(args) < 2 {
			return nil, script.ErrUsage
		}
		want, err := strconv.Atoi(args[0])
		if err != nil {
			return nil, fmt.Errorf("exit code: %w", err)
		}
		wait, err := run.Run(s, args[1:]...)
		if err != nil {
			return nil, err
		}
		return func(s *script.State) (stdout, stderr string, err error) {
			stdout, stderr, err = wait(s)
			return stdout, stderr, compareCode(err, want)
		}, nil
	})
}

func compareCode(err error, want int) error {
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		return err
	}
	if got != want {
		return fmt.Errorf("exit code %d, want %d", got, want)
	}
	return nil
}

// unforgiven makes a command fail its script for the script's own mistakes, a file or a
// program that is not there or a pattern that is none, also behind "!". The engine would
// take them for the failure that is wanted there.
func unforgiven(cmd script.Cmd) script.Cmd {
	return script.Command(*cmd.Usage(), func(s *script.State, args ...string) (script.WaitFunc, error) {
		wait, err := cmd.Run(s, args...)
		if errors.Is(err, script.ErrUsage) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) || errors.As(err, new(*syntax.Error)) {
			err = mistake{err}
		}
		return wait, err
	})
}

// mistake is an error that no "!" wants: the engine wants none that is context.Canceled.
type mistake struct{ error }

func (mistake) Is(target error) bool { return target == context.Canceled }
