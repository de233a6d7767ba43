package activities

import (
	"context"
	"time"
)

// Counted is what a webhook was owed at a moment. Stored in histories: fields are added,
// never renamed.
type Counted struct {
	Pending  int64     `json:"pending"`
	InFlight int64     `json:"in_flight"`
	At       time.Time `json:"at"`
}

// Owed is what waited to be delivered: of a webhook that fails, much may be in deliveries
// already.
func (c Counted) Owed() int64 { return c.Pending + c.InFlight }

// countFor bounds the count: it is for people who look, and holds nothing up.
const countFor = 2 * time.Second

// unshown reports whether the workflow's search attributes say another state than the
// webhook has by now.
func (r *run) unshown() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state != r.shown
}

// counted adds what is owed where the workflow will show another state. It reads the whole
// ledger, so it is not for every Deliver.
func (r *run) counted(ctx context.Context, out DeliverResult) DeliverResult {
	if out.State == "" || out.State == r.shown {
		return out
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), countFor)
	defer cancel()
	b, err := r.balance(ctx, r.lease.Webhook.ID)
	if err != nil {
		r.a.logger().Warn("counting what is owed, for Temporal's lists: they keep the older number", "webhook", r.lease.Webhook.Name, "error", err)
		return out
	}
	out.Counted = &Counted{Pending: b.Pending, InFlight: b.InFlight, At: r.now().UTC()}
	return out
}
