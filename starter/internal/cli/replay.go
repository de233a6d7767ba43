package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/workflows"
)

// replayView is a replay as the API shows it.
type replayView struct {
	tocsin.Replay
	Webhook string `json:"webhook"`
}

// createdReplay is one that was just made, or would be.
type createdReplay struct {
	replayView
	Count struct {
		Events     int64 `json:"events"`
		Deliveries int64 `json:"deliveries"`
		Complete   bool  `json:"complete"`
	} `json:"count"`
}

func replayPath(id, more string) string { return "/v1/replays/" + url.PathEscape(id) + more }

const replayLong = `Send deliveries again, or owe events again, of one webhook. --what says which:

  dead        deliveries that are dead          sent again under their own ids
  delivered   deliveries that were delivered    sent again under their own ids
  cancelled   deliveries that were discarded    sent again under their own ids
  suppressed  events that were suppressed       owed again, in new deliveries
  missing     events the webhook matches now    owed, in new deliveries
              and was never owed
  all         events the webhook matches now    owed again, in new deliveries
              but for those it still owes

A replay is a workflow of its own: it survives restarts, and can be paused, resumed and
cancelled. --dry-run counts and changes nothing. --wait shows how far it is until it is
over; Ctrl-C ends the waiting, and leaves the replay running.

What the webhook still owes, such as events sent a moment ago, is not counted. If it is
owed no longer when the replay comes there it is replayed, too, and the total grows.

  tocsin replay --webhook soc --what dead --since 24h --wait`

// replayFlags say what to replay.
type replayFlags struct {
	webhook, what, since, until string
	types                       []string
	rate                        float64
	dryRun, wait                bool
}

func (f *replayFlags) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.webhook, "webhook", "", "the webhook, by `NAME` or id")
	cmd.Flags().StringVar(&f.since, "since", "", "not before this `TIME`: RFC 3339, or how long ago (15m, 6h, 5d); default the beginning")
	cmd.Flags().StringVar(&f.until, "until", "", "before this `TIME`; default now")
	cmd.Flags().StringSliceVar(&f.types, "types", nil, "only these alert `TYPE`s; default all")
	cmd.Flags().Float64Var(&f.rate, "rate", 0, "events in a second at most; 0 for no limit")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "count, and change nothing")
	cmd.Flags().BoolVar(&f.wait, "wait", false, "wait until it is over; exit code 1 unless it is done")
}

func (p *program) replay() *cobra.Command {
	var flags replayFlags
	cmd := group(&cobra.Command{Use: "replay", Aliases: []string{"replays"}, Short: "Send again, or owe again, what went wrong or was missed",
		Long: replayLong + replayHelp("describe")},
		p.replayList(), p.replayGet(),
		p.replayAct("pause", "Stop a replay where it is"), p.replayAct("resume", "Go on with a paused replay"),
		p.replayAct("cancel", "End a replay; what it replayed so far stays so"))
	flags.bind(cmd)
	cmd.Flags().StringVar(&flags.what, "what", "", "`WHAT`: dead, delivered, cancelled, suppressed, missing, all")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().NFlag() == 0 {
			return cmd.Help()
		}
		return p.startReplay(cmd.Context(), flags)
	}
	return cmd
}

// replayHelp is the end of a help text: Temporal's own view of a replay.
func replayHelp(command string) string {
	return "\n\nIts workflow by Temporal's own tool (ID is the replay's id):\n  temporal workflow " + command + " --workflow-id " + workflows.ReplayWorkflowID("ID")
}

// startReplay makes a replay, or counts what one would do.
func (p *program) startReplay(ctx context.Context, f replayFlags) error {
	if f.webhook == "" {
		return usagef("--webhook is required: a replay is of one webhook")
	}
	since, err := moment(f.since)
	if err != nil {
		return usagef("--since: %w", err)
	}
	until, err := moment(f.until)
	if err != nil {
		return usagef("--until: %w", err)
	}
	asked := body{
		"webhook": f.webhook, "what": f.what, "types": f.types, "since": since, "until": until, "max_per_second": f.rate,
	}
	if f.dryRun {
		_, err := request(ctx, p, http.MethodPost, "/v1/replays", url.Values{"dry_run": {"true"}}, asked, printWould)
		return err
	}
	if f.wait && p.output == "json" {
		return p.startAndWait(ctx, asked)
	}
	v, err := request(ctx, p, http.MethodPost, "/v1/replays", nil, asked, printStarted)
	if err != nil || !f.wait {
		return err
	}
	last, err := p.await(ctx, v.ID)
	if err != nil {
		return err
	}
	if err := printReplay(p.Stdout, last); err != nil {
		return err
	}
	return notDone(last)
}

// startAndWait prints one JSON value, that of the replay when it is over.
func (p *program) startAndWait(ctx context.Context, asked body) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var v replayView
	if err := api.call(ctx, http.MethodPost, "/v1/replays", nil, asked, &v); err != nil {
		return err
	}
	if _, err := p.await(ctx, v.ID); err != nil {
		return err
	}
	last, err := fetch(ctx, p, http.MethodGet, replayPath(v.ID, ""), nil, printReplay)
	if err != nil {
		return err
	}
	return notDone(last)
}

func notDone(v replayView) error {
	if v.State == tocsin.ReplayDone {
		return nil
	}
	return fmt.Errorf("replay %s is %s: %s", v.ID, v.State, first(v.Reason, "no reason was given"))
}

// replayPoll is how often a replay that is waited for is looked at.
const replayPoll = time.Second

// await looks at a replay until it is over, and tells on standard error how it goes.
// Whoever stops waiting does not stop the replay.
func (p *program) await(ctx context.Context, id string) (replayView, error) {
	api, err := p.client()
	if err != nil {
		return replayView{}, err
	}
	bar := p.progress("replaying")
	defer bar.end()
	var v replayView
	for {
		err := api.call(ctx, http.MethodGet, replayPath(id, ""), nil, nil, &v)
		switch {
		case ctx.Err() != nil: // below
		case err != nil:
			return v, fmt.Errorf("waiting for replay %s: %w; %s", id, err, goesOn(id))
		case v.State.Final():
			bar.line(replayed(v))
			return v, nil
		default:
			// What is passed over is not part of the whole where it never matched.
			bar.at(v.Replayed, max(v.Total, 0), replayed(v))
		}
		select {
		case <-ctx.Done():
			bar.end()
			return v, fmt.Errorf("no longer waiting for replay %s; %s", id, goesOn(id))
		case <-time.After(replayPoll):
		}
	}
}

// goesOn says how to follow a replay that is not waited for any more.
func goesOn(id string) string {
	return fmt.Sprintf("it goes on by itself: tocsin replay get %s shows how far it is, tocsin replay cancel %s ends it", id, id)
}

// replayed is how far a replay came, on one line.
func replayed(v replayView) string {
	of := ""
	if v.Total >= v.Replayed {
		of = fmt.Sprintf(" of %d", v.Total)
	}
	return fmt.Sprintf("%s: %d%s events replayed, %d passed over", v.State, v.Replayed, of, v.Skipped)
}

func total(v replayView) string {
	if v.Total < 0 {
		return "many"
	}
	return fmt.Sprint(v.Total)
}

func printStarted(w io.Writer, v createdReplay) error {
	_, err := fmt.Fprintf(w, "started %s: %s\n", clean(v.ID), counted(v))
	return err
}

func printWould(w io.Writer, v createdReplay) error {
	_, err := fmt.Fprintf(w, "would replay %s; nothing was changed\n", counted(v))
	return err
}

// counted says what a replay is about, in numbers.
func counted(v createdReplay) string {
	text := fmt.Sprintf("%d events", v.Count.Events)
	if v.What.OfDeliveries() {
		text += fmt.Sprintf(" in %d deliveries", v.Count.Deliveries)
	}
	if !v.Count.Complete {
		text = "at least " + text
	}
	return text
}

func printReplay(w io.Writer, v replayView) error {
	t := newTable(w)
	t.row("id", v.ID)
	t.row("webhook", first(v.Webhook, v.WebhookID))
	t.row("what", v.What)
	t.row("types", orAll(v.Types))
	t.row("since", when(&v.Since))
	t.row("until", when(&v.Until))
	t.row("state", v.State)
	t.row("reason", v.Reason)
	t.row("events", total(v))
	t.row("replayed", v.Replayed)
	t.row("deliveries", v.Deliveries)
	t.row("passed over", v.Skipped)
	t.row("events a second", v.MaxRate)
	t.row("author", v.Author)
	t.row("created", when(&v.CreatedAt))
	t.row("finished", when(v.FinishedAt))
	return t.flush()
}

func (p *program) replayList() *cobra.Command {
	var flags paging
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List replays, newest first", Args: exactly(),
		Long: "List replays, newest first." + listHelp(workflows.TypeReplay, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(cmd.Context(), p, "/v1/replays", nil, flags, func(w io.Writer, v page[replayView]) error {
				t := newTable(w, "CREATED", "WEBHOOK", "WHAT", "STATE", "EVENTS", "REPLAYED", "PASSED OVER", "AUTHOR", "ID", "REASON")
				for _, r := range v.Items {
					t.row(when(&r.CreatedAt), first(r.Webhook, r.WebhookID), r.What, r.State, total(r), r.Replayed, r.Skipped, r.Author, r.ID, r.Reason)
				}
				return t.flush()
			})
		},
	}
	flags.bind(cmd)
	return cmd
}

func (p *program) replayGet() *cobra.Command {
	return &cobra.Command{
		Use: "get ID", Short: "Show one replay and how far it came", Args: exactly("ID"),
		Long: "Show one replay and how far it came." + replayHelp("describe"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd.Context(), p, http.MethodGet, replayPath(args[0], ""), nil, printReplay)
		},
	}
}

func (p *program) replayAct(verb, short string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " ID", Short: short, Args: exactly("ID"),
		Long: short + "." + replayHelp("describe"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd.Context(), p, http.MethodPost, replayPath(args[0], "/"+verb), nil, func(w io.Writer, v replayView) error {
				_, err := fmt.Fprintf(w, "%s: %s\n", clean(v.ID), replayed(v))
				return err
			})
		},
	}
}
