package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	tocsin "github.com/tocsin-alerts/tocsin"
)

const tryLong = `

With -f the settings are a file's, as ` + "`webhooks apply`" + ` takes it, and are not saved; NAME
picks one of several. Where a webhook of that name is stored already, its secrets stay.`

// orFile lets a command that takes a stored webhook take one of a file instead, which is
// not saved. try does then what the command does.
func (p *program) orFile(cmd *cobra.Command, try func(context.Context, string, string) error) *cobra.Command {
	var file string
	stored, takes := cmd.RunE, cmd.Args
	verb, _, _ := strings.Cut(cmd.Use, " ")
	cmd.Use = verb + " NAME|ID, or " + verb + " -f FILE [NAME]"
	if cmd.Long == "" {
		cmd.Long = cmd.Short + "."
	}
	cmd.Long += tryLong
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if file == "" || len(args) > 1 {
			return takes(cmd, args)
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if file == "" {
			return stored(cmd, args)
		}
		return try(cmd.Context(), file, strings.Join(args, ""))
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "`FILE` with settings to try, - for standard input")
	return cmd
}

func (p *program) tryTest(ctx context.Context, file, name string) error {
	return p.tryAndJudge(ctx, "test", "testing", file, name)
}

func (p *program) tryCheck(ctx context.Context, file, name string) error {
	return p.tryAndJudge(ctx, "check", "checking", file, name)
}

func (p *program) tryAndJudge(ctx context.Context, verb, doing, file, name string) error {
	w, v, err := tried(ctx, p, verb, file, name, printTest)
	if err == nil && !v.OK {
		err = fmt.Errorf("%s %s: %s", doing, w.name, v.Error)
	}
	return err
}

func (p *program) tryPreview(ctx context.Context, file, name string) error {
	_, _, err := tried(ctx, p, "preview", file, name, func(w io.Writer, v struct {
		page[tocsin.Exchange]
		Origin string `json:"origin"`
	}) error {
		for _, x := range v.Items {
			printExchange(w, x)
		}
		return nil
	})
	return err
}

// webhooksMatch shows which of the newest events a webhook would be owed.
func (p *program) webhooksMatch() *cobra.Command {
	cmd := &cobra.Command{
		Use: "match NAME|ID", Short: "Show which of the last 100 events a webhook's settings match", Args: exactly("NAME or ID"),
		Long: "Show which of the last 100 events a webhook's settings match, and why not the others, as\nif it had been there when they came.",
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := request(cmd.Context(), p, http.MethodPost, "/v1/trials/match", nil, body{"webhook": args[0]}, printMatches)
			return err
		},
	}
	return p.orFile(cmd, func(ctx context.Context, file, name string) error {
		_, _, err := tried(ctx, p, "match", file, name, printMatches)
		return err
	})
}

// matchesView is what the API says of a match.
type matchesView struct {
	Summary string `json:"summary"`
	Items   []struct {
		Source   string          `json:"source"`
		ID       string          `json:"id"`
		Type     string          `json:"type"`
		Severity tocsin.Severity `json:"severity"`
		Verdict  struct {
			Matched bool   `json:"matched"`
			Clause  string `json:"clause"`
			Detail  string `json:"detail"`
			Note    string `json:"note"`
		} `json:"verdict"`
	} `json:"items"`
}

func printMatches(w io.Writer, v matchesView) error {
	if len(v.Items) > 0 {
		t := newTable(w, "MATCHES", "TYPE", "SEVERITY", "SOURCE", "ID", "WHY")
		for _, e := range v.Items {
			matches, why := "no", e.Verdict.Clause+": "+e.Verdict.Detail
			if e.Verdict.Matched {
				matches, why = "yes", e.Verdict.Note
			}
			t.row(matches, e.Type, e.Severity, e.Source, e.ID, why)
		}
		if err := t.flush(); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w, clean(v.Summary))
	return err
}

// tried sends a file's webhook to a trial and prints the answer. What the server refuses is
// said with the file's lines.
func tried[T any](ctx context.Context, p *program, verb, file, name string, text func(io.Writer, T) error) (w wanted, v T, err error) {
	all, err := p.loadWebhooks([]string{file})
	if err != nil {
		return w, v, err
	}
	if w, err = pick(all, file, name); err != nil {
		return w, v, err
	}
	form, err := p.draft(ctx, all, w)
	if err != nil {
		return w, v, err
	}
	v, err = request(ctx, p, http.MethodPost, "/v1/trials/"+verb, nil, form, text)
	var refused *tocsin.Error
	if errors.As(err, &refused) && len(refused.Fields) > 0 {
		var wrong complaints
		wrong.addRefused(w, refused)
		err = wrong.err("nothing was tried, since the webhook is not valid")
	}
	return w, v, err
}

// pick finds the webhook to try among those of a file.
func pick(all []wanted, file, name string) (wanted, error) {
	var names []string
	for _, w := range all {
		if w.name == name || name == "" && len(all) == 1 {
			return w, nil
		}
		names = append(names, w.name)
	}
	if name == "" {
		return wanted{}, usagef("%s holds %d webhooks; name one of: %s", file, len(all), strings.Join(names, ", "))
	}
	return wanted{}, usagef("%s holds no webhook %q; it holds: %s", file, name, strings.Join(names, ", "))
}

// draft is what a trial of one of a file's webhooks is sent: a patch where it is stored.
func (p *program) draft(ctx context.Context, all []wanted, w wanted) (map[string]any, error) {
	api, err := p.client()
	if err != nil {
		return nil, err
	}
	have, err := api.allWebhooks(ctx)
	if err != nil {
		return nil, err
	}
	plan := &planner{api: api, have: have, want: all, wanted: map[string]bool{}}
	for _, other := range all {
		plan.wanted[other.name] = true
	}
	settings, _ := plan.withoutLate(w)
	if stored, exists := have[w.name]; exists {
		return map[string]any{"webhook": stored.ID, "settings": patch(settings, stored.object)}, nil
	}
	return map[string]any{"settings": settings}, nil
}
