package app

import (
	"context"
	"fmt"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/internal/audit"
)

// pruneAtOnce is how many rows of a kind one step removes: a transaction of some
// milliseconds.
const pruneAtOnce = 1000

// CheckRetention refuses a retention that would forget the keys of events before the
// events. The error is CodeInvalid.
func CheckRetention(r tocsin.Retention) error {
	if err := checkRetention(r); err != nil {
		return tocsin.Errorf(tocsin.CodeInvalid, "%w", err)
	}
	return nil
}

// Prune removes what is older than r says, step by step until nothing is left to remove,
// and writes that down. progress hears of the sum after each step.
func Prune(ctx context.Context, store tocsin.Store, r tocsin.Retention, progress func(tocsin.Pruned)) (total tocsin.Pruned, err error) {
	if err := CheckRetention(r); err != nil {
		return total, err
	}
	err = Audited(ctx, store, "store.prune", func(e *tocsin.AuditEntry) error {
		e.Before = audit.Public(map[string]tocsin.Duration{
			"history": tocsin.Duration(r.History), "keys": tocsin.Duration(r.Keys), "audit": tocsin.Duration(r.Audit), "refs": tocsin.Duration(r.Refs),
		})
		for more := true; more; {
			var step tocsin.Pruned
			step, more, err = store.Prune(ctx, r, pruneAtOnce)
			total = total.Add(step)
			e.After = audit.Public(total)
			if err != nil {
				return fmt.Errorf("pruning: %w", err)
			}
			progress(total)
		}
		return nil
	})
	return total, err
}
