package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// childPath makes this test binary the process that is killed.
const childPath = "TOCSIN_TEST_SQLITE_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		if err := appendForEver(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// appendForEver prints the number of each event once it is acknowledged.
func appendForEver(path string) error {
	ctx := context.Background()
	db, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return err
	}
	revision, all, err := db.ListWebhooks(ctx)
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		if _, err := db.Append(ctx, revision, []tocsin.NewEvent{storetest.Owe(storetest.Event(n), all[0].ID)}); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tocsin.db")
	db := open(t, path, sqlite.Options{})
	w := storetest.MustCreate(t, db, "a")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env, child.Stderr = append(os.Environ(), childPath+"="+path), os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged := 0
	for lines := bufio.NewScanner(out); lines.Scan(); acknowledged++ {
		if acknowledged == 150 {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || acknowledged < 150 {
		t.Fatalf("the process ended by itself (%v) after %d events", err, acknowledged)
	}
	db = open(t, path, sqlite.Options{}) // the lock went with the process
	checkKept(t, db, w, acknowledged)
}

// checkKept looks for the first n events, all of them owed.
func checkKept(t *testing.T, db *sqlite.DB, w tocsin.Webhook, n int) {
	t.Helper()
	for i := range n {
		if _, err := db.Event(t.Context(), "storetest", storetest.Event(i).ID); err != nil {
			t.Errorf("event %d was acknowledged: %v", i, err)
		}
	}
	if got := storetest.CheckLedger(t, db)[w.ID].Pending; got < int64(n) || got > int64(n)+1 {
		t.Errorf("%d events are pending, %d were acknowledged", got, n)
	}
}

// TestCopiedWhileRunning opens a copy of the files as they are on disk while the store
// is in use: all that was acknowledged is in them.
func TestCopiedWhileRunning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tocsin.db")
	db := open(t, path, sqlite.Options{})
	w := storetest.MustCreate(t, db, "a")
	storetest.MustOwe(t, db, 0, 120, w.ID)
	copied := filepath.Join(t.TempDir(), "copy.db")
	for _, end := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + end)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied+end, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	storetest.MustOwe(t, db, 200, 1, w.ID)
	checkKept(t, open(t, copied, sqlite.Options{}), w, 120)
}

// TestDiskFull fills the disk: the error says so, nothing is half-written, and the
// store goes on when there is room again.
func TestDiskFull(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "tocsin.db"), sqlite.Options{})
	w := storetest.MustCreate(t, db, "a")
	if err := db.LimitPages(t.Context(), 20); err != nil {
		t.Fatal(err)
	}
	revision, _, err := db.ListWebhooks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	appended := 0
	for ; err == nil && appended < 100_000; appended += 50 {
		var batch []tocsin.NewEvent
		for i := range 50 {
			batch = append(batch, storetest.Owe(storetest.Event(appended+i), w.ID))
		}
		_, err = db.Append(t.Context(), revision, batch)
	}
	appended -= 50 // the last failed
	if tocsin.CodeOf(err) != tocsin.CodeUnavailable || !strings.Contains(err.Error(), "full") {
		t.Fatalf("appending to a full disk: got %v (%s), want unavailable", err, tocsin.CodeOf(err))
	}
	balances, err := db.Balances(t.Context()) // Fold has no room
	if err != nil {
		t.Fatal(err)
	}
	if got := balances[0].Pending; got != int64(appended) {
		t.Errorf("%d pending, want %d", got, appended)
	}
	if err := db.LimitPages(t.Context(), 1_000_000); err != nil {
		t.Fatal(err)
	}
	storetest.MustOwe(t, db, appended, 50, w.ID)
	storetest.CheckLedger(t, db)
}

// TestCancelled ends calls at random moments: the connection must come back clean,
// and what was not answered is there whole or not at all.
func TestCancelled(t *testing.T) {
	for _, path := range []string{sqlite.Memory, filepath.Join(t.TempDir(), "tocsin.db")} {
		db := open(t, path, sqlite.Options{})
		w := storetest.MustCreate(t, db, "a")
		revision, _, err := db.ListWebhooks(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for c := range 4 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(3, uint64(c)))
				for i := range 60 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(3000))*time.Microsecond)
					var batch []tocsin.NewEvent
					for j := range 10 {
						batch = append(batch, storetest.Owe(storetest.Event((c*60+i)*10+j), w.ID))
					}
					_, err := db.Append(ctx, revision, batch)
					_, _, listErr := db.ListWebhooks(ctx)
					for _, err := range []error{err, listErr} {
						if err != nil && ctx.Err() == nil {
							t.Errorf("an error without a reason: %v", err)
						}
					}
					cancel()
				}
			})
		}
		wg.Wait()
		if got := storetest.CheckLedger(t, db)[w.ID].Accepted; got%10 != 0 {
			t.Errorf("%d accepted: not whole batches of 10", got)
		}
		storetest.MustOwe(t, db, 1_000_000, 1, w.ID)
	}
}

// TestReplayStepRollsBack fails a step at each of its statements.
func TestReplayStepRollsBack(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "tocsin.db"), sqlite.Options{})
	storetest.ReplayStepsFail(t, db, func(event string) func() {
		heal, err := db.FailAt(t.Context(), event)
		if err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := heal(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestReplayCancelled ends the calls of a replay at random moments and repeats them,
// as an activity does: each event is owed once.
func TestReplayCancelled(t *testing.T) {
	const events = 200
	db := open(t, filepath.Join(t.TempDir(), "tocsin.db"), sqlite.Options{})
	w := storetest.MustCreate(t, db, "a")
	storetest.MustOwe(t, db, 0, events)
	replay, err := db.CreateReplay(t.Context(), tocsin.Replay{ReplaySelection: tocsin.ReplaySelection{WebhookID: w.ID, What: tocsin.ReplayAll}})
	if err != nil {
		t.Fatal(err)
	}
	r, cut := rand.New(rand.NewPCG(5, 5)), 0
	for tries := 0; replay.State == tocsin.ReplayRunning; tries++ {
		c, err := db.ReplayCandidates(t.Context(), replay.ReplaySelection, replay.Cursor, 5)
		if err != nil {
			t.Fatal(err)
		}
		step := tocsin.ReplayStep{From: replay.Cursor, To: c.Next, Done: c.Last}
		for _, e := range c.Events {
			step.Owe = append(step.Owe, tocsin.Reowed{Seq: e.Seq})
		}
		limit := time.Duration(r.IntN(4000)) * time.Microsecond
		if tries >= 500 { // let it end, however slow the machine
			limit = time.Minute
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		_, err = db.ReplayStep(ctx, replay.ID, step)
		if err != nil {
			if cut++; ctx.Err() == nil {
				t.Fatalf("an error without a reason: %v", err)
			}
		}
		cancel()
		if replay, err = db.Replay(t.Context(), replay.ID); err != nil {
			t.Fatal(err)
		}
	}
	want := tocsin.Balance{WebhookID: w.ID, Webhook: "a", Accepted: events, Pending: events}
	if got := storetest.CheckLedger(t, db)[w.ID]; got != want || replay.Replayed != events || replay.Skipped != 0 {
		t.Errorf("%d calls cut: got %+v, %+v; want each event owed once", cut, got, replay)
	}
}
