// Package storetest holds every implementation of [tocsin.Store] to the words of its
// interface. A store's own test calls [Run]:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) tocsin.Store { return openFresh(t) })
//	}
//
// The other exported functions make events and webhooks that are valid and tell apart,
// for tests of packages that use a store.
package storetest

import (
	"testing"

	"github.com/tocsin-alerts/tocsin"
)

// Run runs the suite. open returns a store that is migrated, holds nothing, and is
// closed by t's cleanup; it is called once for each subtest. Tests that need time to
// pass wait for the store to say so, and never for longer than a second or two.
func Run(t *testing.T, open func(t *testing.T) tocsin.Store) {
	groups := []struct {
		name  string
		cases []testCase
	}{
		{"schema", schemaCases}, {"append", appendCases}, {"doorbell", doorbellCases}, {"webhooks", webhookCases},
		{"leases", leaseCases}, {"overdue", overdueCases}, {"plan", planCases}, {"claim", claimCases},
		{"record", recordCases}, {"advance", advanceCases}, {"split", splitCases}, {"discard", discardCases}, {"redeliver", redeliverCases},
		{"announce", announceCases}, {"incidents", incidentCases}, {"steps", stepCases}, {"incident rules", incidentRuleCases}, {"incident races", incidentRaceCases}, {"mutes", muteCases}, {"repeats", repeatCases}, {"candidates", candidateCases}, {"replays", replayCases},
		{"ledger", ledgerCases}, {"facts", factCases}, {"history", historyCases}, {"keys", keyCases}, {"rotate", rotateCases},
		{"audit", auditCases}, {"sealing", sealingCases}, {"prune", pruneCases}, {"pools", poolCases},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.cases {
				t.Run(c.name, func(t *testing.T) { c.run(newKit(t, open(t))) })
			}
		})
	}
}

// testCase is one sentence of the contract, or a few that need each other.
type testCase struct {
	name string
	run  func(*kit)
}
