package activities_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
)

// doorbellRounds is how often an event arrives while the webhook goes idle.
const doorbellRounds = 2000

// Every round an event is committed at some moment of a Deliver that is about to go
// idle. The webhook's workflow is played by a loop that delivers when it is signalled,
// and only then; there is no sweeper. A lost wake-up leaves an event undelivered.
func TestDoorbellLosesNoWakeUp(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		r := newReceiver()
		a := newActivities(s, r)
		w := newWebhook(t, s, nil)
		signals := make(chan struct{}, doorbellRounds+1)
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		ended := make(chan error, 1)
		go func() { ended <- playWorkflow(ctx, a, w, signals) }()
		defer func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("the workflow's loop: %v", err)
			}
		}()

		rnd := rand.New(rand.NewPCG(1, 2))
		for i := range doorbellRounds {
			if rung := submit(t, s, w, fmt.Sprint(i)); len(rung) == 1 {
				signals <- struct{}{}
			}
			select {
			case <-r.got:
			case <-time.After(20 * time.Second):
				t.Fatalf("round %d: the event was not delivered: a wake-up was lost", i)
			}
			// The loop is between the send and going idle now; meet it anywhere there.
			for range rnd.IntN(200) {
				runtime.Gosched()
			}
		}
		if b := balance(t, s, w); b.Accepted != doorbellRounds {
			t.Errorf("ledger %+v, want %d accepted", b, doorbellRounds)
		}
	})
}

// playWorkflow does what the workflow does: drain signals, deliver, wait for a signal.
func playWorkflow(ctx context.Context, a *activities.Activities, w tocsin.Webhook, signals chan struct{}) error {
	for {
		for len(signals) > 0 {
			<-signals
		}
		out, err := a.Deliver(ctx, activities.DeliverInput{WebhookID: w.ID})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if out.Next != activities.NextIdle {
			continue
		}
		select {
		case <-signals:
		case <-ctx.Done():
			return nil
		}
	}
}
