package storetest

import (
	"strings"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

var rotateCases = []testCase{
	{"RotateKey: the old text works for a while", rotateOverlap},
	{"RotateKey while the old text still works", rotateTwice},
	{"RotateKey without overlap", rotateAtOnce},
	{"RotateKey sets when it expires", rotateExpires},
	{"RotateKey of a key that is not there", rotateMissing},
	{"RotateKey repeated changes nothing", rotateAgain},
	{"a text that works, or did, is nobody else's", rotateTaken},
	{"DeleteKey ends both texts", rotateDelete},
}

func (k *kit) rotate(idOrName, text string, overlap time.Duration) tocsin.Key {
	k.t.Helper()
	key, err := k.s.RotateKey(k.ctx, idOrName, hash(text), overlap, nil)
	k.ok(err)
	return key
}

// works checks that the text is this key's.
func (k *kit) works(text, id string) {
	k.t.Helper()
	key, err := k.s.KeyByHash(k.ctx, hash(text))
	k.ok(err)
	k.same("key of "+text, key.ID, id)
}

func (k *kit) worksNot(text string) {
	k.t.Helper()
	_, err := k.s.KeyByHash(k.ctx, hash(text))
	k.is(err, tocsin.ErrNotFound)
}

func rotateOverlap(k *kit) {
	key := k.key("ci")
	k.works("ci", key.ID)
	got := k.rotate("ci", "second", 300*time.Millisecond)
	if got.OldExpiresAt == nil {
		k.t.Fatal("the old text has no end")
	}
	if left := got.OldExpiresAt.Sub(key.CreatedAt); left < 300*time.Millisecond || left > 3*time.Minute {
		k.t.Fatalf("the old text works until %v after the key was made, want 300ms after the rotation", left)
	}
	k.same("name and scopes", []any{got.ID, got.Name, got.Scopes}, []any{key.ID, key.Name, key.Scopes})
	k.works("second", key.ID)
	byOld := func() tocsin.Key {
		found, err := k.s.KeyByHash(k.ctx, hash("ci"))
		if err != nil {
			k.is(err, tocsin.ErrNotFound)
		}
		return found
	}
	if now := byOld(); now.ID != "" && now.LastUsed == nil {
		k.t.Fatalf("use of the old text is not noted: %+v", now)
	}
	k.eventually("the old text works no more", func() bool { return byOld().ID == "" })
	k.works("second", key.ID)
	all, err := k.s.ListKeys(k.ctx)
	k.ok(err)
	if len(all) != 1 || all[0].OldExpiresAt != nil {
		k.t.Fatalf("got %+v, want one key without an old text", all)
	}
}

func rotateTwice(k *kit) {
	key := k.key("ci")
	first := k.rotate(key.ID, "second", time.Hour)
	k.works("ci", key.ID)
	all, err := k.s.ListKeys(k.ctx)
	k.ok(err)
	k.same("old text of a listed key", all[0].OldExpiresAt, first.OldExpiresAt)
	_, err = k.s.RotateKey(k.ctx, key.ID, hash("third"), time.Hour, nil)
	k.code(err, tocsin.CodeConflict)
	if until := first.OldExpiresAt.UTC().Format(time.RFC3339); !strings.Contains(err.Error(), until) {
		k.t.Fatalf("got error %v, which should say %s", err, until)
	}
	k.works("ci", key.ID)
	k.works("second", key.ID)
	k.worksNot("third")

	// Without overlap everything older stops.
	k.rotate(key.ID, "third", 0)
	k.worksNot("ci")
	k.worksNot("second")
	k.works("third", key.ID)
	k.rotate(key.ID, "fourth", time.Hour)
	k.works("third", key.ID)
	k.works("fourth", key.ID)
}

func rotateAtOnce(k *kit) {
	key := k.key("ci")
	got := k.rotate(key.ID, "second", 0)
	k.same("old text", got.OldExpiresAt, (*time.Time)(nil))
	k.worksNot("ci")
	k.works("second", key.ID)
}

func rotateExpires(k *kit) {
	key := k.key("ci")
	until, past := key.CreatedAt.Add(time.Hour), key.CreatedAt.Add(-time.Hour)
	got, err := k.s.RotateKey(k.ctx, key.ID, hash("second"), time.Hour, &until)
	k.ok(err)
	k.same("expires", got.ExpiresAt, &until)
	k.same("expires still", k.rotate(key.ID, "third", 0).ExpiresAt, &until)
	_, err = k.s.RotateKey(k.ctx, key.ID, hash("fourth"), time.Hour, &past)
	k.ok(err)
	k.worksNot("third") // a key that has expired has no text that works
	k.worksNot("fourth")
}

func rotateMissing(k *kit) {
	_, err := k.s.RotateKey(k.ctx, "none", hash("x"), 0, nil)
	k.is(err, tocsin.ErrNotFound)
}

func rotateAgain(k *kit) {
	key := k.key("ci")
	want := k.rotate(key.ID, "second", time.Hour)
	k.same("rotated again", k.rotate(key.ID, "second", 2*time.Hour), want)
	k.works("ci", key.ID)
}

func rotateTaken(k *kit) {
	key, other := k.key("ci"), k.key("other")
	k.rotate(key.ID, "second", time.Hour)
	for _, text := range []string{"ci", "second"} {
		_, err := k.s.RotateKey(k.ctx, other.ID, hash(text), 0, nil)
		k.code(err, tocsin.CodeConflict)
		_, err = k.s.CreateKey(k.ctx, tocsin.Key{ID: tocsin.NewID(tocsin.PrefixKey), Name: "new " + text, Scopes: []string{"read"}}, hash(text))
		k.code(err, tocsin.CodeConflict)
	}
	_, err := k.s.RotateKey(k.ctx, key.ID, hash("ci"), 0, nil) // back to its own
	k.code(err, tocsin.CodeConflict)
	k.works("ci", key.ID)
	k.works("second", key.ID)
	k.works("other", other.ID)
}

func rotateDelete(k *kit) {
	key := k.key("ci")
	k.rotate(key.ID, "second", time.Hour)
	k.ok(k.s.DeleteKey(k.ctx, "ci"))
	k.worksNot("ci")
	k.worksNot("second")
	k.key("ci") // name and text are free again
}
