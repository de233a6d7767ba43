package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"
)

// groupKit is a group on a real file whose transactions are counted, with a table to write
// into. The first write that hold returns from keeps the others waiting.
type groupKit struct {
	t       *testing.T
	db      *DB
	commits int
}

func newGroupKit(t *testing.T) *groupKit {
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "group.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	k := &groupKit{t: t, db: db}
	do := db.group.do
	db.group.do = func(ctx context.Context, f func(*tx) error) error {
		k.commits++
		return do(ctx, f)
	}
	k.must(db.group.write(t.Context(), func(tx *tx) error { return tx.script(`CREATE TABLE noted (n INTEGER)`) }))
	return k
}

func (k *groupKit) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

func note(n int) func(*tx) error {
	return func(t *tx) error {
		_, err := t.exec(`INSERT INTO noted VALUES (?)`, n)
		return err
	}
}

// together makes all writes wait behind a first one, and returns what each came to.
func (k *groupKit) together(ctxs []context.Context, writes ...func(*tx) error) []error {
	k.t.Helper()
	begun, goOn := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- k.db.group.write(k.t.Context(), func(*tx) error {
			close(begun)
			<-goOn
			return nil
		})
	}()
	<-begun
	results := make([]chan error, len(writes))
	for i, f := range writes {
		results[i] = make(chan error, 1)
		go func() {
			defer func() {
				if what := recover(); what != nil {
					results[i] <- errors.New("it panicked")
				}
			}()
			results[i] <- k.db.group.write(ctxs[i], f)
		}()
		k.wait(i + 1)
	}
	close(goOn)
	k.must(<-first)
	errs := make([]error, len(writes))
	for i := range results {
		errs[i] = <-results[i]
	}
	return errs
}

// wait waits until n writes wait.
func (k *groupKit) wait(n int) {
	for ctx, stop := context.WithTimeout(k.t.Context(), 10*time.Second); ; {
		k.db.group.mu.Lock()
		waiting := len(k.db.group.waiting)
		k.db.group.mu.Unlock()
		if waiting == n {
			stop()
			return
		}
		if ctx.Err() != nil {
			k.t.Fatalf("%d writes wait, want %d", waiting, n)
		}
	}
}

func (k *groupKit) noted() []int {
	var all []int
	k.must(k.db.read(k.t.Context(), "reading", func(t *tx) (err error) {
		all, err = list(t, func(r row) (n int, err error) { return n, r.Scan(&n) }, `SELECT n FROM noted ORDER BY n`)
		return err
	}))
	return all
}

// Writes that wait share a commit, and each is atomic by itself: one that fails, one that
// panics and one whose caller left leave nothing behind and harm nobody.
func TestWritesShareACommit(t *testing.T) {
	k := newGroupKit(t)
	own := errors.New("its own affair")
	gone, leave := context.WithCancel(t.Context())
	ctxs := []context.Context{t.Context(), t.Context(), t.Context(), t.Context(), gone, t.Context()}
	before := k.commits
	errs := k.together(ctxs,
		note(1),
		func(t *tx) error { return errors.Join(note(2)(t), own) },
		func(t *tx) error {
			_ = note(3)(t)
			panic("a bug")
		},
		note(4),
		func(t *tx) error { defer leave(); return note(5)(t) },
		note(6),
	)
	for i, want := range []string{"", own.Error(), "it panicked", "", context.Canceled.Error(), ""} {
		got := ""
		if errs[i] != nil {
			got = errs[i].Error()
		}
		if got != want {
			t.Errorf("write %d came to %q, want %q", i+1, got, want)
		}
	}
	if got := k.noted(); len(got) != 3 || got[0] != 1 || got[1] != 4 || got[2] != 6 {
		t.Errorf("stored are %v, want 1, 4 and 6", got)
	}
	if n := k.commits - before; n != 2 {
		t.Errorf("%d transactions, want 2: the first write, and all that waited for it", n)
	}
}

// When the commit fails nobody is told that something was written.
func TestAFailedCommitFailsAllWrites(t *testing.T) {
	k := newGroupKit(t)
	broken := errors.New("the disk is full")
	do, calls := k.db.group.do, 0
	k.db.group.do = func(ctx context.Context, f func(*tx) error) error {
		if calls++; calls == 1 {
			return do(ctx, f)
		}
		return do(ctx, func(t *tx) error { return errors.Join(f(t), broken) })
	}
	errs := k.together([]context.Context{t.Context(), t.Context()}, note(1), note(2))
	for i, err := range errs {
		if !errors.Is(err, broken) {
			t.Errorf("write %d came to %v, want the failed commit", i+1, err)
		}
	}
	if got := k.noted(); len(got) != 0 {
		t.Errorf("stored are %v, want nothing", got)
	}
}

// Whoever leaves while a write of others is under way need not wait for it, and leaves no
// gap: those behind go on.
func TestAWriteThatWaitsCanLeave(t *testing.T) {
	k := newGroupKit(t)
	begun, goOn := make(chan struct{}), make(chan struct{})
	first, last := make(chan error, 1), make(chan error, 1)
	go func() {
		first <- k.db.group.write(t.Context(), func(*tx) error { close(begun); <-goOn; return nil })
	}()
	<-begun
	gone, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { left <- k.db.group.write(gone, note(1)) }()
	k.wait(1)
	go func() { last <- k.db.group.write(t.Context(), note(2)) }()
	k.wait(2)
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the one that left was told %v", err)
	}
	close(goOn)
	k.must(<-first)
	k.must(<-last)
	if got := k.noted(); len(got) != 1 || got[0] != 2 {
		t.Errorf("stored are %v, want 2 alone", got)
	}
}
