package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// ledgerView is the ledger as the API shows it.
type ledgerView struct {
	Webhooks []tocsin.Balance `json:"webhooks"`
	Total    tocsin.Balance   `json:"total"`
}

// errUnbalanced makes the exit code of a ledger that does not add up.
var errUnbalanced = errors.New("the ledger does not add up; this is a bug in Tocsin: please report it")

func (p *program) ledger() *cobra.Command {
	var verify bool
	cmd := &cobra.Command{
		Use: "ledger", Short: "Show what was accepted, and where it all is", Args: exactly(),
		Long: `Show, for every webhook, what was accepted and where it all is:
accepted = delivered + pending + in flight + dead + suppressed, at any time.

--verify opens the store (TOCSIN_DATABASE_URL), counts the rows again, and compares.
Exit code 1 when anything does not add up.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if verify {
				return p.verifyLedger(cmd.Context())
			}
			v, err := fetch(cmd.Context(), p, http.MethodGet, "/v1/ledger", nil, printLedger)
			balances := append(v.Webhooks, v.Total)
			if err == nil && slices.ContainsFunc(balances, func(b tocsin.Balance) bool { return b.Difference() != 0 }) {
				err = errUnbalanced
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&verify, "verify", false, "count the rows of the store again and compare")
	return cmd
}

func printLedger(w io.Writer, v ledgerView) error {
	t := newTable(w, "WEBHOOK", "ACCEPTED", "DELIVERED", "PENDING", "IN FLIGHT", "DEAD", "SUPPRESSED", "DIFFERENCE")
	row := func(name string, b tocsin.Balance) {
		t.row(name, b.Accepted, b.Delivered, b.Pending, b.InFlight, b.Dead, b.Suppressed, b.Difference())
	}
	for _, b := range v.Webhooks {
		row(first(b.Webhook, b.WebhookID), b)
	}
	row("total", v.Total)
	return t.flush()
}

func balanceLine(b tocsin.Balance) string {
	return fmt.Sprintf("%d accepted = %d delivered + %d pending + %d in flight + %d dead + %d suppressed",
		b.Accepted, b.Delivered, b.Pending, b.InFlight, b.Dead, b.Suppressed)
}

// verified compares one webhook's counters with its rows.
type verified struct {
	Webhook   string         `json:"webhook"`
	WebhookID string         `json:"webhook_id"`
	OK        bool           `json:"ok"`
	Counted   tocsin.Balance `json:"counted"`
	Recounted tocsin.Balance `json:"recounted"`
}

func (p *program) verifyLedger(ctx context.Context) error {
	store, err := p.store(ctx)
	if err != nil {
		return howToVerify(p.Getenv("TOCSIN_DATABASE_URL"), err)
	}
	defer store.Close()
	counted, recounted, err := store.Recount(ctx)
	if err != nil {
		return fmt.Errorf("counting again: %w", err)
	}
	list := compare(counted, recounted)
	wrong := 0
	t := newTable(p.Stdout, "WEBHOOK", "ADDS UP", "COUNTED", "ROWS")
	for _, v := range list {
		if !v.OK {
			wrong++
		}
		t.row(first(v.Webhook, v.WebhookID), yesNo(v.OK), balanceLine(v.Counted), balanceLine(v.Recounted))
	}
	if p.output == "json" {
		err = printJSON(p.Stdout, page[verified]{Items: notNil(list)})
	} else if err = t.flush(); err == nil && wrong == 0 {
		fmt.Fprintf(p.Stdout, "%d webhooks counted again: all add up\n", len(list))
	}
	if err == nil && wrong > 0 {
		return fmt.Errorf("%d of %d webhooks: %w", wrong, len(list), errUnbalanced)
	}
	return err
}

// howToVerify adds to an error of opening the store what to do about it. tocsin-dev
// never lets another process into its store, and needs no TOCSIN_DATABASE_URL itself.
func howToVerify(url string, err error) error {
	switch {
	case url == "":
		return tocsin.Errorf(tocsin.CodeOf(err), "%w; --verify opens the store itself: to verify that of tocsin-dev, stop tocsin-dev first, then set TOCSIN_DATABASE_URL=sqlite:<data-dir>/tocsin.db", err)
	case strings.HasPrefix(url, "sqlite:") && tocsin.CodeOf(err) == tocsin.CodeUnavailable:
		return tocsin.Errorf(tocsin.CodeUnavailable, "%w; stop tocsin-dev first, then run this again with TOCSIN_DATABASE_URL=%s", err, url)
	}
	return err
}

// compare matches counters with rows, also where only one side knows a webhook.
func compare(counted, recounted []tocsin.Balance) []verified {
	var list []verified
	place := map[string]int{}
	for _, b := range counted {
		place[b.WebhookID] = len(list)
		list = append(list, verified{Webhook: b.Webhook, WebhookID: b.WebhookID, Counted: b})
	}
	for _, b := range recounted {
		i, known := place[b.WebhookID]
		if !known {
			i = len(list)
			list = append(list, verified{Webhook: b.Webhook, WebhookID: b.WebhookID})
		}
		list[i].Recounted = b
	}
	for i := range list {
		v := &list[i]
		// Sums have no names, so adding nothing leaves numbers alone.
		a, b := v.Counted.Add(tocsin.Balance{}), v.Recounted.Add(tocsin.Balance{})
		v.OK = a == b && a.Difference() == 0
	}
	return list
}
