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

// Migrated is what a migration did to the version of the schema.
type Migrated struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// Migrate brings the store's schema up to date, as the person at the command line asks,
// and writes that down: afterwards, since an older schema may have no place for it.
// progress hears of each migration before it is made: done of total, and its name.
func Migrate(ctx context.Context, store tocsin.Store, progress func(done, total int, next string)) (Migrated, error) {
	m, err := migrate(ctx, store, progress)
	if err != nil {
		return m, err
	}
	return m, noteMigration(ctx, store, commandLine(), m)
}

// migrateAtStart is Migrate by the process itself, which writes down only what changed
// something: it starts often.
func migrateAtStart(ctx context.Context, store tocsin.Store) error {
	m, err := migrate(ctx, store, func(int, int, string) {})
	if err != nil || m.From == m.To {
		return err
	}
	return noteMigration(ctx, store, "tocsin", m)
}

func migrate(ctx context.Context, store tocsin.Store, progress func(done, total int, next string)) (m Migrated, err error) {
	if in, ok := store.(tocsin.Inspector); ok {
		m.From, m.To, err = in.MigrateWith(ctx, progress)
		return m, err
	}
	return m, store.Migrate(ctx)
}

func noteMigration(ctx context.Context, store tocsin.AuditLog, actor string, m Migrated) error {
	entry := tocsin.AuditEntry{
		Actor: actor, Action: "store.migrate",
		Before: audit.Public(map[string]int{"schema": m.From}), After: audit.Public(map[string]int{"schema": m.To}),
	}
	return audit.Change(ctx, nil, store, entry, func(*tocsin.AuditEntry) error { return nil })
}
