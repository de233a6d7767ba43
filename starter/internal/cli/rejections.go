package cli

import (
	"io"

	"github.com/spf13/cobra"

	tocsin "github.com/tocsin-alerts/tocsin"
)

func (p *program) eventsRejections() *cobra.Command {
	var flags paging
	cmd := &cobra.Command{
		Use: "rejections WEBHOOK", Short: "List events that came by signal and were not taken, newest first", Args: exactly("WEBHOOK"),
		Long: `List events that came by the signal submit-events to a webhook's workflow and were not taken,
with what was wrong, newest first. The latest 100 of each webhook are kept.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return list(cmd.Context(), p, webhookPath(args[0], "/rejections"), nil, flags, func(w io.Writer, v page[tocsin.Rejection]) error {
				t := newTable(w, "AT", "SOURCE", "ID", "TYPE", "FIELD", "WHAT IS WRONG")
				for _, r := range v.Items {
					t.row(when(&r.At), r.Source, r.ID, r.Type, r.Field, r.Message)
				}
				return t.flush()
			})
		},
	}
	flags.bind(cmd)
	return cmd
}
