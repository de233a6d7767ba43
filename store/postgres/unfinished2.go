package postgres

import (
	"context"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

func (db *DB) BeginAudit(ctx context.Context, e tocsin.AuditEntry) (tocsin.AuditEntry, error) {
	return e, errUnfinished
}
func (db *DB) EndAudit(ctx context.Context, e tocsin.AuditEntry) error { return errUnfinished }
func (db *DB) AuditEntries(ctx context.Context, q tocsin.AuditQuery) ([]tocsin.AuditEntry, string, error) {
	return nil, "", errUnfinished
}
func (db *DB) Prune(ctx context.Context, r tocsin.Retention, limit int) (p tocsin.Pruned, more bool, err error) {
	return p, false, errUnfinished
}
func (db *DB) Prunable(ctx context.Context, r tocsin.Retention) (p tocsin.Pruned, err error) {
	return p, errUnfinished
}
func (db *DB) SigningKeys(ctx context.Context) ([]tocsin.SigningKey, error) { return nil, nil }
func (db *DB) AddSigningKey(ctx context.Context, k tocsin.SigningKey, lead, overlap, unless time.Duration) ([]tocsin.SigningKey, error) {
	return nil, errUnfinished
}
func (db *DB) ResealWebhook(ctx context.Context, id string, old, sealed []byte) error {
	return errUnfinished
}
func (db *DB) ResealSigningKey(ctx context.Context, id string, old, sealed []byte) error {
	return errUnfinished
}
func (db *DB) SealedWebhooks(ctx context.Context) (map[string][]byte, error) {
	return nil, errUnfinished
}
func (db *DB) RotateKey(ctx context.Context, idOrName string, hash []byte, overlap time.Duration, expires *time.Time) (k tocsin.Key, err error) {
	return k, errUnfinished
}
