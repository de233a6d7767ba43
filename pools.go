package tocsin

import "time"

// PoolStats says how one pool of a store's connections is used.
type PoolStats struct {
	// Name tells the pools of a store apart: "main", or "writer" and "reader".
	Name string
	// Max is how many connections there may be; the others are how many are in use, free, and
	// being made.
	Max, Acquired, Idle, Constructing int
	// Acquires counts the times one was asked for since the store was opened, Waits those that
	// had to wait for it, and Waited how long they did together.
	Acquires, Waits int64
	Waited          time.Duration
}

// Pooled is a store that tells how its connections are used. Both do.
type Pooled interface {
	// Pools returns one entry for each pool, always the same ones in the same order. It asks
	// nobody and does not wait.
	Pools() []PoolStats
}
