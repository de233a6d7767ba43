package sqlite

import (
	"sync/atomic"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

var _ tocsin.Pooled = (*DB)(nil)

// Pools implements [tocsin.Pooled]. Writes wait for the writer in their group, before they
// ask for its connection, and those that share a commit count each. In memory there is one
// connection for both.
func (db *DB) Pools() []tocsin.PoolStats {
	writer := db.writer.stats("writer", &db.group.waits)
	if db.reader == db.writer {
		return []tocsin.PoolStats{writer}
	}
	return []tocsin.PoolStats{writer, db.reader.stats("reader", &db.reader.waits)}
}

func (p *pool) stats(name string, w *waits) tocsin.PoolStats {
	idle := min(len(p.free), cap(p.free))
	return tocsin.PoolStats{
		Name: name, Max: cap(p.free), Acquired: cap(p.free) - idle, Idle: idle,
		Acquires: w.asked.Load(), Waits: w.waited.Load(), Waited: time.Duration(w.nanos.Load()),
	}
}

// waits counts those who ask for a turn, and those who waited for it.
type waits struct{ asked, waited, nanos atomic.Int64 }

// over counts one that waited since a moment.
func (w *waits) over(since time.Time) {
	w.waited.Add(1)
	w.nanos.Add(int64(time.Since(since)))
}
