package postgres

import "github.com/tocsin-alerts/tocsin"

var _ tocsin.Pooled = (*DB)(nil)

// Pools implements [tocsin.Pooled]. The connection that listens for hints is not among them.
func (db *DB) Pools() []tocsin.PoolStats {
	s := db.pool.Stat()
	return []tocsin.PoolStats{{
		Name: "main", Max: int(s.MaxConns()),
		Acquired: int(s.AcquiredConns()), Idle: int(s.IdleConns()), Constructing: int(s.ConstructingConns()),
		Acquires: s.AcquireCount(), Waits: s.EmptyAcquireCount(), Waited: s.EmptyAcquireWaitTime(),
	}}
}
