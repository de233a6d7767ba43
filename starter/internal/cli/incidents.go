package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/workflows"
)

// incidentView is an incident as the API shows it.
type incidentView struct {
	tocsin.Incident
	Steps []struct {
		tocsin.IncidentStep
		Webhook string `json:"webhook"`
		ToName  string `json:"to_name"`
	} `json:"steps"`
}

const incidentsLong = `An incident is what the escalated events of one dedup key belong to. It is opened by the
first event that fires and is owed to a webhook with escalate, and ends with one that is
resolved, or by resolve. docs/escalation.md says more.`

func (p *program) incidents() *cobra.Command {
	return group(&cobra.Command{Use: "incidents", Aliases: []string{"incident"}, Short: "See, acknowledge and resolve what was escalated", Long: incidentsLong},
		p.incidentsList(), p.incidentsGet(),
		p.incidentsChange("acknowledge", "Say that you look at an incident", `Say that you look at an incident. Steps with "unless: acknowledged" are not made, and the
webhooks it was escalated to are told. Who you are is the name of the API key.`),
		p.incidentsChange("resolve", "End an incident", `End an incident. No further step is made, and what it opened elsewhere is resolved. When
it fires again, that is a new incident.`))
}

func incidentPath(id, more string) string { return "/v1/incidents/" + url.PathEscape(id) + more }

// incidentHelp is the end of a help text: the bare call of Temporal's own tool.
func incidentHelp(command, more string) string {
	return "\n\nBy Temporal's own tool (KEY is shown by tocsin incidents get):\n  temporal workflow " + command + " --workflow-id " + workflows.IncidentWorkflowID("KEY") + more
}

func (p *program) incidentsList() *cobra.Command {
	var limit int
	var cursor, state, dedupKey, since, until string
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List incidents, newest first", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{"limit": {fmt.Sprint(limit)}}
			for name, text := range map[string]string{"cursor": cursor, "state": state, "dedup_key": dedupKey} {
				if text != "" {
					query.Set(name, text)
				}
			}
			for name, text := range map[string]string{"since": since, "until": until} {
				at, err := moment(text)
				if err != nil {
					return usagef("--%s: %w", name, err)
				}
				if at != "" {
					query.Set(name, at)
				}
			}
			return show(cmd.Context(), p, http.MethodGet, "/v1/incidents", query, printIncidents)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most, 1 to 1000")
	cmd.Flags().StringVar(&cursor, "cursor", "", "go on where an earlier list ended")
	cmd.Flags().StringVar(&state, "state", "", "only in this `STATE`: open, acknowledged, resolved, or unresolved for the first two")
	cmd.Flags().StringVar(&dedupKey, "dedup-key", "", "only of the events with this `KEY`")
	cmd.Flags().StringVar(&since, "since", "", "opened at this `TIME` or after: RFC 3339, or how long ago (15m, 6h, 5d)")
	cmd.Flags().StringVar(&until, "until", "", "opened before this `TIME`")
	return cmd
}

func printIncidents(w io.Writer, v page[incidentView]) error {
	t := newTable(w, "OPENED", "STATE", "SEVERITY", "TYPE", "TITLE", "EVENTS", "BY", "NEXT STEP", "ID")
	for _, i := range v.Items {
		t.row(when(&i.OpenedAt), i.State, i.Severity, i.Type, i.Title, i.Events, first(i.ResolvedBy, i.AcknowledgedBy), nextStep(i), i.ID)
	}
	if err := t.flush(); err != nil {
		return err
	}
	return more(w, v.Next)
}

// nextStep says where the next waiting step leads, and when.
func nextStep(i incidentView) string {
	for _, s := range i.Steps {
		if s.State == tocsin.StepWaiting {
			return first(s.ToName, s.To) + " at " + when(&s.DueAt)
		}
	}
	return ""
}

func (p *program) incidentsGet() *cobra.Command {
	return &cobra.Command{
		Use: "get ID", Short: "Show one incident and its steps", Args: exactly("ID"),
		Long: "Show one incident and its steps." + incidentHelp("describe", ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd.Context(), p, http.MethodGet, incidentPath(args[0], ""), nil, printIncident)
		},
	}
}

func printIncident(w io.Writer, i incidentView) error {
	t := newTable(w)
	t.row("id", i.ID)
	t.row("state", i.State)
	t.row("severity", i.Severity)
	t.row("type", i.Type)
	t.row("title", i.Title)
	t.row("subject", i.Subject)
	t.row("dedup key", i.DedupKey)
	t.row("events", i.Events)
	t.row("opened", when(&i.OpenedAt))
	t.row("acknowledged", did(i.AcknowledgedAt, i.AcknowledgedBy))
	t.row("resolved", did(i.ResolvedAt, first(i.ResolvedBy, "an event")))
	t.row("workflow", workflows.IncidentWorkflowID(i.Key()))
	if err := t.flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	t = newTable(w, "FROM", "TO", "AFTER", "UNLESS", "DUE", "STATE", "BECAUSE")
	for _, s := range i.Steps {
		t.row(first(s.Webhook, s.WebhookID), first(s.ToName, s.To), s.After, s.Unless, when(&s.DueAt), s.State, s.Reason)
	}
	return t.flush()
}

func did(at *time.Time, by string) string {
	if at == nil {
		return ""
	}
	return when(at) + " by " + by
}

func (p *program) incidentsChange(verb, short, long string) *cobra.Command {
	var note string
	cmd := &cobra.Command{
		Use: verb + " ID", Short: short, Args: exactly("ID"),
		Long: long + incidentHelp("signal", " \\\n    --name "+verb+` --input '{"by": "dana", "note": "on it"}'`),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := request(cmd.Context(), p, http.MethodPost, incidentPath(args[0], "/"+verb), nil, body{"note": note}, func(w io.Writer, i incidentView) error {
				_, err := fmt.Fprintln(w, clean(strings.TrimSpace(fmt.Sprintf("%s: %s %s", i.ID, i.State, byWhom(i)))))
				return err
			})
			return err
		},
	}
	cmd.Flags().StringVar(&note, "note", "", "what to tell those it was escalated to")
	return cmd
}

// byWhom says who brought an incident to its state.
func byWhom(i incidentView) string {
	switch i.State {
	case tocsin.IncidentResolved:
		return "by " + first(i.ResolvedBy, "an event")
	case tocsin.IncidentAcknowledged:
		return "by " + i.AcknowledgedBy
	}
	return ""
}
