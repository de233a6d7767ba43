package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tocsin-alerts/tocsin"
)

// Advance implements [tocsin.Queue]. To claim, to record a plain success, and both
// together, are one round trip: all conditions are in the statements. Other outcomes take
// one more, to look first, and so does a plan, to see that it was carried out.
func (db *DB) Advance(ctx context.Context, f tocsin.Fence, s tocsin.Step) (tocsin.Claimed, error) {
	a, err := newAdvance(db, f, s)
	if err != nil {
		return tocsin.Claimed{}, err
	}
	err = db.transact(ctx, "advancing deliveries", a.try(ctx))
	if errors.Is(err, errNotPlanned) {
		if s.Record != nil { // it stands, whatever becomes of the rest
			if _, err := db.Advance(ctx, f, tocsin.Step{Record: s.Record}); err != nil {
				return tocsin.Claimed{}, err
			}
		}
		return tocsin.Claimed{}, tocsin.ErrFenced
	}
	if err == nil {
		err = a.verdict(ctx)
	}
	if err != nil {
		return tocsin.Claimed{}, err
	}
	a.claim.Attempt = a.claim.Delivery.Attempts
	db.recent.Add(a.claim.Events)
	return a.claim, nil
}

// errNotPlanned undoes a step whose plan could not be carried out.
var errNotPlanned = errors.New("the fence is stale, or rows to plan are gone")

// advance is one Advance.
type advance struct {
	db   *DB
	f    tocsin.Fence
	step tocsin.Step
	body string // the attempt, encoded
	plan plan

	// What the last try found.
	held, recorded, claimed bool
	moved                   int64
	claim                   tocsin.Claimed
}

func newAdvance(db *DB, f tocsin.Fence, s tocsin.Step) (*advance, error) {
	a := &advance{db: db, f: f, step: s}
	var err error
	if a.plan, err = newPlan(s.Plan); err != nil || s.Record == nil {
		return a, err
	}
	switch s.Record.State {
	case tocsin.DeliveryDelivered, tocsin.DeliverySplit, tocsin.DeliveryDead, tocsin.DeliveryReady:
	default:
		return nil, fmt.Errorf("recording outcome: %q is no outcome", s.Record.State)
	}
	body, err := json.Marshal(s.Record.Attempt)
	if err != nil {
		return nil, fmt.Errorf("encoding attempt: %w", err)
	}
	a.body = string(body)
	return a, nil
}

// try is the transaction.
func (a *advance) try(ctx context.Context) func(*tx) error {
	return func(t *tx) error {
		a.held, a.recorded, a.claimed, a.moved, a.claim = false, false, false, 0, tocsin.Claimed{}
		if err := a.record(ctx, t); err != nil {
			return err
		}
		if n := int64(len(a.plan.seqs)); n > 0 {
			a.plan.queue(t, a.f.WebhookID, &a.moved)
			if err := t.flush(ctx); err != nil {
				return err
			}
			switch {
			case a.step.Record != nil && !a.recorded:
				return tocsin.ErrNotFound
			case !a.held || a.moved != n:
				return errNotPlanned
			}
		}
		if a.step.Claim != "" {
			t.queueClaim(a.f, &a.step, a.db.recent.Get(a.step.ClaimSeqs), &a.claim, &a.claimed)
		}
		return nil
	}
}

// record locks the lease, and records what there is to record.
func (a *advance) record(ctx context.Context, t *tx) error {
	switch o := a.step.Record; {
	case o == nil:
		t.fenced(&a.held, a.f)
	case plain(o):
		t.succeed(a.f, o, a.body, &a.held, &a.recorded)
	default:
		r := &recording{f: a.f, o: *o}
		err := r.run(ctx, t, a.db, a.body)
		a.held, a.recorded = r.fence == a.f.Number, true
		return err
	}
	return nil
}

// verdict is why the step was not done as a whole, or nil.
func (a *advance) verdict(ctx context.Context) error {
	more := a.step.Record == nil || len(a.step.Plan) > 0 || a.step.Claim != ""
	switch {
	case a.step.Record != nil && !a.recorded:
		return tocsin.ErrNotFound
	case more && !a.held:
		return tocsin.ErrFenced
	case a.step.Claim == "" || a.claimed:
		return nil
	}
	var held, allowed bool
	err := a.db.pool.QueryRow(ctx, unclaimed, a.f.WebhookID, a.f.Number, a.f.Version).Scan(&held, &allowed)
	switch {
	case err != nil:
		return wrap("claiming delivery", notFound(err))
	case !held:
		return tocsin.ErrFenced
	case !allowed:
		return tocsin.ErrVersion
	}
	return tocsin.ErrNotFound
}
