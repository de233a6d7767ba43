package app

import (
	"context"
	"os/user"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/internal/audit"
)

// Audited makes a change from the command line that opens the store itself, and writes
// it down before and after. change fills in what it is about.
func Audited(ctx context.Context, store tocsin.AuditLog, action string, change func(*tocsin.AuditEntry) error) error {
	return audit.Change(ctx, nil, store, tocsin.AuditEntry{Actor: commandLine(), Action: action}, change)
}

// commandLine is the person at the command line, as the operating system knows them.
func commandLine() string {
	who, err := user.Current()
	if err != nil {
		return "command line"
	}
	return "command line " + who.Username
}

// Migrate brings the store's schema up to date and writes that down: afterwards, since
// an older schema may have no place for it.
func Migrate(ctx context.Context, store tocsin.Store) error {
	if err := store.Migrate(ctx); err != nil {
		return err
	}
	return Audited(ctx, store, "store.migrate", func(*tocsin.AuditEntry) error { return nil })
}
