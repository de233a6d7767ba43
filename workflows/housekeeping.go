package workflows

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/tocsin-alerts/tocsin/activities"
)

// HousekeepingResult is what one round did. Stored in histories: fields are added, never
// renamed.
type HousekeepingResult struct {
	Pruned activities.PruneResult `json:"pruned"`
}

// HousekeepingFailed is the Temporal application error type of a round in which something
// went wrong. Its details are the HousekeepingResult.
const HousekeepingFailed = "HousekeepingFailed"

// Housekeeping removes what is old and rotates the signing key. Neither waits for, or fails
// with, the other. What failed is left to the next round after three tries, and is the error.
func Housekeeping(ctx workflow.Context) (HousekeepingResult, error) {
	var out HousekeepingResult
	chores := []struct {
		name     string
		activity any
		out      any
		longest  time.Duration
	}{
		{"remove what is older than the retention", acts.Prune, &out.Pruned, 5 * time.Minute},
		{"rotate the signing key when it is time", acts.RotateKeys, nil, time.Minute},
	}
	workflow.SetCurrentDetails(ctx, "Cleans up.")
	running := make([]workflow.Future, len(chores))
	for i, c := range chores {
		running[i] = workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, choreOptions(c.name, c.longest)), c.activity)
	}
	var failed []string
	for i, c := range chores {
		if err := running[i].Get(ctx, c.out); err != nil {
			failed = append(failed, c.name+": "+err.Error())
		}
	}
	workflow.SetCurrentDetails(ctx, cleaned(out.Pruned, failed))
	if len(failed) > 0 {
		return out, temporal.NewApplicationError(strings.Join(failed, "; "), HousekeepingFailed, out)
	}
	return out, nil
}

// cleaned is the card of a round that is over.
func cleaned(p activities.PruneResult, failed []string) string {
	card := fmt.Sprintf("| | removed |\n|---|---|\n| events | **%d** |\n| deliveries | **%d**, with %d attempts |\n| suppressed | **%d** |\n| incidents | **%d** |\n| keys for duplicates: | **%d** |\n| audit log | **%d** |\n",
		p.Events, p.Deliveries, p.Attempts, p.Suppressed, p.Incidents, p.Keys, p.Audit)
	if p.More {
		card += "\nTime was up before everything old was gone: the next round goes on.\n"
	}
	for _, f := range failed {
		card += "\n**Not done:** `" + markdown(f) + "`\n"
	}
	return card
}
