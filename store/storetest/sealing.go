package storetest

import (
	"sync"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

var sealingCases = []testCase{
	{"the first signing key signs at once", signFirst},
	{"the next signing key is known before it signs, and ends the others", signNext},
	{"no signing key while the newest is young", signUnless},
	{"of many that add the first signing key one does", signRace},
	{"a signing key that ended a week ago is gone", signEnded},
	{"a signing key is sealed again", resealSigning},
	{"a webhook is sealed again", resealWebhook},
	{"SealedWebhooks has deleted ones too", sealedWebhooks},
}

func signingKey(n byte) tocsin.SigningKey {
	return tocsin.SigningKey{ID: tocsin.NewID(tocsin.PrefixSigning), Public: []byte{n, 0, 0xff}, Sealed: []byte{0, n, 0xfe}}
}

func (k *kit) sign(key tocsin.SigningKey, lead, overlap, unless time.Duration) []tocsin.SigningKey {
	k.t.Helper()
	all, err := k.s.AddSigningKey(k.ctx, key, lead, overlap, unless)
	k.ok(err)
	stored, err := k.s.SigningKeys(k.ctx)
	k.ok(err)
	k.same("signing keys", stored, all)
	return all
}

func signFirst(k *kit) {
	none, err := k.s.SigningKeys(k.ctx)
	k.ok(err)
	k.same("signing keys of a new store", none, []tocsin.SigningKey{})
	key := signingKey(1)
	all := k.sign(key, time.Hour, time.Hour, time.Hour)
	if len(all) != 1 || all[0].CreatedAt.IsZero() {
		k.t.Fatalf("got %+v, want one key", all)
	}
	key.CreatedAt, key.SignsFrom = all[0].CreatedAt, all[0].CreatedAt
	k.same("the first", all[0], key)
	k.same("added again", k.sign(key, 0, 0, 0), all) // as after an answer that was lost
}

func signNext(k *kit) {
	const lead, overlap = 2 * time.Hour, 24 * time.Hour
	first := k.sign(signingKey(1), lead, overlap, 0)[0]
	all := k.sign(signingKey(2), lead, overlap, 0)
	second := all[1]
	k.same("lead", second.SignsFrom.Sub(second.CreatedAt), lead)
	until := second.SignsFrom.Add(overlap)
	first.SignsUntil = &until
	k.same("both", all, []tocsin.SigningKey{first, second})

	// An end that was set is not put off by the next rotation.
	all = k.sign(signingKey(3), lead, 9*overlap, 0)
	until2 := all[2].SignsFrom.Add(9 * overlap)
	second.SignsUntil = &until2
	k.same("three", all, []tocsin.SigningKey{first, second, all[2]})
}

func signUnless(k *kit) {
	first := k.sign(signingKey(1), 0, 0, time.Hour)
	k.same("while it is young", k.sign(signingKey(2), 0, 0, time.Hour), first)
	k.laterThan(first[0].CreatedAt)
	if all := k.sign(signingKey(2), 0, time.Hour, time.Nanosecond); len(all) != 2 {
		k.t.Fatalf("got %d keys, want 2", len(all))
	}
}

func signRace(k *kit) {
	var wg sync.WaitGroup
	answers := make([][]tocsin.SigningKey, 8)
	for i := range answers {
		wg.Go(func() {
			all, err := k.s.AddSigningKey(k.ctx, signingKey(byte(i)), time.Hour, time.Hour, time.Hour)
			if err != nil {
				k.t.Errorf("adding: %v", err)
			}
			answers[i] = all
		})
	}
	wg.Wait()
	for _, all := range answers {
		if len(all) != 1 {
			k.t.Fatalf("got %d keys, want 1", len(all))
		}
		k.same("key", all, answers[0])
	}
}

func signEnded(k *kit) {
	const week = 7 * 24 * time.Hour
	k.sign(signingKey(1), 0, 0, 0)
	if all := k.sign(signingKey(2), 0, -week+time.Hour, 0); len(all) != 2 {
		k.t.Fatalf("got %d keys, want 2: the first ended less than a week ago", len(all))
	}
	third := signingKey(3)
	all := k.sign(third, 0, -week-time.Hour, 0)
	if len(all) != 1 || all[0].ID != third.ID {
		k.t.Fatalf("got %+v, want the third alone", all)
	}
}

func resealSigning(k *kit) {
	key := signingKey(1)
	k.sign(key, 0, 0, 0)
	k.ok(k.s.ResealSigningKey(k.ctx, key.ID, key.Sealed, []byte("new")))
	k.ok(k.s.ResealSigningKey(k.ctx, key.ID, key.Sealed, []byte("new"))) // repeated
	k.is(k.s.ResealSigningKey(k.ctx, key.ID, key.Sealed, []byte("other")), tocsin.ErrVersion)
	k.is(k.s.ResealSigningKey(k.ctx, "sig_none", key.Sealed, []byte("other")), tocsin.ErrNotFound)
	all, err := k.s.SigningKeys(k.ctx)
	k.ok(err)
	k.same("sealed", all[0].Sealed, []byte("new"))
}

func resealWebhook(k *kit) {
	w := k.webhook("a")
	revision, _, err := k.s.ListWebhooks(k.ctx)
	k.ok(err)
	k.is(k.s.ResealWebhook(k.ctx, w.ID, []byte("not that"), []byte("new")), tocsin.ErrVersion)
	k.is(k.s.ResealWebhook(k.ctx, "wh_none", w.Sealed, []byte("new")), tocsin.ErrNotFound)
	k.ok(k.s.ResealWebhook(k.ctx, w.ID, w.Sealed, []byte("new")))
	k.ok(k.s.ResealWebhook(k.ctx, w.ID, w.Sealed, []byte("new"))) // repeated
	stored, err := k.s.Webhook(k.ctx, w.ID)
	k.ok(err)
	want := w
	want.Sealed = []byte("new")
	k.same("webhook", stored, want)
	after, _, err := k.s.ListWebhooks(k.ctx)
	k.ok(err)
	k.same("revision", after, revision)

	// A change made in between wins.
	stored.Sealed = []byte("changed")
	_, err = k.s.UpdateWebhook(k.ctx, stored)
	k.ok(err)
	k.is(k.s.ResealWebhook(k.ctx, w.ID, []byte("new"), []byte("newer")), tocsin.ErrVersion)
}

func sealedWebhooks(k *kit) {
	a, b := k.webhook("a"), k.webhook("b")
	_, err := k.s.SetState(k.ctx, b.ID, tocsin.StateDeleted, "")
	k.ok(err)
	k.ok(k.s.ResealWebhook(k.ctx, b.ID, b.Sealed, []byte("new")))
	all, err := k.s.SealedWebhooks(k.ctx)
	k.ok(err)
	k.same("sealed", all, map[string][]byte{a.ID: a.Sealed, b.ID: []byte("new")})
}
