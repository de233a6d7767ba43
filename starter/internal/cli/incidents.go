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
	var flags listFlags
	var state, dedupKey, severity string
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List incidents, newest first", Args: exactly(),
		Long: "List incidents, newest first." + listHelp(workflows.TypeIncident, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query, err := flags.query(map[string]string{"state": state, "dedup_key": dedupKey, "min_severity": severity})
			if err != nil {
				return err
			}
			return list(cmd.Context(), p, "/v1/incidents", query, flags.paging, printIncidents)
		},
	}
	flags.bind(cmd)
	cmd.Flags().StringVar(&state, "state", "", "only in this `STATE`: open, acknowledged, resolved, or unresolved for the first two")
	cmd.Flags().StringVar(&dedupKey, "dedup-key", "", "only of the events with this `KEY`")
	cmd.Flags().StringVar(&severity, "min-severity", "", "only of this severity and above")
	return cmd
}

func printIncidents(w io.Writer, v page[incidentView]) error {
	t := newTable(w, "OPENED", "STATE", "SEVERITY", "TYPE", "TITLE", "EVENTS", "BY", "NEXT STEP", "ID")
	for _, i := range v.Items {
		t.row(when(&i.OpenedAt), i.State, i.Severity, i.Type, i.Title, i.Events, first(i.ResolvedBy, i.AcknowledgedBy), nextStep(i), i.ID)
	}
	return t.flush()
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
