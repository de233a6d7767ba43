package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/app"
)

func (p *program) serve() *cobra.Command {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	settings := app.Bind(flags, app.Serve, p.Getenv)
	cmd := &cobra.Command{
		Use: "serve", Short: "Answer the HTTP API", Args: exactly(),
		Long: `Answer the HTTP API until interrupted. Needs PostgreSQL (TOCSIN_DATABASE_URL), migrated by
tocsin migrate, and a key ring (TOCSIN_SECRET_KEY, see tocsin keys ring). Temporal is
reached as the TEMPORAL_* variables say, and may be away: events are accepted all the
same, and delivered when it is back and a tocsin-worker runs.

Settings are flags, then variables, then defaults.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := settings.Config(p.Stderr)
			if err != nil {
				return err
			}
			cfg.Version = p.Version
			return app.Run(cmd.Context(), cfg)
		},
	}
	cmd.Flags().AddGoFlagSet(flags)
	return cmd
}

// store opens the store for a command that looks into it itself; it must be migrated.
func (p *program) store(ctx context.Context) (tocsin.Store, error) {
	store, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := store.Ping(ctx); err != nil {
		_ = store.Close() // the first error is the one that tells
		return nil, fmt.Errorf("checking the store (a new or older one needs tocsin migrate): %w", err)
	}
	return store, nil
}

func (p *program) open(ctx context.Context) (tocsin.Store, error) {
	log := slog.New(slog.NewTextHandler(p.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return app.OpenStore(ctx, p.Getenv("TOCSIN_DATABASE_URL"), log)
}

// migratedView is what -o json says after a migration.
type migratedView struct {
	Done bool `json:"migrated"`
	app.Migrated
}

func (p *program) migrate() *cobra.Command {
	return &cobra.Command{
		Use: "migrate", Short: "Bring the store's schema up to date", Args: exactly(),
		Long: "Bring the schema of the store (TOCSIN_DATABASE_URL) up to date. Safe to repeat, and to\nrun from several processes at once.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, err := p.open(cmd.Context())
			if err != nil {
				return err
			}
			defer store.Close()
			bar := p.progress("migrating")
			m, err := app.Migrate(cmd.Context(), store, func(done, total int, next string) {
				bar.at(int64(done), int64(total), next)
			})
			bar.end()
			if err != nil {
				return fmt.Errorf("migrating: %w", err)
			}
			if p.output == "json" {
				return printJSON(p.Stdout, migratedView{true, m})
			}
			if m.From != m.To {
				fmt.Fprintf(p.Stdout, "migrated from version %d to %d\n", m.From, m.To)
			}
			_, err = io.WriteString(p.Stdout, "the schema is up to date\n")
			return err
		},
	}
}

func (p *program) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			if p.output == "json" {
				return printJSON(p.Stdout, map[string]string{"version": p.Version})
			}
			_, err := fmt.Fprintf(p.Stdout, "tocsin %s\n", p.Version)
			return err
		},
	}
}
