package storetest

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

var webhookCases = []testCase{
	{"what is created comes back", createWebhook},
	{"names are unique until deleted", webhookNames},
	{"UpdateWebhook checks the version", updateWebhook},
	{"of concurrent updates one wins", updateRace},
	{"SetState moves and counts", setState},
	{"SetState checks a version", setStateOf},
	{"of deleting and changing one wins", deletedOrChanged},
	{"a deleted webhook is gone, and found by id", deletedWebhook},
	{"every change adds one to the revision", revisions},
	{"every change clears backoff, resuming clears failures", changeClears},
	{"no time in a state that holds counts for retry_for", heldTime},
	{"ListWebhooks is by name and one snapshot", listSnapshot},
	{"Activities", activities},
}

func createWebhook(k *kit) {
	want := Webhook("a")
	want.Anchor = time.Time{}
	got, err := k.s.CreateWebhook(k.ctx, want)
	k.ok(err)
	if got.CreatedAt.IsZero() || !got.UpdatedAt.Equal(got.CreatedAt) || !got.StateSince.Equal(got.CreatedAt) || !got.Anchor.Equal(got.CreatedAt) {
		k.t.Fatalf("times are not those of the creation: %+v", got)
	}
	want.State, want.Version = tocsin.StateActive, 1
	want.CreatedAt, want.UpdatedAt, want.StateSince, want.Anchor = got.CreatedAt, got.CreatedAt, got.CreatedAt, got.CreatedAt
	k.sameWebhook("created", got, want)
	byID, err := k.s.Webhook(k.ctx, want.ID)
	k.ok(err)
	k.sameWebhook("by id", byID, want)
	byName, err := k.s.WebhookByName(k.ctx, "a")
	k.ok(err)
	k.sameWebhook("by name", byName, want)
	_, err = k.s.Webhook(k.ctx, "wh_unknown")
	k.is(err, tocsin.ErrNotFound)
	_, err = k.s.WebhookByName(k.ctx, "A")
	k.is(err, tocsin.ErrNotFound)
	anchored := MustCreate(k.t, k.s, "anchored")
	k.same("anchor", anchored.Anchor, Epoch)
}

// sameWebhook compares; the configuration is JSON, whatever its spaces.
func (k *kit) sameWebhook(what string, got, want tocsin.Webhook) {
	k.t.Helper()
	var a, b any
	k.ok(json.Unmarshal(got.Config, &a))
	k.ok(json.Unmarshal(want.Config, &b))
	k.same(what+": config", a, b)
	got.Config, want.Config = nil, nil
	k.same(what, got, want)
}

func webhookNames(k *kit) {
	a, b := k.webhook("a"), k.webhook("b")
	_, err := k.s.CreateWebhook(k.ctx, Webhook("a"))
	k.is(err, tocsin.ErrNameTaken)
	b.Name = "a"
	_, err = k.s.UpdateWebhook(k.ctx, b)
	k.is(err, tocsin.ErrNameTaken)
	_, err = k.s.SetState(k.ctx, a.ID, tocsin.StateDeleted, "")
	k.ok(err)
	_, err = k.s.WebhookByName(k.ctx, "a")
	k.is(err, tocsin.ErrNotFound)
	again := k.webhook("a")
	byName, err := k.s.WebhookByName(k.ctx, "a")
	k.ok(err)
	k.same("id of the second", byName.ID, again.ID)
}

func updateWebhook(k *kit) {
	w := k.webhook("a")
	change := w
	change.Name, change.BatchSize, change.Config, change.Sealed = "renamed", 7, json.RawMessage(`{"url":"https://example.org"}`), []byte("sealed")
	change.State, change.StateReason = tocsin.StatePaused, "not by this way"
	got, err := k.s.UpdateWebhook(k.ctx, change)
	k.ok(err)
	want := change
	want.State, want.StateReason, want.Version, want.UpdatedAt = tocsin.StateActive, "", 2, got.UpdatedAt
	k.sameWebhook("updated", got, want)
	stored, err := k.s.Webhook(k.ctx, w.ID)
	k.ok(err)
	k.sameWebhook("stored", stored, want)
	if got.UpdatedAt.Before(w.UpdatedAt) {
		k.t.Fatalf("updated at %v, before the creation at %v", got.UpdatedAt, w.UpdatedAt)
	}
	_, err = k.s.UpdateWebhook(k.ctx, change)
	k.is(err, tocsin.ErrVersion)
	stored, err = k.s.Webhook(k.ctx, w.ID)
	k.ok(err)
	k.sameWebhook("stored after a refusal", stored, want)
	_, err = k.s.UpdateWebhook(k.ctx, Webhook("unknown"))
	k.is(err, tocsin.ErrNotFound)
}

func updateRace(k *kit) {
	w := k.webhook("a")
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 6 {
		wg.Go(func() {
			change := w
			change.BatchSize = 100 + i
			_, err := k.s.UpdateWebhook(k.ctx, change)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if tocsin.CodeOf(err) != tocsin.CodeConflict {
				k.t.Errorf("updating: %v", err)
			}
		})
	}
	wg.Wait()
	k.same("updates that won", won, 1)
}

func setState(k *kit) {
	w := k.webhook("a")
	paused, err := k.s.SetState(k.ctx, w.ID, tocsin.StatePaused, "maintenance")
	k.ok(err)
	want := w
	want.State, want.StateReason, want.Version = tocsin.StatePaused, "maintenance", 2
	want.StateSince, want.UpdatedAt = paused.StateSince, paused.UpdatedAt
	k.sameWebhook("paused", paused, want)
	if paused.StateSince.Before(w.StateSince) {
		k.t.Fatalf("paused since %v, before the creation at %v", paused.StateSince, w.StateSince)
	}
	again, err := k.s.SetState(k.ctx, w.ID, tocsin.StatePaused, "another reason")
	k.ok(err)
	k.sameWebhook("paused again", again, want)
	resumed, err := k.s.SetState(k.ctx, w.ID, tocsin.StateActive, "")
	k.ok(err)
	k.same("version", resumed.Version, int64(3))
	k.same("reason", resumed.StateReason, "")
	_, err = k.s.SetState(k.ctx, "wh_unknown", tocsin.StatePaused, "")
	k.is(err, tocsin.ErrNotFound)
}

// setStateOf moves a webhook only while it is as the caller knows it.
func setStateOf(k *kit) {
	w := k.webhook("a")
	before := revision(k)
	for _, to := range []tocsin.State{tocsin.StateActive, tocsin.StatePaused, tocsin.StateDeleted} {
		for _, other := range []int64{0, w.Version - 1, w.Version + 1} {
			_, err := k.s.SetState(k.ctx, w.ID, to, "too late", other)
			k.is(err, tocsin.ErrVersion)
		}
	}
	got, err := k.s.Webhook(k.ctx, w.ID)
	k.ok(err)
	k.sameWebhook("after what came too late", got, w)
	k.same("revision after what came too late", revision(k), before)

	paused, err := k.s.SetState(k.ctx, w.ID, tocsin.StatePaused, "", w.Version)
	k.ok(err)
	k.same("version", paused.Version, w.Version+1)
	_, err = k.s.SetState(k.ctx, w.ID, tocsin.StateDeleted, "", w.Version)
	k.is(err, tocsin.ErrVersion)
	_, err = k.s.SetState(k.ctx, w.ID, tocsin.StateDeleted, "", paused.Version)
	k.ok(err)
	_, err = k.s.SetState(k.ctx, w.ID, tocsin.StateDeleted, "", paused.Version+1)
	k.is(err, tocsin.ErrNotFound)
}

// deletedOrChanged has one delete a webhook that others change, each as they know it:
// exactly one of them comes first.
func deletedOrChanged(k *kit) {
	w := k.webhook("a")
	const racers = 4
	results := make(chan error, 2*racers)
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			changed := w
			changed.BatchSize = i + 2
			_, err := k.s.UpdateWebhook(k.ctx, changed)
			results <- err
		})
		wg.Go(func() {
			_, err := k.s.SetState(k.ctx, w.ID, tocsin.StateDeleted, "", w.Version)
			results <- err
		})
	}
	wg.Wait()
	close(results)
	won := 0
	for err := range results {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, tocsin.ErrVersion) && !errors.Is(err, tocsin.ErrNotFound):
			k.t.Errorf("got %v", err)
		}
	}
	k.same("that won", won, 1)
}

func deletedWebhook(k *kit) {
	w := k.webhook("a")
	_, err := k.s.SetState(k.ctx, w.ID, tocsin.StateDeleted, "")
	k.ok(err)
	got, err := k.s.Webhook(k.ctx, w.ID)
	k.ok(err)
	k.same("state", got.State, tocsin.StateDeleted)
	for _, to := range []tocsin.State{tocsin.StateActive, tocsin.StatePaused, tocsin.StateDeleted} {
		_, err = k.s.SetState(k.ctx, w.ID, to, "")
		k.is(err, tocsin.ErrNotFound)
	}
	_, err = k.s.UpdateWebhook(k.ctx, got)
	k.is(err, tocsin.ErrNotFound)
	k.is(k.s.RunNow(k.ctx, w.ID), tocsin.ErrNotFound)
	_, all, err := k.s.ListWebhooks(k.ctx)
	k.ok(err)
	k.same("listed", len(all), 0)
}

// revision is the configuration's.
func revision(k *kit) int64 {
	k.t.Helper()
	r, _, err := k.s.ListWebhooks(k.ctx)
	k.ok(err)
	return r
}

func revisions(k *kit) {
	last := revision(k)
	grew := func(what string, by int64) {
		k.t.Helper()
		k.same("revision after "+what, revision(k), last+by)
		last = revision(k)
	}
	w := k.webhook("a")
	grew("creating", 1)
	w, err := k.s.UpdateWebhook(k.ctx, w)
	k.ok(err)
	grew("updating", 1)
	_, err = k.s.SetState(k.ctx, w.ID, tocsin.StatePaused, "")
	k.ok(err)
	grew("pausing", 1)
	_, err = k.s.SetState(k.ctx, w.ID, tocsin.StatePaused, "")
	k.ok(err)
	grew("pausing again", 0)
	_, err = k.s.CreateWebhook(k.ctx, Webhook("a"))
	k.is(err, tocsin.ErrNameTaken)
	grew("a name that is taken", 0)
	_, err = k.s.UpdateWebhook(k.ctx, w) // its version is old
	k.is(err, tocsin.ErrVersion)
	grew("an old version", 0)
	_, err = k.s.SetState(k.ctx, w.ID, tocsin.StateDeleted, "")
	k.ok(err)
	grew("deleting", 1)
}

func changeClears(k *kit) {
	w := k.webhook("a")
	k.owe(1, 1, w.ID)
	f := k.begin(w.ID).Fence
	id := k.plan(f, 1)[0]
	backoff := func() {
		f = k.begin(w.ID).Fence
		k.record(f, k.claim(f, id), tocsin.DeliveryReady, func(o *tocsin.Outcome) { o.Backoff, o.Failed = time.Hour, true })
		if k.activity(w.ID).DueAt == nil {
			k.t.Fatal("no backoff was stored")
		}
	}
	backoff()
	stored, err := k.s.Webhook(k.ctx, w.ID)
	k.ok(err)
	_, err = k.s.UpdateWebhook(k.ctx, stored)
	k.ok(err)
	k.same("after updating", k.activity(w.ID).DueAt, (*time.Time)(nil))
	k.same("failures after updating", k.activity(w.ID).Failures, 1)
	backoff()
	_, err = k.s.SetState(k.ctx, w.ID, tocsin.StatePaused, "")
	k.ok(err)
	k.same("after pausing", k.activity(w.ID).DueAt, (*time.Time)(nil))
	k.same("failures after pausing", k.activity(w.ID).Failures, 2)
	_, err = k.s.SetState(k.ctx, w.ID, tocsin.StateActive, "")
	k.ok(err)
	k.same("failures after resuming", k.activity(w.ID).Failures, 0)
}

func (k *kit) setState(w tocsin.Webhook, to tocsin.State) tocsin.Webhook {
	k.t.Helper()
	w, err := k.s.SetState(k.ctx, w.ID, to, "")
	k.ok(err)
	return w
}

// heldTime goes through states that hold, one after the other.
func heldTime(k *kit) {
	w, f, c := k.claimed(1)
	k.record(f, c, tocsin.DeliveryReady, nil)
	moved := func() time.Duration { return k.delivery(c.Delivery.ID).FirstAttempt.Sub(c.At) }
	k.setState(w, tocsin.StateFailing) // delivers
	k.laterThan(c.At)
	w = k.setState(w, tocsin.StateDisabled)
	k.same("moved on by the time it delivered", moved(), time.Duration(0))
	since := w.StateSince
	for _, to := range []tocsin.State{tocsin.StatePaused, tocsin.StateDisabled, tocsin.StateActive} {
		k.laterThan(w.StateSince)
		w = k.setState(w, to)
		k.same("moved on when it is "+string(to), moved(), w.StateSince.Sub(since))
	}
	k.laterThan(w.StateSince)
	k.setState(w, tocsin.StatePaused)
	k.same("moved on by the time it was active", moved(), w.StateSince.Sub(since))
}

// listSnapshot renames two webhooks in turn while others list: a list always belongs
// to the revision that it says.
func listSnapshot(k *kit) {
	for _, name := range []string{"c", "a", "b"} {
		k.webhook(name)
	}
	first, all, err := k.s.ListWebhooks(k.ctx)
	k.ok(err)
	var names []string
	for _, w := range all {
		names = append(names, w.Name)
	}
	k.same("names", strings.Join(names, " "), "a b c")
	w := all[0] // its version grows together with the revision
	done := make(chan error, 1)
	go func() {
		for range 40 {
			var err error
			if w, err = k.s.UpdateWebhook(k.ctx, w); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for running := true; running; {
		select {
		case err := <-done:
			k.ok(err)
			running = false
		default:
		}
		revision, all, err := k.s.ListWebhooks(k.ctx)
		k.ok(err)
		if revision-first != all[0].Version-1 {
			k.t.Fatalf("revision %d with version %d: not one snapshot", revision-first, all[0].Version)
		}
	}
}

func activities(k *kit) {
	a, b, gone := k.webhook("a"), k.webhook("b"), k.webhook("gone")
	_, err := k.s.SetState(k.ctx, gone.ID, tocsin.StateDeleted, "")
	k.ok(err)
	all, err := k.s.Activities(k.ctx)
	k.ok(err)
	k.same("all", all, map[string]tocsin.Activity{a.ID: {}, b.ID: {}})
	some, err := k.s.Activities(k.ctx, b.ID, "wh_unknown")
	k.ok(err)
	k.same("some", some, map[string]tocsin.Activity{b.ID: {}})
}
