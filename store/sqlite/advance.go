package sqlite

import (
	"context"
	"errors"

	"github.com/tocsin-alerts/tocsin"
)

// errNotPlanned undoes a step with rows to plan that are gone.
var errNotPlanned = errors.New("rows to plan are gone")

// Advance implements tocsin.Queue.
func (db *DB) Advance(ctx context.Context, f tocsin.Fence, s tocsin.Step) (c tocsin.Claimed, err error) {
	var refused error // what was not done, beside what was
	err = db.write(ctx, "advancing deliveries", func(t *tx) error {
		c, refused = tocsin.Claimed{}, nil
		held := t.hold(f)
		if held != nil && !errors.Is(held, tocsin.ErrFenced) {
			return held
		}
		if s.Record != nil {
			if err := t.record(f, *s.Record, held); err != nil || len(s.Plan) == 0 && s.Claim == "" {
				return err
			}
		}
		if refused = held; refused != nil {
			return nil
		}
		if err := t.plan(f.WebhookID, s.Plan); err != nil || s.Claim == "" {
			return err
		}
		c, err = t.claim(f, s.Claim, db.recent.Get(s.ClaimSeqs))
		if errors.Is(err, tocsin.ErrVersion) || errors.Is(err, tocsin.ErrNotFound) {
			refused, err = err, nil
		}
		return err
	})
	if errors.Is(err, errNotPlanned) {
		refused, err = tocsin.ErrFenced, nil
		if s.Record != nil { // it stands, whatever becomes of the rest
			_, err = db.Advance(ctx, f, tocsin.Step{Record: s.Record})
		}
	}
	if err == nil {
		err = refused
	}
	if err != nil {
		return tocsin.Claimed{}, err
	}
	db.recent.Add(c.Events)
	return c, nil
}
