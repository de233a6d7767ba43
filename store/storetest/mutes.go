package storetest

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

var muteCases = []testCase{
	{"what is created comes back", createMute},
	{"creating and ending adds one to the revision", muteRevisions},
	{"ending", endMute},
	{"Configuration is one snapshot without what is over", configuration},
	{"Configuration by what is known", configurationKnown},
	{"Configuration by what is known, while others change it", configurationRaced},
	{"ListMutes, newest first, page by page", mutePages},
	{"a notice before the end", mutesEnding},
	{"of a mute that is not there", noMute},
}

// mute creates one that lasts from one distance of now to another.
func (k *kit) mute(from, until time.Duration) tocsin.Mute {
	k.t.Helper()
	now := time.Now()
	m, err := k.s.CreateMute(k.ctx, tocsin.Mute{
		ID: tocsin.NewID(tocsin.PrefixMute), DedupKey: "incident-1", From: now.Add(from), Until: now.Add(until), Author: "somebody", Reason: "a reason",
	})
	k.ok(err)
	return m
}

func (k *kit) configuration() tocsin.Configuration {
	k.t.Helper()
	c, err := k.s.Configuration(k.ctx, tocsin.Configuration{})
	k.ok(err)
	return c
}

func createMute(k *kit) {
	want := tocsin.Mute{
		ID: tocsin.NewID(tocsin.PrefixMute), WebhookIDs: []string{"wh_1", "wh_2"},
		Events:      []tocsin.Selector{{Type: "security"}, {Type: "custom.storetest", Collections: []string{"7"}}},
		Collections: []string{"1", "ü"}, DedupKey: "incident-雪", Filter: `severity >= "high"`,
		Until: time.Now().Add(time.Hour).Truncate(time.Microsecond), Author: "key admin", Reason: "maintenance, \"planned\"",
	}
	got, err := k.s.CreateMute(k.ctx, want)
	k.ok(err)
	if got.CreatedAt.IsZero() || !got.From.Equal(got.CreatedAt) {
		k.t.Fatalf("from %v, created at %v, want both now", got.From, got.CreatedAt)
	}
	want.From, want.CreatedAt = got.From, got.CreatedAt
	k.same("created", got, want)
	stored, err := k.s.Mute(k.ctx, want.ID)
	k.ok(err)
	k.same("stored", stored, want)
	k.same("in the configuration", k.configuration().Mutes, []tocsin.Mute{want})
	if stored.WebhookIDs == nil || k.mute(0, time.Hour).Events == nil {
		k.t.Fatal("a list that is empty is nil, which is null in JSON")
	}
	fixed := want
	fixed.ID, fixed.From = tocsin.NewID(tocsin.PrefixMute), Epoch
	got, err = k.s.CreateMute(k.ctx, fixed)
	k.ok(err)
	fixed.CreatedAt = got.CreatedAt
	k.same("with a beginning", got, fixed)
}

func muteRevisions(k *kit) {
	before := k.configuration().Revision
	step := func(what string, want int64) {
		k.t.Helper()
		k.same("revision after "+what, k.configuration().Revision-before, want)
	}
	m := k.mute(-time.Hour, time.Hour)
	step("creating", 1)
	again, err := k.s.CreateMute(k.ctx, m)
	k.ok(err)
	k.same("created again", again, m)
	step("a repeated call", 1)
	_, err = k.s.EndMute(k.ctx, m.ID)
	k.ok(err)
	step("ending", 2)
	_, err = k.s.EndMute(k.ctx, m.ID)
	k.ok(err)
	step("ending what is over", 2)
	k.ok(k.s.MuteNoticed(k.ctx, m.ID))
	step("a notice", 2)
	_, err = k.s.Append(k.ctx, before+1, []tocsin.NewEvent{Owe(Event(0))})
	k.is(err, tocsin.ErrStaleRevision)
}

func endMute(k *kit) {
	now := k.begin(k.webhook("a").ID).Now
	running, coming, over := k.mute(-time.Hour, time.Hour), k.mute(time.Hour, 2*time.Hour), k.mute(-2*time.Hour, -time.Hour)
	for name, c := range map[string]struct {
		m  tocsin.Mute
		ok func(until time.Time) bool
	}{
		"in force":  {running, func(u time.Time) bool { return !u.Before(now) && u.Before(running.Until) }},
		"to come":   {coming, func(u time.Time) bool { return u.Equal(coming.From) }},
		"over":      {over, func(u time.Time) bool { return u.Equal(over.Until) }},
		"cancelled": {coming, func(u time.Time) bool { return u.Equal(coming.From) }},
	} {
		got, err := k.s.EndMute(k.ctx, c.m.ID)
		k.ok(err)
		if !c.ok(got.Until) {
			k.t.Fatalf("a mute %s, %v to %v, ended: it lasts until %v", name, c.m.From, c.m.Until, got.Until)
		}
		want := c.m
		want.Until = got.Until
		k.same(name, got, want)
		stored, err := k.s.Mute(k.ctx, want.ID)
		k.ok(err)
		k.same(name+", stored", stored, want)
	}
	k.same("mutes that are left", len(k.configuration().Mutes), 0)
}

func configuration(k *kit) {
	a := k.webhook("a")
	_, err := k.s.SetState(k.ctx, k.webhook("gone").ID, tocsin.StateDeleted, "")
	k.ok(err)
	k.mute(-2*time.Hour, -time.Hour)
	byID := func(x, y tocsin.Mute) int { return strings.Compare(x.ID, y.ID) }
	want := []tocsin.Mute{k.mute(-time.Hour, time.Hour), k.mute(time.Hour, 2*time.Hour)}
	slices.SortFunc(want, byID)
	c := k.configuration()
	k.same("mutes", c.Mutes, want)
	revision, all, err := k.s.ListWebhooks(k.ctx)
	k.ok(err)
	for i := range all {
		all[i].Config, all[i].Sealed = nil, nil
	}
	k.same("webhooks", c.Webhooks, all)
	k.same("names", []any{len(all), all[0].Name, c.Revision}, []any{1, a.Name, revision})

	// The revision tells what is in it, also while others change it.
	const rounds = 15
	var wg sync.WaitGroup
	wg.Go(func() {
		for range rounds {
			if _, err := k.s.CreateMute(k.ctx, tocsin.Mute{DedupKey: "x", Until: time.Now().Add(time.Hour)}); err != nil {
				k.t.Errorf("creating: %v", err)
			}
		}
	})
	for c.Revision < revision+rounds && !k.t.Failed() {
		c = k.configuration()
		k.same("mutes of this revision", int64(len(c.Mutes)-len(want)), c.Revision-revision)
	}
	wg.Wait()
	if !slices.IsSortedFunc(c.Mutes, byID) {
		k.t.Fatal("the mutes are not by id")
	}
}

func mutePages(k *kit) {
	var lasting, all []string
	for i := range 9 {
		until := time.Hour
		if i%3 == 0 {
			until = -time.Hour
		}
		m := k.mute(-2*time.Hour, until)
		if all = append(all, m.ID); until > 0 {
			lasting = append(lasting, m.ID)
		}
	}
	cancelled := k.mute(time.Hour, 2*time.Hour)
	_, err := k.s.EndMute(k.ctx, cancelled.ID)
	k.ok(err)
	all = append(all, cancelled.ID)
	slices.Reverse(all)
	slices.Reverse(lasting)
	for _, limit := range []int{1, 2, 3, 6, 9, 10, 11, 1000} {
		for _, ended := range []bool{false, true} {
			want := lasting
			if ended {
				want = all
			}
			var got []string
			for q := (tocsin.MuteQuery{Page: tocsin.Page{Limit: limit}, Ended: ended}); ; {
				page, next, err := k.s.ListMutes(k.ctx, q)
				k.ok(err)
				for _, m := range page {
					got = append(got, m.ID)
				}
				if q.Cursor = next; next == "" {
					break
				}
				k.same("length of a page", len(page), limit)
			}
			k.same("mutes", got, want)
		}
	}
	_, _, err = k.s.ListMutes(k.ctx, tocsin.MuteQuery{Page: tocsin.Page{Limit: 1, Cursor: "no cursor"}})
	k.code(err, tocsin.CodeInvalid)
}

func mutesEnding(k *kit) {
	long := k.mute(-10*time.Hour, 30*time.Minute)
	short := k.mute(-100*time.Minute, 5*time.Minute)
	k.mute(-5*time.Minute, 5*time.Minute)  // more than a tenth is left
	k.mute(-10*time.Hour, 2*time.Hour)     // more than the notice
	k.mute(time.Second, 2*time.Second)     // has not begun
	k.mute(-10*time.Hour, -1*time.Second)  // is over
	k.mute(20*time.Minute, 21*time.Minute) // has not begun
	ending := func(notice time.Duration, limit int) (ids []string) {
		k.t.Helper()
		all, err := k.s.MutesEnding(k.ctx, notice, limit)
		k.ok(err)
		for _, m := range all {
			ids = append(ids, m.ID)
		}
		return ids
	}
	k.same("within an hour", ending(time.Hour, 10), []string{short.ID, long.ID})
	k.same("the first", ending(time.Hour, 1), []string{short.ID})
	k.same("within ten minutes", ending(10*time.Minute, 10), []string{short.ID})
	k.ok(k.s.MuteNoticed(k.ctx, short.ID))
	noticed, err := k.s.Mute(k.ctx, short.ID)
	k.ok(err)
	if noticed.NoticedAt == nil || noticed.NoticedAt.Before(short.CreatedAt) {
		k.t.Fatalf("noticed at %v", noticed.NoticedAt)
	}
	k.ok(k.s.MuteNoticed(k.ctx, short.ID))
	again, err := k.s.Mute(k.ctx, short.ID)
	k.ok(err)
	k.same("noticed twice", again, noticed)
	k.same("after a notice", ending(time.Hour, 10), []string{long.ID})
}

func noMute(k *kit) {
	_, err := k.s.Mute(k.ctx, "mute_none")
	k.is(err, tocsin.ErrNotFound)
	_, err = k.s.EndMute(k.ctx, "mute_none")
	k.is(err, tocsin.ErrNotFound)
	k.is(k.s.MuteNoticed(k.ctx, "mute_none"), tocsin.ErrNotFound)
}
