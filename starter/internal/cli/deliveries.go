package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/workflows"
)

func (p *program) deliveries() *cobra.Command {
	return group(&cobra.Command{Use: "deliveries", Aliases: []string{"delivery"}, Short: "See what was sent, and send it again"},
		p.deliveriesList(), p.deliveriesGet(), p.deliveriesRedeliver())
}

func deliveryPath(id, more string) string { return "/v1/deliveries/" + url.PathEscape(id) + more }

func (p *program) deliveriesList() *cobra.Command {
	var flags listFlags
	var webhook, state, kind, parent string
	var withDead bool
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List deliveries, newest first", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query, err := flags.query(map[string]string{"state": state, "type": kind, "parent": parent})
			if err != nil {
				return err
			}
			if withDead {
				query.Set("with_dead", "true")
			}
			path := "/v1/deliveries"
			if webhook != "" {
				path = webhookPath(webhook, "/deliveries")
			}
			return list(cmd.Context(), p, path, query, flags.paging, func(w io.Writer, v page[deliverySummary]) error {
				t := newTable(w, "CREATED", "WEBHOOK", "STATE", "EVENTS", "ATTEMPTS", "FINISHED", "NEXT ATTEMPT", "ID", "REASON")
				for _, d := range v.Items {
					t.row(when(&d.CreatedAt), first(d.WebhookName, d.WebhookID), d.State, d.Count, d.Attempts,
						when(d.FinishedAt), when(d.DueAt), d.ID, first(d.Reason, d.LastError))
				}
				return t.flush()
			})
		},
	}
	flags.bind(cmd)
	cmd.Flags().StringVar(&webhook, "webhook", "", "only of this webhook, by `NAME` or id")
	cmd.Flags().StringVar(&state, "state", "", "only in this `STATE`: "+strings.Join(deliveryStates, ", "))
	cmd.Flags().StringVar(&kind, "type", "", "only with an event of this alert `TYPE`")
	cmd.Flags().StringVar(&parent, "parent", "", "only what this split delivery became, by its `ID`")
	cmd.Flags().BoolVar(&withDead, "with-dead", false, "only with dead events of their own, whatever became of the others")
	return cmd
}

// deliverySummary is a delivery as the API's lists show it.
type deliverySummary struct {
	tocsin.Delivery
	WebhookName string     `json:"webhook"`
	LastError   string     `json:"last_error"`
	DueAt       *time.Time `json:"due_at"`
	Next        string     `json:"next"`
}

// deliveryView is one delivery as the API shows it.
type deliveryView struct {
	deliverySummary
	AttemptLog []tocsin.Attempt `json:"attempt_log"`
	Events     []tocsin.Event   `json:"events"`
}

func (p *program) deliveriesGet() *cobra.Command {
	return &cobra.Command{
		Use: "get ID", Short: "Show one delivery: its events, each attempt, what was sent and answered", Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd.Context(), p, http.MethodGet, deliveryPath(args[0], ""), nil, printDelivery)
		},
	}
}

func printDelivery(w io.Writer, v deliveryView) error {
	t := newTable(w)
	t.row("id", v.ID)
	t.row("webhook", first(v.WebhookName, v.WebhookID))
	t.row("state", v.State)
	t.row("next", v.Next)
	t.row("created", when(&v.CreatedAt))
	t.row("finished", when(v.FinishedAt))
	for _, e := range v.Events {
		t.row("event", fmt.Sprintf("%s %s %s", e.Source, e.ID, e.Title))
	}
	if err := t.flush(); err != nil {
		return err
	}
	for _, a := range v.AttemptLog {
		fmt.Fprintf(w, "\nattempt %d at %s: %s", a.Number, when(&a.StartedAt), clean(first(a.Outcome, "unknown")))
		if a.ErrorClass != "" {
			fmt.Fprintf(w, " (%s)", clean(a.ErrorClass))
		}
		if a.Error != "" {
			fmt.Fprintf(w, ": %s", clean(a.Error))
		}
		if a.RetryAfter != 0 {
			fmt.Fprintf(w, "; it asked for %s of rest", a.RetryAfter)
		}
		fmt.Fprintln(w)
		for n, x := range a.Exchanges {
			if a.LeftOut > 0 && n == len(a.Exchanges)/2 {
				fmt.Fprintf(w, "* %d more requests are not kept\n", a.LeftOut)
			}
			printExchange(w, x)
		}
	}
	return nil
}

func (p *program) deliveriesRedeliver() *cobra.Command {
	var flags replayFlags
	cmd := &cobra.Command{
		Use: "redeliver ID… | --webhook NAME --state STATE", Short: "Send finished deliveries again, under their own ids",
		Long: `Send deliveries that are dead, delivered or cancelled again, under their own ids: those
named, or those of one webhook that a filter selects. The latter is a replay
(tocsin replay --what STATE), which goes on by itself.

  tocsin deliveries redeliver --webhook soc --state dead --since 24h` +
			updateHelp(workflows.UpdateRedeliver, `{"delivery": "dlv_…"}`),
		RunE: func(cmd *cobra.Command, args []string) error {
			filtered := false
			cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { filtered = filtered || f.Changed })
			switch {
			case len(args) > 0 && filtered:
				return usagef("%s takes either ids, or --webhook and --state and no ids", cmd.CommandPath())
			case filtered && flags.what == "":
				return usagef("--state is required: dead, delivered or cancelled")
			case filtered && !tocsin.ReplayWhat(flags.what).OfDeliveries():
				return usagef("--state %q: allowed: dead, delivered, cancelled", flags.what)
			case filtered:
				return p.startReplay(cmd.Context(), flags)
			case len(args) == 0:
				return usagef("%s takes ids, or --webhook and --state", cmd.CommandPath())
			}
			return p.redeliver(cmd.Context(), args)
		},
	}
	flags.bind(cmd)
	cmd.Flags().StringVar(&flags.what, "state", "", "those in this `STATE`: dead, delivered, cancelled")
	return cmd
}

// redeliver sends single deliveries again. One that cannot be does not keep the others
// from it.
func (p *program) redeliver(ctx context.Context, ids []string) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	done := []json.RawMessage{}
	var failed []tocsin.FieldError
	var last error
	for _, id := range ids {
		var raw json.RawMessage
		if err := api.call(ctx, http.MethodPost, deliveryPath(id, "/redeliver"), nil, nil, &raw); err != nil {
			failed, last = append(failed, tocsin.FieldError{Field: id, Message: err.Error()}), err
			continue
		}
		done = append(done, raw)
		if p.output == "text" {
			fmt.Fprintf(p.Stdout, "%s is ready again\n", clean(id))
		}
	}
	switch {
	case len(ids) == 1 && last != nil:
		return last
	case last != nil:
		err = &tocsin.Error{Code: tocsin.CodeOf(last), Message: fmt.Sprintf("%d of %d were not sent again", len(failed), len(ids)), Fields: failed, Err: last}
	}
	if p.output == "text" {
		return err
	}
	var out any = page[json.RawMessage]{Items: done}
	if len(ids) == 1 {
		out = done[0]
	}
	return errors.Join(err, printJSON(p.Stdout, out))
}
