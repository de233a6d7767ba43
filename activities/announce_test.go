package activities_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
	"github.com/tocsin-alerts/tocsin/ingest"
)

// scene is a webhook with a fallback, and activities that announce for real.
type scene struct {
	t        *testing.T
	store    tocsin.Store
	receiver *receiver
	acts     *activities.Activities
	hook     tocsin.Webhook
	fallback tocsin.Webhook
	fail     atomic.Pointer[error] // what the receiver answers
}

func newScene(t *testing.T, s tocsin.Store, change func(*tocsin.Settings)) *scene {
	t.Helper()
	c := &scene{t: t, store: s, receiver: newReceiver()}
	c.receiver.answer = func(tocsin.Notification) (tocsin.Receipt, error) {
		if err := c.fail.Load(); err != nil {
			return tocsin.Receipt{}, *err
		}
		return tocsin.Receipt{}, nil
	}
	c.fallback = newWebhook(t, s, func(w *tocsin.Webhook) { w.Name, w.Events = "fallback", []tocsin.Selector{{Type: "none"}} })
	c.hook = newWebhook(t, s, func(w *tocsin.Webhook) {
		w.Name, w.Fallback, w.Events = "main", "fallback", []tocsin.Selector{{Type: "custom.test"}, {Type: "pipeline"}}
		if change != nil {
			change(&w.Settings)
		}
	})
	c.acts = newActivities(s, c.receiver)
	c.acts.Submit = ingestInto(t, s)
	c.acts.Backoff = func(int, time.Duration) time.Duration { return 0 }
	return c
}

func (c *scene) answer(err error) {
	if err == nil {
		c.fail.Store(nil)
		return
	}
	c.fail.Store(&err)
}

// deliver runs one Deliver; it ends at the receiver's first failure.
func (c *scene) deliver() activities.DeliverResult {
	c.t.Helper()
	return deliver(c.t, c.acts, c.hook)
}

// said lists the announcements in the store, oldest first, as the type, the status and
// whether only the fallback is owed them.
func (c *scene) said() (out []string) {
	c.t.Helper()
	events, _, err := c.store.Events(c.t.Context(), tocsin.EventQuery{Source: "/tocsin", Page: tocsin.Page{Limit: 100}})
	if err != nil {
		c.t.Fatalf("listing events: %v", err)
	}
	for _, e := range events {
		line := e.Type + " " + string(e.Status)
		if e.Subject != "webhook/main" || e.DedupKey != "webhook/"+c.hook.ID {
			line += " about " + e.Subject + " " + e.DedupKey
		}
		traces, err := c.store.Traces(c.t.Context(), e.Seq)
		if err != nil {
			c.t.Fatalf("tracing: %v", err)
		}
		if len(traces) != 1 || traces[0].WebhookID != c.fallback.ID {
			line += fmt.Sprintf(" owed as %+v", traces)
		}
		out = append(out, line)
	}
	slices.Reverse(out)
	return out
}

func (c *scene) mustSay(want ...string) {
	c.t.Helper()
	if diff := cmp.Diff(want, c.said()); diff != "" {
		c.t.Errorf("announcements (-want +got):\n%s", diff)
	}
}

func (c *scene) webhook() tocsin.Webhook {
	c.t.Helper()
	w, err := c.store.Webhook(c.t.Context(), c.hook.ID)
	if err != nil {
		c.t.Fatalf("reading webhook: %v", err)
	}
	return w
}

func (c *scene) announced() int {
	c.t.Helper()
	all, err := c.store.Activities(c.t.Context(), c.hook.ID)
	if err != nil {
		c.t.Fatalf("reading activity: %v", err)
	}
	return all[c.hook.ID].Announced
}

func (c *scene) resume() {
	c.t.Helper()
	if _, err := c.store.SetState(c.t.Context(), c.hook.ID, tocsin.StateActive, ""); err != nil {
		c.t.Fatalf("resuming: %v", err)
	}
}

const (
	saysFailing   = "webhook.failing firing"
	saysDisabled  = "webhook.disabled firing"
	saysRecovered = "webhook.recovered resolved"
)

// errBroken is what a receiver answers, and what no announcement may repeat.
var errBroken = errors.New("status 500: hunter2")

func TestAnnouncementsFollowDisableAfter(t *testing.T) {
	t.Parallel()
	s, forward := clocked(t)
	const day = 24 * time.Hour
	c := newScene(t, s, func(set *tocsin.Settings) { set.DisableFor = tocsin.Duration(5 * day) })
	submit(t, s, c.hook, "a", "b", "c")
	c.answer(errBroken)
	want := []string(nil)
	for i := range 5 {
		c.mustSay(want...)
		c.deliver()
		if i == 3 && c.webhook().State != tocsin.StateActive {
			t.Error("failing after four failures")
		}
	}
	want = append(want, saysFailing) // level 1
	c.mustSay(want...)
	steps := []struct {
		after time.Duration
		news  string
		state tocsin.State
	}{
		{day, "", tocsin.StateFailing},                                // 20 %
		{3 * day / 2, saysFailing, tocsin.StateFailing},               // 50 %
		{time.Hour, "", tocsin.StateFailing},                          // 51 %
		{day - time.Hour, saysFailing, tocsin.StateFailing},           // 70 %
		{day, saysFailing, tocsin.StateFailing},                       // 90 %
		{day/2 - time.Hour, "", tocsin.StateFailing},                  // 99 %
		{time.Hour + time.Minute, saysDisabled, tocsin.StateDisabled}, // 100 %
	}
	for _, step := range steps {
		forward(step.after)
		c.deliver()
		if step.news != "" {
			want = append(want, step.news)
		}
		c.mustSay(want...)
		if got := c.webhook().State; got != step.state {
			t.Fatalf("after %s more it is %s, want %s", step.after, got, step.state)
		}
	}
	events, _, err := s.Events(t.Context(), tocsin.EventQuery{Source: "/tocsin", Page: tocsin.Page{Limit: 100}})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		text := e.Title + e.Summary + string(e.Data)
		if strings.Contains(text, "hunter2") {
			t.Errorf("%s repeats what the receiver said: %s", e.ID, text)
		}
		if !strings.Contains(text, `"owed":3`) || !strings.Contains(text, "main") {
			t.Errorf("%s does not say whom and how many events it is about: %s", e.ID, text)
		}
	}
}

func TestGoneIsAnnouncedAsDisabled(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		c := newScene(t, s, nil)
		submit(t, s, c.hook, "a")
		c.answer(tocsin.Gone(errBroken))
		c.deliver()
		c.mustSay(saysDisabled)
	})
}

// broken is a store, and a Submitter, of which announcements fail while it is asked to.
type broken struct {
	tocsin.Store
	activities.Submitter
	note, submit atomic.Bool
	submitted    atomic.Int64
}

func (b *broken) Announce(ctx context.Context, f tocsin.Fence, level int) error {
	if b.note.Load() {
		return &tocsin.Error{Code: tocsin.CodeUnavailable, Message: "away"}
	}
	return b.Store.Announce(ctx, f, level)
}

// submitter is the other Announce of broken.
type submitter struct{ *broken }

func (s submitter) SubmitEach(ctx context.Context, events []tocsin.Event) (ingest.Result, []tocsin.FieldError, error) {
	return s.Submitter.SubmitEach(ctx, events)
}

func (s submitter) Announce(ctx context.Context, e tocsin.Event, also ...string) (ingest.Result, error) {
	if s.submit.Load() {
		return ingest.Result{}, &tocsin.Error{Code: tocsin.CodeUnavailable, Message: "away"}
	}
	s.submitted.Add(1)
	return s.Submitter.Announce(ctx, e, also...)
}

// A process may die anywhere between the record of a failure and the note of what was
// announced: before the event is submitted, or after it. The next Deliver makes up
// for it, with the same event. Neither fails a delivery.
func TestAnnouncementsSurviveADeathAnywhere(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		c := newScene(t, s, nil)
		b := &broken{Store: s, Submitter: c.acts.Submit}
		c.acts.Store, c.acts.Submit = b, submitter{b}
		submit(t, s, c.hook, "a")
		c.answer(tocsin.Gone(errBroken))
		b.submit.Store(true)
		if got := c.deliver(); got.State != tocsin.StateDisabled {
			t.Fatalf("got %+v, want disabled", got)
		}
		c.mustSay()
		b.submit.Store(false)
		b.note.Store(true)
		c.deliver() // says it, and does not note it
		c.deliver() // says it again
		if n := b.submitted.Load(); n != 2 {
			t.Errorf("submitted %d times, want twice", n)
		}
		c.mustSay(saysDisabled)
		b.note.Store(false)
		c.deliver()
		c.deliver()
		if n := b.submitted.Load(); n != 3 {
			t.Errorf("submitted %d times, want three times: it was noted then", n)
		}
		c.mustSay(saysDisabled)

		c.resume()
		c.answer(nil)
		b.submit.Store(true)
		if got := c.deliver(); got.Events != 1 {
			t.Fatalf("got %+v, want one event delivered", got)
		}
		c.mustSay(saysDisabled)
		b.submit.Store(false)
		b.note.Store(true)
		c.deliver()
		submit(t, s, c.hook, "b")
		c.deliver() // delivers once more before it says it again: still the same event
		b.note.Store(false)
		c.deliver()
		c.mustSay(saysDisabled, saysRecovered)
	})
}

// A Deliver that lost the webhook may say what it saw, which converges, but not note it.
func TestAStaleFenceNotesNoAnnouncement(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		c := newScene(t, s, nil)
		b := &broken{Store: s, Submitter: c.acts.Submit}
		taken := &takeover{broken: b, hook: c.hook}
		c.acts.Store, c.acts.Submit = b, taken
		submit(t, s, c.hook, "a")
		c.answer(tocsin.Gone(errBroken))
		c.deliver()
		if n := c.announced(); n != 0 {
			t.Errorf("a stale fence noted level %d", n)
		}
		c.acts.Submit = submitter{b}
		c.deliver()
		if n := c.announced(); n != 100 {
			t.Errorf("announced is %d, want 100", n)
		}
		c.mustSay(saysDisabled)
	})
}

// takeover takes the webhook over while an announcement is submitted.
type takeover struct {
	*broken
	hook tocsin.Webhook
}

func (s *takeover) SubmitEach(ctx context.Context, events []tocsin.Event) (ingest.Result, []tocsin.FieldError, error) {
	return s.Submitter.SubmitEach(ctx, events)
}

func (s *takeover) Announce(ctx context.Context, e tocsin.Event, also ...string) (ingest.Result, error) {
	if _, err := s.Store.Begin(ctx, s.hook.ID); err != nil {
		return ingest.Result{}, err
	}
	return s.Submitter.Announce(ctx, e, also...)
}
