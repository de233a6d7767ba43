package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/app"
)

const pruneLong = `Remove what is older than it needs to be kept, from the store (TOCSIN_DATABASE_URL)
itself. Nothing that is owed is ever removed; the ledger keeps counting what is gone, and
ingest does not wait. Workers do the same on a schedule; this is for doing it now.

A key of an event must be remembered at least as long as the event is kept: until then,
sending it again is known to be a duplicate. 0 keeps for ever.`

func (p *program) prune() *cobra.Command {
	var dryRun bool
	texts := map[string]*string{}
	cmd := &cobra.Command{
		Use: "prune", Short: "Remove what is old", Long: pruneLong, Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := p.retention(texts)
			if err != nil {
				return err
			}
			store, err := p.store(cmd.Context())
			if err != nil {
				return err
			}
			defer store.Close()
			if dryRun {
				would, err := store.Prunable(cmd.Context(), r)
				if err != nil {
					return fmt.Errorf("counting what is old: %w", err)
				}
				return p.printPruned(would, "would be removed")
			}
			bar := p.progress("removing")
			all := countPrunable(cmd.Context(), store, r, bar)
			total, err := app.Prune(cmd.Context(), store, r, func(sum tocsin.Pruned) {
				bar.at(rows(sum), all, fmt.Sprintf("%d deliveries, %d events, %d keys", sum.Deliveries, sum.Events, sum.Keys))
			})
			bar.end()
			if err != nil {
				return err
			}
			return p.printPruned(total, "were removed")
		},
	}
	for name, what := range map[string]string{
		"history": "keep finished deliveries, suppressed obligations and their events for this `DURATION` (TOCSIN_RETENTION; default 30d)",
		"keys":    "remember the keys of events for this `DURATION`, at least --history (TOCSIN_DEDUPE_WINDOW; default 30d)",
		"audit":   "keep the audit log, and finished replays and mutes, for this `DURATION` (TOCSIN_AUDIT_RETENTION; default 365d)",
		"refs":    "remember what vendors called an incident that is quiet for this `DURATION` (default 365d)",
	} {
		texts[name] = cmd.Flags().String(name, "", what)
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "count, and remove nothing")
	return cmd
}

// countFor bounds how long is counted before the removing begins, for its bar alone.
const countFor = 10 * time.Second

// countPrunable is how many rows will go; 0 where nobody watches, or it takes long.
func countPrunable(ctx context.Context, store tocsin.Store, r tocsin.Retention, bar *progress) int64 {
	if !bar.shows() {
		return 0
	}
	ctx, cancel := context.WithTimeout(ctx, countFor)
	defer cancel()
	would, err := store.Prunable(ctx, r)
	if err != nil {
		return 0
	}
	return rows(would)
}

func rows(v tocsin.Pruned) int64 {
	return v.Deliveries + v.Attempts + v.Suppressed + v.Events + v.Keys + v.Audit + v.Refs + v.Incidents
}

// retention is what the flags say, then the environment, then the defaults.
func (p *program) retention(flags map[string]*string) (tocsin.Retention, error) {
	r, err := app.ParseRetention(p.Getenv)
	if err != nil {
		return r, err
	}
	for name, into := range map[string]*time.Duration{"history": &r.History, "keys": &r.Keys, "audit": &r.Audit, "refs": &r.Refs} {
		if *flags[name] == "" {
			continue
		}
		d, err := tocsin.ParseDuration(*flags[name])
		if err != nil {
			return r, usagef("--%s: %w", name, err)
		}
		*into = d.Std()
	}
	return r, app.CheckRetention(r)
}

func (p *program) printPruned(v tocsin.Pruned, what string) error {
	if p.output == "json" {
		return printJSON(p.Stdout, v)
	}
	t := newTable(p.Stdout, "DELIVERIES", "ATTEMPTS", "SUPPRESSED", "EVENTS", "KEYS", "AUDIT", "REFS", "INCIDENTS", "REJECTIONS")
	t.row(v.Deliveries, v.Attempts, v.Suppressed, v.Events, v.Keys, v.Audit, v.Refs, v.Incidents, v.Rejections)
	if err := t.flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(p.Stdout, what)
	return err
}
