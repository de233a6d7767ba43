package cli

import (
	"io"
	"net/http"

	"github.com/spf13/cobra"

	tocsin "github.com/tocsin-alerts/tocsin"
)

func (p *program) eventsRejections() *cobra.Command {
	var flags listFlags
	cmd := &cobra.Command{
		Use: "rejections WEBHOOK", Short: "List events that came by signal and were not taken, newest first", Args: exactly("WEBHOOK"),
		Long: `List events that came by the signal submit-events to a webhook's workflow and were not taken,
with what was wrong, newest first. The latest 100 of each webhook are kept.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			query, err := flags.query(nil)
			if err != nil {
				return err
			}
			return show(cmd.Context(), p, http.MethodGet, webhookPath(args[0], "/rejections"), query, func(w io.Writer, v page[tocsin.Rejection]) error {
				t := newTable(w, "AT", "SOURCE", "ID", "TYPE", "FIELD", "WHAT IS WRONG")
				for _, r := range v.Items {
					t.row(when(&r.At), r.Source, r.ID, r.Type, r.Field, r.Message)
				}
				if err := t.flush(); err != nil {
					return err
				}
				return more(w, v.Next)
			})
		},
	}
	cmd.Flags().IntVar(&flags.limit, "limit", 100, "how many at most, 1 to 1000")
	cmd.Flags().StringVar(&flags.cursor, "cursor", "", "go on where an earlier list ended")
	return cmd
}
