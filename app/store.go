package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/postgres"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
)

// OpenStore opens the store at a URL: postgres://…, or sqlite:path. Serving from SQLite
// is tocsin-dev's alone, so processes refuse it; looking into its file is not.
func OpenStore(ctx context.Context, url string, log *slog.Logger) (tocsin.Store, error) {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok && path != "" {
		// Opening a path makes a file; a mistyped one should be said, not made.
		if _, err := os.Stat(path); err != nil {
			return nil, tocsin.Errorf(tocsin.CodeInvalid, "opening store: %w", err)
		}
		db, err := sqlite.Open(ctx, path, sqlite.Options{})
		if err != nil {
			return nil, fmt.Errorf("opening store: %w", err)
		}
		return db, nil
	}
	if err := checkDatabaseURL(url); err != nil {
		return nil, tocsin.Errorf(tocsin.CodeInvalid, "%w", err)
	}
	db, err := postgres.Open(ctx, url, postgres.Options{Logger: log})
	if err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	return db, nil
}
