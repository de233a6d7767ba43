package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// muteView is a mute as the API shows it.
type muteView struct {
	tocsin.Mute
	Webhooks []string `json:"webhooks"`
	State    string   `json:"state"`
}

func (p *program) mutes() *cobra.Command {
	return group(&cobra.Command{Use: "mutes", Aliases: []string{"mute"}, Short: "Suppress events for a while",
		Long: `Suppress events for a while. What a mute matches is accepted for the webhook and at once
suppressed; events why and the ledger say so. It counts by when an event is received.`},
		p.mutesList(), p.mutesGet(), p.mutesCreate(), p.mutesEnd())
}

func mutePath(id string) string { return "/v1/mutes/" + url.PathEscape(id) }

func (p *program) mutesList() *cobra.Command {
	var flags paging
	var ended bool
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List mutes, newest first", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			if ended {
				query.Set("ended", "true")
			}
			return list(cmd.Context(), p, "/v1/mutes", query, flags, func(w io.Writer, v page[muteView]) error {
				t := newTable(w, "STATE", "FROM", "UNTIL", "WEBHOOKS", "MATCHES", "AUTHOR", "REASON", "ID")
				for _, m := range v.Items {
					t.row(m.State, when(&m.From), when(&m.Until), mutedWebhooks(m), matches(m), m.Author, m.Reason, m.ID)
				}
				return t.flush()
			})
		},
	}
	flags.bind(cmd)
	cmd.Flags().BoolVar(&ended, "ended", false, "also those that are over")
	return cmd
}

func mutedWebhooks(m muteView) string {
	if len(m.WebhookIDs) == 0 {
		return "all"
	}
	return strings.Join(m.Webhooks, ",")
}

// matches shows the matcher of a mute on one line.
func matches(m muteView) string {
	var parts []string
	if len(m.Events) > 0 {
		parts = append(parts, "events "+compact(m.Events))
	}
	if len(m.Collections) > 0 {
		parts = append(parts, "collections "+compact(m.Collections))
	}
	if m.DedupKey != "" {
		parts = append(parts, "dedup key "+m.DedupKey)
	}
	if m.Filter != "" {
		parts = append(parts, "filter "+m.Filter)
	}
	if len(parts) == 0 {
		return "everything"
	}
	return strings.Join(parts, "; ")
}

func (p *program) mutesGet() *cobra.Command {
	return &cobra.Command{
		Use: "get ID", Short: "Show one mute", Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd.Context(), p, http.MethodGet, mutePath(args[0]), nil, printMute)
		},
	}
}

func printMute(w io.Writer, m muteView) error {
	t := newTable(w)
	t.row("id", m.ID)
	t.row("state", m.State)
	t.row("from", when(&m.From))
	t.row("until", when(&m.Until))
	t.row("webhooks", mutedWebhooks(m))
	t.row("matches", matches(m))
	t.row("author", m.Author)
	t.row("reason", m.Reason)
	return t.flush()
}

func (p *program) mutesCreate() *cobra.Command {
	var webhooks, events, collections []string
	var dedupKey, filter, from, until, length, author, reason string
	cmd := &cobra.Command{
		Use: "create --for DURATION --reason TEXT …", Short: "Mute events from now on, or from a time on", Args: exactly(),
		Long: `Mute events from now on, or from a time on. At least one of --webhook, --event,
--collection, --dedup-key and --filter says which; an event must match all that are given.

  tocsin mutes create --webhook soc --event performance.degraded --for 2h --reason 'load test'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			mute := body{
				"webhooks": webhooks, "events": events, "collections": collections, "dedup_key": dedupKey, "filter": filter,
				"from": from, "until": until, "for": length, "author": author, "reason": reason,
			}
			_, err := request(cmd.Context(), p, http.MethodPost, "/v1/mutes", nil, mute, func(w io.Writer, m muteView) error {
				_, err := fmt.Fprintf(w, "created %s: muted until %s\n", clean(m.ID), when(&m.Until))
				return err
			})
			return err
		},
	}
	cmd.Flags().StringSliceVar(&webhooks, "webhook", nil, "only for this webhook, by `NAME` or id; may be repeated")
	cmd.Flags().StringSliceVar(&events, "event", nil, "only this alert `TYPE` or category; may be repeated")
	cmd.Flags().StringSliceVar(&collections, "collection", nil, "only this `COLLECTION`; may be repeated")
	cmd.Flags().StringVar(&dedupKey, "dedup-key", "", "only the incident with this `KEY`")
	cmd.Flags().StringVar(&filter, "filter", "", "only what this `CEL` expression is true for")
	cmd.Flags().StringVar(&from, "from", "", "begin at this `TIME` (RFC 3339); default now")
	cmd.Flags().StringVar(&until, "until", "", "end at this `TIME` (RFC 3339)")
	cmd.Flags().StringVar(&length, "for", "", "end after this `DURATION` (30m, 2h, 3d)")
	cmd.Flags().StringVar(&author, "author", "", "who wants it; default the name of the API key")
	cmd.Flags().StringVar(&reason, "reason", "", "why")
	return cmd
}

func (p *program) mutesEnd() *cobra.Command {
	return &cobra.Command{
		Use: "end ID", Aliases: []string{"delete"}, Short: "End a mute now", Args: exactly("ID"),
		Long: "End a mute now. What it suppressed stays suppressed; tocsin replay --what suppressed\nowes it again.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd.Context(), p, http.MethodDelete, mutePath(args[0]), nil, func(w io.Writer, m muteView) error {
				_, err := fmt.Fprintf(w, "ended %s at %s\n", clean(args[0]), when(&m.Until))
				return err
			})
		},
	}
}
