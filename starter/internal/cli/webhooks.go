package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"

	"github.com/spf13/cobra"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/workflows"
)

func (p *program) webhooks() *cobra.Command {
	return group(&cobra.Command{Use: "webhooks", Aliases: []string{"webhook"}, Short: "Configure who wants what, where and how often"},
		p.webhooksApply(),
		p.webhooksList(),
		p.webhooksGet(),
		p.webhooksAct("pause", "Stop sending; events are held", "paused", workflows.UpdatePause),
		p.webhooksAct("resume", "Send again, what was held first", "resumed", workflows.UpdateResume),
		p.webhooksAct("run", "Deliver what is owed now, whatever tick or backoff is waited for", "asked to run", workflows.UpdateRunNow),
		p.orFile(p.webhooksTest(), p.tryTest), p.orFile(p.webhooksCheck(), p.tryCheck),
		p.orFile(p.webhooksPreview(), p.tryPreview),
		p.webhooksMatch(),
		p.webhooksRotateSecret(),
		p.webhooksDelete(),
	)
}

// webhookView is a webhook as the API shows it.
type webhookView struct {
	tocsin.Webhook
	tocsin.Activity
	Balance *tocsin.Balance `json:"balance"`
	Facts   factsView       `json:"facts"`
}

func webhookPath(idOrName string, more string) string {
	return "/v1/webhooks/" + url.PathEscape(idOrName) + more
}

// page is one page of a list.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// all reads every page of a list. It sets the query's cursor.
func all[T any](ctx context.Context, c *apiClient, path string, query url.Values) ([]T, error) {
	var items []T
	for {
		var answer page[T]
		if err := c.call(ctx, http.MethodGet, path, query, nil, &answer); err != nil {
			return nil, err
		}
		items = append(items, answer.Items...)
		if answer.Next == "" {
			return items, nil
		}
		query.Set("cursor", answer.Next)
	}
}

// allWebhooks returns the webhooks there are, by name.
func (c *apiClient) allWebhooks(ctx context.Context) (map[string]existing, error) {
	items, err := all[existing](ctx, c, "/v1/webhooks", url.Values{})
	byName := make(map[string]existing, len(items))
	for _, e := range items {
		byName[e.Name] = e
	}
	return byName, err
}

func notNil[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

// delivers says how often, in words.
func delivers(s tocsin.Settings) string {
	if s.Frequency == tocsin.Instant {
		return "at once"
	}
	return "every " + s.RunEvery.String()
}

// show calls the API and prints the answer: as it came for -o json, else by text.
func show[T any](ctx context.Context, p *program, method, path string, query url.Values, text func(io.Writer, T) error) error {
	_, err := fetch(ctx, p, method, path, query, text)
	return err
}

// fetch is show for those who also judge the answer.
func fetch[T any](ctx context.Context, p *program, method, path string, query url.Values, text func(io.Writer, T) error) (value T, err error) {
	return request(ctx, p, method, path, query, nil, text)
}

// request is fetch with a body, which is sent as JSON; nil for none.
func request[T any](ctx context.Context, p *program, method, path string, query url.Values, body any, text func(io.Writer, T) error) (value T, err error) {
	api, err := p.client()
	if err != nil {
		return value, err
	}
	var raw json.RawMessage
	if err := api.call(ctx, method, path, query, body, &raw); err != nil {
		return value, err
	}
	if raw != nil { // nil: 204
		if err := json.Unmarshal(raw, &value); err != nil {
			return value, fmt.Errorf("reading the answer of %s: %w; is TOCSIN_API_URL right?", api.base, err)
		}
	}
	if p.output == "json" && raw != nil {
		return value, printJSON(p.Stdout, raw)
	}
	return value, text(p.Stdout, value)
}

func (p *program) webhooksGet() *cobra.Command {
	return &cobra.Command{
		Use: "get NAME|ID", Short: "Show one webhook: settings, state, ledger", Args: exactly("NAME or ID"),
		Long: "Show one webhook: settings, state, ledger. Secrets show as " + tocsin.Redacted + "." +
			temporalHelp(fmt.Sprintf("temporal workflow query --workflow-id %s --type %s", workflows.WebhookWorkflowID("ID"), workflows.QueryStatus)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd.Context(), p, http.MethodGet, webhookPath(args[0], ""), nil, printWebhook)
		},
	}
}

func printWebhook(w io.Writer, v webhookView) error {
	t := newTable(w)
	t.row("name", v.Name)
	t.row("id", v.ID)
	t.row("channel", v.Channel)
	t.row("state", v.State)
	if v.StateReason != "" {
		t.row("reason", v.StateReason)
	}
	t.row("since", when(&v.StateSince))
	t.row("version", v.Version)
	t.row("delivers", delivers(v.Settings))
	t.row("events", orAll(v.Events))
	t.row("collections", orAll(v.Collections))
	t.row("min severity", v.MinSeverity)
	t.row("filter", v.Filter)
	t.row("batch size", v.BatchSize)
	t.row("fallback", v.Fallback)
	t.row("config", string(v.Config))
	t.row("failures in a row", v.Failures)
	t.row("last error", v.LastError)
	t.row("last delivery", when(v.LastDelivery))
	t.row("due at", when(v.DueAt))
	t.row("next run", when(v.NextRun))
	t.row("oldest owed", when(v.Facts.OldestOwedAt))
	t.row("latest attempts", v.Facts.line())
	if b := v.Balance; b != nil {
		t.row("ledger", balanceLine(*b))
	}
	return t.flush()
}

// orAll shows a list that means everything when it is empty.
func orAll[T any](items []T) string {
	if len(items) == 0 {
		return "all"
	}
	return compact(items)
}

func (p *program) webhooksAct(verb, short, outcome, update string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " NAME|ID", Short: short, Args: exactly("NAME or ID"),
		Long: short + "." + updateHelp(update, "{}"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd.Context(), p, http.MethodPost, webhookPath(args[0], "/"+verb), nil, func(w io.Writer, v webhookView) error {
				_, err := fmt.Fprintf(w, "%s %s: it is %s\n", outcome, clean(v.Name), v.State)
				return err
			})
		},
	}
}

func (p *program) webhooksDelete() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete NAME|ID", Aliases: []string{"rm"}, Short: "Delete a webhook; what it owes is suppressed", Args: exactly("NAME or ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				if err := p.confirm("deleting " + args[0]); err != nil {
					return err
				}
			}
			return show(cmd.Context(), p, http.MethodDelete, webhookPath(args[0], ""), nil, func(w io.Writer, _ any) error {
				if p.output == "json" {
					return printJSON(w, map[string]string{"deleted": args[0]})
				}
				_, err := fmt.Fprintf(w, "deleted %s\n", clean(args[0]))
				return err
			})
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func (p *program) webhooksRotateSecret() *cobra.Command {
	var overlap string
	cmd := &cobra.Command{
		Use: "rotate-secret NAME|ID", Short: "Give a webhook another signing secret and show it, once", Args: exactly("NAME or ID"),
		Long: `Give a webhook another signing secret and show it, once. Until --overlap is over, every
request is signed with both the new and the old one, so that its receiver can change over
at any moment in between.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := request(cmd.Context(), p, http.MethodPost, webhookPath(args[0], "/rotate-secret"), nil, body{"overlap": overlap},
				func(w io.Writer, v struct {
					webhookView
					Generated map[string]string `json:"generated"`
				}) error {
					fmt.Fprintf(w, "rotated %s (%s)\n", clean(v.Name), clean(v.ID))
					printGenerated(w, v.Generated)
					return nil
				})
			return err
		},
	}
	cmd.Flags().StringVar(&overlap, "overlap", "24h", "how long the old secret signs beside the new one")
	return cmd
}

// body is an object to send; members that are empty are left out.
type body map[string]any

// MarshalJSON implements json.Marshaler.
func (b body) MarshalJSON() ([]byte, error) {
	given := map[string]any{}
	for name, v := range b {
		if r := reflect.ValueOf(v); r.IsZero() || r.Kind() == reflect.Slice && r.Len() == 0 {
			continue
		}
		given[name] = v
	}
	return json.Marshal(given)
}

// temporalHelp is the end of a help text: the same without Tocsin's API.
func temporalHelp(command string) string {
	return "\n\nThe same by Temporal's own tool (ID is the webhook's id):\n  " + command
}

// listHelp is the end of a help text: the workflows of one type, perhaps fewer.
func listHelp(workflowType, and string) string {
	return fmt.Sprintf("\n\nTheir workflows by Temporal's own tool:\n  temporal workflow list --query 'WorkflowType = %q%s'", workflowType, and)
}

func updateHelp(update, input string) string {
	return temporalHelp(fmt.Sprintf("temporal workflow update execute --workflow-id %s --name %s --input '%s'", workflows.WebhookWorkflowID("ID"), update, input))
}
