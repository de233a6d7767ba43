package postgres_test

import (
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/postgres"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// awaitHint gives cause until a hint comes: single ones may be lost.
func awaitHint(t *testing.T, hint <-chan struct{}, cause func()) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		cause()
		select {
		case <-hint:
			return
		case <-time.After(50 * time.Millisecond):
		case <-deadline:
			t.Fatal("no hint came")
		}
	}
}

// TestHintsReachOtherProcesses: every writer of work is heard through another handle.
func TestHintsReachOtherProcesses(t *testing.T) {
	url := pgtest.URL(t)
	here, there := open(t, url), open(t, url)
	w, other := storetest.MustCreate(t, here, "a"), storetest.MustCreate(t, here, "b")
	hint, stop := there.Hints(w.ID)
	defer stop()
	none, stopNone := there.Hints(other.ID)
	defer stopNone()
	for name, cause := range map[string]func() error{
		"Ring":   func() error { _, err := here.Ring(t.Context(), []string{w.ID}); return err },
		"RunNow": func() error { return here.RunNow(t.Context(), w.ID) },
		"SetState": func() error {
			if _, err := here.SetState(t.Context(), w.ID, tocsin.StatePaused, ""); err != nil {
				return err
			}
			_, err := here.SetState(t.Context(), w.ID, tocsin.StateActive, "")
			return err
		},
		"UpdateWebhook": func() error {
			stored, err := here.Webhook(t.Context(), w.ID)
			if err == nil {
				_, err = here.UpdateWebhook(t.Context(), stored)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			awaitHint(t, hint, func() {
				if err := cause(); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
	select { // it has had one when listening began, at most
	case <-none:
	default:
	}
	awaitHint(t, hint, func() { ring(t, here, w.ID) })
	select {
	case <-none:
		t.Error("a webhook that nobody rang got a hint")
	default:
	}
}

// TestHintsOfManyWebhooks sends more ids at once than one notification holds.
func TestHintsOfManyWebhooks(t *testing.T) {
	url := pgtest.URL(t)
	here, there := open(t, url), open(t, url)
	var all []string
	for range 1000 { // 29 bytes each, of 8000
		all = append(all, tocsin.NewID(tocsin.PrefixWebhook))
	}
	for _, id := range []string{all[0], all[500], all[999]} {
		hint, stop := there.Hints(id)
		defer stop()
		awaitHint(t, hint, func() { ring(t, here, all...) })
	}
}

// TestHintsAfterALostConnection kills the listening connection.
func TestHintsAfterALostConnection(t *testing.T) {
	url := pgtest.URL(t)
	here, there := open(t, url), open(t, url)
	w := storetest.MustCreate(t, here, "a")
	hint, stop := there.Hints(w.ID)
	defer stop()
	awaitHint(t, hint, func() { ring(t, here, w.ID) })
	exec(t, url, `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`)
	later, stopLater := there.Hints(w.ID) // has no hint of before
	defer stopLater()
	awaitHint(t, later, func() { ring(t, here, w.ID) })
}

func ring(t *testing.T, db *postgres.DB, ids ...string) {
	t.Helper()
	if _, err := db.Ring(t.Context(), ids); err != nil {
		t.Fatal(err)
	}
}
