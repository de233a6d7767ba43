// Package cli is the command line of tocsin. Commands talk to the HTTP API; only serve,
// migrate, keys, secrets, prune, ledger --verify and doctor open the store themselves.
package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// Env is the process around a command. All fields but Environ are required.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Version        string
	// Environ lists the variables there are, for mistyped ones to be found; nil: none are.
	Environ func() []string
}

// Run runs one command and returns the exit code of the process. Errors are printed to
// Stderr.
func Run(ctx context.Context, env Env, args []string) int {
	p := &program{Env: env}
	root := p.root()
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if p.output == "json" || wantsJSON(args) {
		printProblem(env.Stderr, err)
	} else {
		printError(env.Stderr, err)
	}
	return exitOf(tocsin.CodeOf(err)).number
}

const rootIntro = `tocsin is a durable alert pipeline for agentic systems: producers report events,
webhooks say who wants what, where and how often.

Commands talk to the HTTP API at TOCSIN_API_URL (default http://127.0.0.1:8080) with
the key in TOCSIN_API_KEY. Only serve, migrate, keys, secrets, prune, ledger --verify and
doctor open the store (TOCSIN_DATABASE_URL) themselves. Changes are written to the audit
log (tocsin audit list) either way.

With -o json every command writes one JSON document, of the API's own shape where it
shows what the API answers; an error is a problem document (RFC 9457) on standard error.
Long work shows how far it is on standard error, unless -o json or --quiet is given.

New here? tocsin init writes a webhooks.yaml with comments, tocsin webhooks apply -f
makes it so, and tocsin doctor checks the installation and says how to mend it.

Exit codes:
`

func rootLong() string {
	var lines []string
	for _, e := range exitCodes {
		lines = append(lines, fmt.Sprintf("  %d  %s", e.number, e.title))
	}
	return rootIntro + strings.Join(lines, "\n")
}

// program is what the commands share.
type program struct {
	Env
	output string
	apiURL string
	quiet  bool
}

func (p *program) root() *cobra.Command {
	root := group(&cobra.Command{
		Use: "tocsin", Short: "A durable alert pipeline for agentic systems", Long: rootLong(),
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
	root.PersistentFlags().BoolVarP(&p.quiet, "quiet", "q", false, "do not show how far long work is")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%v; see %s --help", err, cmd.CommandPath())
	})
	root.AddCommand(p.serve(), p.webhooks(), p.events(), p.deliveries(), p.incidents(), p.replay(), p.mutes(), p.ledger(),
		p.keys(), p.secrets(), p.audit(), p.prune(), p.migrate(), p.init(), p.doctor(), p.version())
	ownCompletion(root)
	p.completions(root)
	return root
}

// ownCompletion makes the library's command for shells answer mistakes as ours do.
func ownCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() != "completion" {
			continue
		}
		group(cmd)
		for _, shell := range cmd.Commands() {
			shell.Args = exactly()
		}
	}
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
	headline, fields := split(err)
	fmt.Fprintf(w, "tocsin: %s\n", clean(headline))
	for _, f := range fields {
		fmt.Fprintf(w, "  %s\n", clean(fieldText(f)))
	}
}
