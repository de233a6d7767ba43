package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

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
	var webhook, state string
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List deliveries, newest first", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query, err := flags.query(map[string]string{"state": state})
			if err != nil {
				return err
			}
			path := "/v1/deliveries"
			if webhook != "" {
				path = webhookPath(webhook, "/deliveries")
			}
			return show(cmd.Context(), p, http.MethodGet, path, query, func(w io.Writer, v page[deliverySummary]) error {
				t := newTable(w, "CREATED", "WEBHOOK", "STATE", "EVENTS", "ATTEMPTS", "FINISHED", "NEXT ATTEMPT", "ID", "REASON")
				for _, d := range v.Items {
					t.row(when(&d.CreatedAt), first(d.WebhookName, d.WebhookID), d.State, d.Count, d.Attempts,
						when(d.FinishedAt), when(d.DueAt), d.ID, first(d.Reason, d.LastError))
				}
				if err := t.flush(); err != nil {
					return err
				}
				return more(w, v.Next)
			})
		},
	}
	flags.bind(cmd)
	cmd.Flags().StringVar(&webhook, "webhook", "", "only of this webhook, by `NAME` or id")
	cmd.Flags().StringVar(&state, "state", "", "only in this `STATE`: ready, sending, delivered, dead, split, cancelled")
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
		fmt.Fprintf(w, "\nattempt %d at %s: %s", a.Number, when(&a.StartedAt), clean(a.Outcome))
		if a.Error != "" {
			fmt.Fprintf(w, ": %s", clean(a.Error))
		}
		fmt.Fprintln(w)
		for _, x := range a.Exchanges {
			printExchange(w, x)
		}
	}
	return nil
}

func (p *program) deliveriesRedeliver() *cobra.Command {
	return &cobra.Command{
		Use: "redeliver ID", Short: "Send a finished delivery again, under the same id", Args: exactly("ID"),
		Long: "Send a delivery that is dead, delivered or cancelled again, under the same id." +
			updateHelp(workflows.UpdateRedeliver, `{"delivery": "dlv_…"}`),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd.Context(), p, http.MethodPost, deliveryPath(args[0], "/redeliver"), nil, func(w io.Writer, d tocsin.Delivery) error {
				_, err := fmt.Fprintf(w, "%s is %s again\n", clean(d.ID), d.State)
				return err
			})
		},
	}
}
