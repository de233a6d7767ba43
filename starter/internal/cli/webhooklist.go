package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-alerts/tocsin/workflows"
)

// webhookStates are the states a webhook that is listed may be in.
var webhookStates = []string{"active", "paused", "failing", "disabled"}

func (p *program) webhooksList() *cobra.Command {
	var state, channel, search string
	var wide bool
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List webhooks and what they are doing", Args: exactly(),
		Long: "List webhooks and what they are doing." + listHelp(workflows.TypeWebhook, ` AND TocsinStatus = "failing"`),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := p.client()
			if err != nil {
				return err
			}
			query := url.Values{}
			for name, value := range map[string]string{"state": state, "channel": channel, "q": search} {
				if value != "" {
					query.Set(name, value)
				}
			}
			raws, err := all[json.RawMessage](cmd.Context(), api, "/v1/webhooks", query)
			if err != nil {
				return err
			}
			if p.output == "json" {
				return printJSON(p.Stdout, page[json.RawMessage]{Items: notNil(raws)})
			}
			return printWebhooks(p.Stdout, raws, wide)
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "only in this `STATE`: "+strings.Join(webhookStates, ", "))
	cmd.Flags().StringVar(&channel, "channel", "", "only of this `CHANNEL`")
	cmd.Flags().StringVar(&search, "search", "", "only with this `TEXT` in the name, the id or the value of a label, in any case")
	cmd.Flags().BoolVar(&wide, "wide", false, "also since when the oldest of what is owed waits, and how the latest attempts went")
	return cmd
}

func printWebhooks(w io.Writer, raws []json.RawMessage, wide bool) error {
	head := []string{"NAME", "CHANNEL", "DELIVERS", "STATE", "OWED", "FAILURES", "LAST DELIVERY"}
	if wide {
		head = append(head, "OLDEST OWED", "SUCCESS", "P95")
	}
	t := newTable(w, append(head, "ID")...)
	for _, raw := range raws {
		var v webhookView
		if err := json.Unmarshal(raw, &v); err != nil {
			return fmt.Errorf("reading webhook: %w", err)
		}
		owed := int64(0)
		if v.Balance != nil {
			owed = v.Balance.Pending + v.Balance.InFlight
		}
		cells := []any{v.Name, v.Channel, delivers(v.Settings), v.State, owed, v.Failures, when(v.LastDelivery)}
		if wide {
			cells = append(cells, when(v.Facts.OldestOwedAt), v.Facts.success(), millis(v.Facts.P95))
		}
		t.row(append(cells, v.ID)...)
	}
	return t.flush()
}

// factsView is what the API says of a webhook's latest attempts: at most 200, of the last
// day.
type factsView struct {
	OldestOwedAt *time.Time `json:"oldest_owed_at"`
	Attempts     int        `json:"attempts"`
	Failed       int        `json:"failed_attempts"`
	P50          *int64     `json:"p50_ms"`
	P95          *int64     `json:"p95_ms"`
}

// success is the share of attempts with which something was delivered, rounded down:
// only all is 100 %. "" without any.
func (f factsView) success() string {
	if f.Attempts == 0 {
		return ""
	}
	perMille := (f.Attempts - f.Failed) * 1000 / f.Attempts
	return strings.TrimSuffix(fmt.Sprintf("%d.%d", perMille/10, perMille%10), ".0") + "%"
}

// line is all of it on one line.
func (f factsView) line() string {
	if f.Attempts == 0 {
		return "none in the last day"
	}
	return fmt.Sprintf("%d of %d delivered (%s); half took at most %s, 95 of 100 at most %s",
		f.Attempts-f.Failed, f.Attempts, f.success(), millis(f.P50), millis(f.P95))
}

// millis shows a time in milliseconds; "" for none.
func millis(ms *int64) string {
	if ms == nil {
		return ""
	}
	return (time.Duration(*ms) * time.Millisecond).String()
}
