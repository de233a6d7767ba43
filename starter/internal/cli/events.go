package cli

import (
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	tocsin "github.com/tocsin-alerts/tocsin"
)

func (p *program) events() *cobra.Command {
	return group(&cobra.Command{Use: "events", Aliases: []string{"event"}, Short: "Report events and see where they went"},
		p.eventsSend(), p.eventsList(), p.eventsWhy(), p.eventsRejections())
}

// listFlags are the flags of every list.
type listFlags struct {
	paging
	since, until string
}

func (l *listFlags) bind(cmd *cobra.Command) {
	l.paging.bind(cmd)
	cmd.Flags().StringVar(&l.since, "since", "", "not before this `TIME`: RFC 3339, or how long ago (15m, 6h, 5d)")
	cmd.Flags().StringVar(&l.until, "until", "", "before this `TIME`")
}

// query returns the parameters, those of others without the empty ones.
func (l *listFlags) query(others map[string]string) (url.Values, error) {
	values := url.Values{}
	for name, text := range map[string]string{"since": l.since, "until": l.until} {
		at, err := moment(text)
		if err != nil {
			return nil, usagef("--%s: %w", name, err)
		}
		if at != "" {
			values.Set(name, at)
		}
	}
	for name, value := range others {
		if value != "" {
			values.Set(name, value)
		}
	}
	return values, nil
}

// moment reads a time or how long ago; "" stays "".
func moment(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	if ago, err := tocsin.ParseDuration(text); err == nil {
		return time.Now().Add(-ago.Std()).UTC().Format(time.RFC3339), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return "", fmt.Errorf("%q is neither an RFC 3339 time nor a duration; write for example 2026-11-20T09:00:00Z or 6h", text)
	}
	return at.UTC().Format(time.RFC3339Nano), nil
}

func (p *program) eventsList() *cobra.Command {
	var flags listFlags
	var kind, source, subject, dedupKey, severity, text string
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List events, newest first", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query, err := flags.query(map[string]string{
				"type": kind, "source": source, "subject": subject, "dedup_key": dedupKey, "min_severity": severity, "q": text,
			})
			if err != nil {
				return err
			}
			return list(cmd.Context(), p, "/v1/events", query, flags.paging, func(w io.Writer, v page[tocsin.Event]) error {
				t := newTable(w, "TIME", "SEVERITY", "STATUS", "TYPE", "SOURCE", "ID", "TITLE")
				for _, e := range v.Items {
					t.row(when(&e.Time), e.Severity, e.Status, e.Type, e.Source, e.ID, e.Title)
				}
				return t.flush()
			})
		},
	}
	flags.bind(cmd)
	cmd.Flags().StringVar(&kind, "type", "", "only this alert type")
	cmd.Flags().StringVar(&source, "source", "", "only from this source")
	cmd.Flags().StringVar(&subject, "subject", "", "only about this subject")
	cmd.Flags().StringVar(&dedupKey, "dedup-key", "", "only of the incident with this `KEY`")
	cmd.Flags().StringVar(&severity, "min-severity", "", "only of this severity and above")
	cmd.Flags().StringVar(&text, "text", "", "only with this text in title or summary")
	return cmd
}
