package activities

import (
	"context"
	"fmt"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

const (
	// pruneAtOnce is how many rows of each kind one transaction removes.
	pruneAtOnce = 1000
	// pruneFor bounds one call; what is left waits for the next one.
	pruneFor = 4 * time.Minute
)

// PruneResult counts what was removed.
type PruneResult struct {
	tocsin.Pruned
	// More says that time was up before everything old was gone.
	More bool `json:"more,omitempty"`
}

// Prune removes what is older than the retention, in short transactions.
func (a *Activities) Prune(ctx context.Context) (PruneResult, error) {
	out := PruneResult{More: true}
	defer heartbeat(ctx, func() any { return "pruning" })()
	for until := time.Now().Add(pruneFor); out.More && time.Now().Before(until); {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		n, more, err := a.Store.Prune(ctx, a.Retention, pruneAtOnce)
		if err != nil {
			return out, fmt.Errorf("pruning: %w", err)
		}
		out.Pruned, out.More = out.Pruned.Add(n), more
	}
	return out, nil
}

// RotateKeys makes a new signing key where it is time for one.
func (a *Activities) RotateKeys(ctx context.Context) error {
	if a.RotateSigningKey == nil {
		return nil
	}
	return wrap(a.RotateSigningKey(ctx), "rotating the signing key")
}

func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
