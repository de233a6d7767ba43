// Package cli is the command line of tocsin. Commands talk to the HTTP API; only serve,
// migrate, keys, secrets, prune and ledger --verify open the store themselves.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// Env is the process around a command. All fields are required.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Version        string
}

// exitCodes is how errors leave the command line; errors.go of package tocsin names
// the same numbers beside each code.
var exitCodes = map[tocsin.Code]int{
	tocsin.CodeInvalid: 2, tocsin.CodeMalformed: 2, tocsin.CodeTooLarge: 2, tocsin.CodeUnsupported: 2,
	tocsin.CodeNotFound:     3,
	tocsin.CodeUnauthorized: 4, tocsin.CodeForbidden: 4,
	tocsin.CodeConflict:    5,
	tocsin.CodeUnavailable: 6,
	tocsin.CodeInternal:    1,
}

// Run runs one command and returns the exit code of the process. Errors are printed to
// Stderr.
func Run(ctx context.Context, env Env, args []string) int {
	root := newRoot(env)
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	printError(env.Stderr, err)
	code, known := exitCodes[tocsin.CodeOf(err)]
	if !known {
		code = 1
	}
	return code
}

const rootLong = `tocsin is a durable alert pipeline for agentic systems: producers report events,
webhooks say who wants what, where and how often.

Commands talk to the HTTP API at TOCSIN_API_URL (default http://127.0.0.1:8080) with
the key in TOCSIN_API_KEY. Only serve, migrate, keys, secrets, prune and ledger --verify
open the store (TOCSIN_DATABASE_URL) themselves. Changes are written to the audit log
(tocsin audit list) either way.

Exit codes:
  0  done
  1  anything not named below
  2  bad input or usage
  3  not found
  4  no key, a wrong key, or a key without the scope
  5  conflict: a name is taken, or something changed meanwhile
  6  unavailable: the API or the store is away; try again`

// program is what the commands share.
type program struct {
	Env
	output string
	apiURL string
}

func newRoot(env Env) *cobra.Command {
	p := &program{Env: env}
	root := group(&cobra.Command{
		Use: "tocsin", Short: "A durable alert pipeline for agentic systems", Long: rootLong,
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if p.output != "text" && p.output != "json" {
				return usagef("--output %q: allowed: text, json", p.output)
			}
			return nil
		},
	})
	root.PersistentFlags().StringVarP(&p.output, "output", "o", "text", "text or json")
	root.PersistentFlags().StringVar(&p.apiURL, "api-url", "", "`URL` of the API (TOCSIN_API_URL; default "+defaultAPIURL+")")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%v; see %s --help", err, cmd.CommandPath())
	})
	root.AddCommand(p.serve(), p.webhooks(), p.events(), p.deliveries(), p.incidents(), p.replay(), p.mutes(), p.ledger(),
		p.keys(), p.secrets(), p.audit(), p.prune(), p.migrate(), p.version())
	return root
}

// group makes a command that only holds others: alone it prints its help, and a word
// that is none of them is a usage error with a suggestion.
func group(cmd *cobra.Command, children ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(children...)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		message := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			message += "; did you mean " + strings.Join(near, " or ") + "?"
		}
		return usagef("%s; see %s --help", message, cmd.CommandPath())
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.SuggestionsMinimumDistance = 2
	return cmd
}

// exactly wants one argument for each name.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		if len(names) == 0 {
			return usagef("%s takes no arguments, not %q", cmd.CommandPath(), args[0])
		}
		return usagef("%s takes %s, not %d arguments", cmd.CommandPath(), strings.Join(names, " and "), len(args))
	}
}

// usagef is an error of the person at the keyboard: exit code 2.
func usagef(format string, args ...any) error {
	return tocsin.Errorf(tocsin.CodeInvalid, format, args...)
}

// printError writes the message, then one line for each field.
func printError(w io.Writer, err error) {
	var e *tocsin.Error
	if !errors.As(err, &e) || len(e.Fields) == 0 {
		fmt.Fprintf(w, "tocsin: %s\n", clean(err.Error()))
		return
	}
	headline := *e
	headline.Fields = nil
	text := err.Error()
	if prefix, ok := strings.CutSuffix(text, e.Error()); ok {
		text = prefix + headline.Error()
	}
	fmt.Fprintf(w, "tocsin: %s\n", clean(text))
	for _, f := range e.Fields {
		fmt.Fprintf(w, "  %s\n", clean(fieldText(f)))
	}
}
