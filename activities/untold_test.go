package activities_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/sdk/testsuite"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
	"github.com/tocsin-alerts/tocsin/ingest"
)

// soon is how long a workflow may wait before it comes back for an announcement.
const soon = 30 * time.Second

// mute makes every announcement fail, until submit of what it returns is false.
func (c *scene) mute() (b *broken) {
	b = &broken{Store: c.store, Submitter: c.acts.Submit}
	b.submit.Store(true)
	c.acts.Store, c.acts.Submit = b, submitter{b}
	return b
}

// What could not be announced waits for nobody: not for an event, a resumption, or the end
// of a long backoff. The workflow is told to come back, nothing is sent for that, and
// once it was said all is as it would have been.
func TestWhatCouldNotBeAnnouncedIsSaidSoon(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		what  func(*scene) // what is to be announced
		said  []string
		after activities.Next
	}{
		{"disabled", func(c *scene) {
			c.answer(tocsin.Gone(errBroken))
			c.deliver()
		}, []string{saysDisabled}, activities.NextParked},
		{"backs off", func(c *scene) {
			c.answer(tocsin.Refused(tocsin.RetryAfter(errBroken, time.Hour)))
			c.deliver()
		}, []string{saysFailing}, activities.NextWait},
		{"idle", func(c *scene) {
			b := c.acts.Submit.(submitter)
			b.submit.Store(false)
			c.answer(tocsin.Gone(errBroken))
			c.deliver()
			c.resume()
			b.submit.Store(true)
			c.answer(nil)
		}, []string{saysDisabled, saysRecovered}, activities.NextIdle},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, s tocsin.Store) {
				c := newScene(t, s, nil)
				c.acts.Backoff = newActivities(s, c.receiver).Backoff
				b := c.mute()
				submit(t, s, c.hook, "a")
				tt.what(c)
				got := c.deliver()
				if got.Next != activities.NextWait || got.Wait <= 0 || got.Wait > soon {
					t.Errorf("got %+v, want it to come back soon", got)
				}
				sent := len(c.receiver.notifications())
				b.submit.Store(false)
				if got = c.deliver(); got.Next != tt.after || got.Next == activities.NextWait && got.Wait < 59*time.Minute {
					t.Errorf("got %+v, want %s", got, tt.after)
				}
				c.mustSay(tt.said...)
				if n := len(c.receiver.notifications()); n != sent {
					t.Errorf("%d deliveries were sent for an announcement", n-sent)
				}
			})
		})
	}
}

// In a workflow a failure is an error with its retry delay, of up to a week. A further
// percentage that could not be announced does not wait for that.
func TestALostPercentageDoesNotWaitForTheRetry(t *testing.T) {
	t.Parallel()
	s, forward := clocked(t)
	c := newScene(t, s, func(set *tocsin.Settings) { set.DisableFor = tocsin.Duration(5 * 24 * time.Hour) })
	submit(t, s, c.hook, "a")
	c.answer(errBroken)
	for range 5 {
		c.deliver()
	}
	c.mustSay(saysFailing)
	c.acts.Backoff = func(int, time.Duration) time.Duration { return 7 * 24 * time.Hour }
	forward(3 * 24 * time.Hour)
	b := c.mute()
	got, err := c.asActivity()
	if err != nil || got.Next != activities.NextWait || got.Wait > soon {
		t.Fatalf("got %+v (%v), want it to come back soon", got, err)
	}
	b.submit.Store(false)
	if got, err = c.asActivity(); err != nil || got.Next != activities.NextWait || got.Wait < 6*24*time.Hour {
		t.Errorf("got %+v (%v), want it to wait for its retry", got, err)
	}
	c.mustSay(saysFailing, saysFailing)
	if n := len(c.receiver.notifications()); n != 6 {
		t.Errorf("%d attempts, want 6", n)
	}
}

// asActivity runs Deliver as Temporal does.
func (c *scene) asActivity() (out activities.DeliverResult, err error) {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(c.acts.Deliver)
	v, err := env.ExecuteActivity(c.acts.Deliver, activities.DeliverInput{WebhookID: c.hook.ID})
	if err != nil {
		return out, err
	}
	return out, v.Get(&out)
}

// An announcement that is refused for what it is would be refused again: nobody comes
// back for it, for ever.
func TestARefusedAnnouncementIsNotTriedForEver(t *testing.T) {
	t.Parallel()
	c := newScene(t, stores["sqlite"](t), nil)
	c.acts.Submit = refuser{}
	submit(t, c.store, c.hook, "a")
	c.answer(tocsin.Gone(errBroken))
	c.deliver()
	if got := c.deliver(); got.Next != activities.NextParked {
		t.Errorf("got %+v, want parked", got)
	}
}

// refuser is a Submitter that takes no announcement.
type refuser struct{ activities.Submitter }

func (refuser) Announce(context.Context, tocsin.Event, ...string) (ingest.Result, error) {
	return ingest.Result{}, tocsin.Invalid("type", "not allowed")
}

// The attempt that follows waits until what is made up for was noted: with the trouble
// over before its note, nobody would ever hear of its end.
func TestTroubleIsNotedBeforeItMayEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newScene(t, stores["sqlite"](t), nil)
		b := c.mute()
		submit(t, c.store, c.hook, "a")
		c.answer(errors.New("503"))
		for range 5 {
			c.deliver()
		}
		c.mustSay()
		b.submit.Store(false)
		// Its clock moves on when all else waits: without anybody who waits for the
		// announcement, the whole delivery is over by then.
		c.acts.Submit = slow{c.acts.Submit}
		c.answer(nil)
		if got := c.deliver(); got.State != tocsin.StateActive || got.Events != 1 {
			t.Fatalf("got %+v, want the event delivered", got)
		}
		c.mustSay(saysFailing, saysRecovered)
	})
}

// slow is a Submitter that takes a second for an announcement.
type slow struct{ activities.Submitter }

func (s slow) Announce(ctx context.Context, e tocsin.Event, also ...string) (ingest.Result, error) {
	time.Sleep(time.Second)
	return s.Submitter.Announce(ctx, e, also...)
}
