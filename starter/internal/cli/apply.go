package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tocsin-alerts/tocsin/workflows"
)

const applyLong = `Make the webhooks what the files say. A file holds a list under the key webhooks, each
item an object as the API takes it:

  webhooks:
    - name: soc
      channel: webhook
      events: [threat, {type: finding.critical, collections: [payments]}]
      min_severity: high
      frequency: instant
      config:
        url: https://soc.example.com/hooks/tocsin
        headers: {X-Token: "${env:SOC_TOKEN}"}

A file says all there is: a field it leaves out returns to its default (but a generated
secret stays). ${env:NAME} within config is replaced from the environment. Keys that
begin with x- beside webhooks are ignored, to put YAML anchors under.

The server validates everything first; when anything is wrong nothing is applied.
Nor is a step when somebody else has changed its webhook since the plan was made.
Applying the same files again changes nothing. Webhooks in no file are left alone, or
deleted with --prune, which asks unless --yes is given.`

type applyFlags struct {
	files              []string
	prune, dryRun, yes bool
}

func (p *program) webhooksApply() *cobra.Command {
	var flags applyFlags
	cmd := &cobra.Command{
		Use: "apply -f FILE", Short: "Create and change webhooks as YAML files say",
		Long: applyLong + updateHelp(workflows.UpdateConfigure, `{"settings": {"run_every": "30m"}}`),
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.apply(cmd.Context(), flags) },
	}
	cmd.Flags().StringArrayVarP(&flags.files, "file", "f", nil, "`FILE` to read, - for standard input; may be repeated")
	cmd.Flags().BoolVar(&flags.prune, "prune", false, "delete webhooks that are in no file")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "show the plan and change nothing")
	cmd.Flags().BoolVarP(&flags.yes, "yes", "y", false, "delete without asking")
	return cmd
}

// applied is what -o json prints.
type applied struct {
	Applied bool   `json:"applied"`
	Steps   []step `json:"steps"`
}

func (p *program) apply(ctx context.Context, flags applyFlags) error {
	if len(flags.files) == 0 {
		return usagef("tocsin webhooks apply needs -f FILE, or -f - for standard input")
	}
	api, err := p.client()
	if err != nil {
		return err
	}
	want, err := p.loadWebhooks(flags.files)
	if err != nil {
		return err
	}
	planner := &planner{api: api, want: want, wanted: map[string]bool{}, prune: flags.prune, bar: p.progress("validating")}
	for _, w := range want {
		planner.wanted[w.name] = true
	}
	if planner.have, err = api.allWebhooks(ctx); err != nil {
		return err
	}
	steps, err := planner.plan(ctx)
	if err != nil {
		return err
	}
	text := p.Stdout
	if p.output == "json" {
		text = io.Discard
	}
	pending := printPlan(text, steps)
	if pending && !flags.dryRun {
		if err := p.confirmDeletions(steps, flags); err != nil {
			return err
		}
		err = api.carryOut(ctx, text, steps, p.progress("applying"))
	}
	if p.output == "json" {
		// Also after an error: the secrets of what was created are shown only here.
		if printing := printJSON(p.Stdout, applied{pending && !flags.dryRun && err == nil, steps}); err == nil {
			err = printing
		}
	}
	return err
}

// printPlan shows the steps and reports whether there is anything to do.
func printPlan(w io.Writer, steps []step) bool {
	count := map[action]int{}
	for _, s := range steps {
		count[s.Action]++
		fmt.Fprintf(w, "%s %s (%s)\n", signs[s.Action], clean(s.Name), clean(s.Channel))
		for _, c := range s.Changes {
			fmt.Fprintf(w, "    %s: %s\n", clean(c.Field), c)
		}
	}
	if count[keep] == len(steps) {
		fmt.Fprintf(w, "nothing to change: %d as they should be\n", len(steps))
		return false
	}
	fmt.Fprintf(w, "%d to create, %d to change, %d to delete, %d as they should be\n", count[create], count[modify], count[remove], count[keep])
	return true
}

// String shows the difference on one line. Two secrets look the same, so that they
// differ is said.
func (c change) String() string {
	from, to := compact(c.From), compact(c.To)
	if c.Secret && from == to {
		return "(secret) changed"
	}
	return from + " -> " + to
}

// compact shows a value of a difference on one line.
func compact(value any) string {
	if value == nil {
		return "nothing"
	}
	var b strings.Builder
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	if err := out.Encode(value); err != nil { // values come from JSON, so they go back
		return clean(fmt.Sprint(value))
	}
	return clean(strings.TrimSpace(b.String()))
}

// confirmDeletions asks before anything is applied.
func (p *program) confirmDeletions(steps []step, flags applyFlags) error {
	var names []string
	for _, s := range steps {
		if s.Action == remove {
			names = append(names, s.Name)
		}
	}
	if len(names) == 0 || flags.yes {
		return nil
	}
	if slices.Contains(flags.files, "-") {
		return usagef("deleting %s needs --yes, since standard input is taken; nothing was applied", strings.Join(names, ", "))
	}
	return p.confirm("deleting " + strings.Join(names, ", "))
}

// confirm asks on standard error. Only "yes" and "y" are yes.
func (p *program) confirm(what string) error {
	if p.output == "json" {
		return usagef("%s needs --yes with -o json, where nobody is asked; nothing was done", what)
	}
	fmt.Fprintf(p.Stderr, "%s: what is owed will be suppressed. Sure? [y/N] ", clean(what))
	answer, err := bufio.NewReader(p.Stdin).ReadString('\n')
	answer = strings.ToLower(strings.TrimSpace(answer))
	if answer == "y" || answer == "yes" {
		return nil
	}
	fmt.Fprintln(p.Stderr)
	if err != nil {
		return usagef("%s needs --yes where nobody can be asked; nothing was done", what)
	}
	return usagef("%s was not confirmed; nothing was done", what)
}

// carryOut applies the steps in order. When one fails, those before it stay applied:
// applying the files again goes on from there.
func (c *apiClient) carryOut(ctx context.Context, w io.Writer, steps []step, bar *progress) error {
	defer bar.end()
	for i := range steps {
		s := &steps[i]
		bar.at(int64(i), int64(len(steps)), fmt.Sprintf("%d of %d webhooks", i, len(steps)))
		if err := c.do(ctx, s); err != nil {
			return fmt.Errorf("%s webhook %q (step %d of %d; those before are done): %w", doing[s.Action], s.Name, i+1, len(steps), err)
		}
		if s.Action != keep {
			bar.end()
			fmt.Fprintf(w, "%s %s (%s)\n", was[s.Action], clean(s.Name), s.ID)
		}
		printGenerated(w, s.Generated)
	}
	return nil
}

// What a step does, and did.
var (
	doing = map[action]string{create: "creating", modify: "changing", remove: "deleting"}
	was   = map[action]string{create: "created", modify: "changed", remove: "deleted"}
)

func (c *apiClient) do(ctx context.Context, s *step) error {
	var answer struct {
		ID        string            `json:"id"`
		Generated map[string]string `json:"generated"`
	}
	path := "/v1/webhooks/" + url.PathEscape(s.ID)
	switch s.Action {
	case create:
		err := c.call(ctx, http.MethodPost, "/v1/webhooks", nil, s.body, &answer)
		s.ID, s.Generated = answer.ID, answer.Generated
		return err
	case modify:
		err := c.callIf(ctx, s.tag, http.MethodPatch, path, s.body, &answer)
		s.Generated = answer.Generated
		return err
	case remove:
		return c.callIf(ctx, s.tag, http.MethodDelete, path, nil, nil)
	}
	return nil
}

// printGenerated shows fresh secrets, which no later command can.
func printGenerated(w io.Writer, secrets map[string]string) {
	names := make([]string, 0, len(secrets))
	for name := range secrets {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(w, "    %s: %s  (shown only now: keep it)\n", clean(name), clean(secrets[name]))
	}
}
