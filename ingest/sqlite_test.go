package ingest_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/ingest"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
)

// realStore returns an empty SQLite store.
func realStore(t *testing.T) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), ":memory:", sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

func create(t *testing.T, db tocsin.Webhooks, w tocsin.Webhook) tocsin.Webhook {
	t.Helper()
	w.ID, w.Frequency, w.BatchSize, w.Concurrency, w.OnResume = tocsin.NewID(tocsin.PrefixWebhook), tocsin.Instant, 20, 1, "deliver"
	w.Config, w.Sealed = []byte(`{}`), []byte{1}
	created, err := db.CreateWebhook(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	return created
}

// Many producers at once, each event sent twice, on a real store: every event is
// stored and owed once, and the counts of all answers add up.
func TestManyProducersOnSQLite(t *testing.T) {
	db := realStore(t)
	all := create(t, db, hook("all"))
	some := create(t, db, hook("some", filter(`data.n == 1 && id.endsWith("7")`)))
	c := &conductor{}
	in, err := ingest.New(ingest.Config{Store: db, Conductor: c})
	if err != nil {
		t.Fatal(err)
	}
	const producers, requests, size = 8, 10, 10
	var mu sync.Mutex
	var total ingest.Result
	var wait sync.WaitGroup
	for range 2 {
		for p := range producers {
			wait.Go(func() {
				for r := range requests {
					result, err := in.Submit(t.Context(), custom(fmt.Sprintf("p%d-r%d-", p, r), size))
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					total = ingest.Result{Accepted: total.Accepted + result.Accepted, Duplicates: total.Duplicates + result.Duplicates, Conflicts: total.Conflicts + result.Conflicts}
					mu.Unlock()
				}
			})
		}
	}
	wait.Wait()
	in.Close()
	const n = producers * requests * size
	if want := (ingest.Result{Accepted: n, Duplicates: n}); total != want {
		t.Errorf("got %+v, want %+v", total, want)
	}
	balances, err := db.Balances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []tocsin.Balance{
		{WebhookID: all.ID, Webhook: "all", Accepted: n, Pending: n},
		{WebhookID: some.ID, Webhook: "some", Accepted: n / 10, Pending: n / 10},
	}
	if diff := cmp.Diff(want, balances); diff != "" {
		t.Error(diff)
	}
}

// The very first configuration of a store is one that can be out of date, too: events that
// came before there was any webhook keep nobody from being owed those after.
func TestFirstWebhookOfAStoreThatHasEvents(t *testing.T) {
	db := realStore(t)
	in, err := ingest.New(ingest.Config{Store: db, Conductor: &conductor{}})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for i, owed := range []int64{0, 1} {
		if i == 1 {
			create(t, db, hook("first"))
		}
		if _, err := in.Submit(t.Context(), custom(fmt.Sprint(i, "-"), 1)); err != nil {
			t.Fatal(err)
		}
		balances, err := db.Balances(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var accepted int64
		for _, b := range balances {
			accepted += b.Accepted
		}
		if accepted != owed {
			t.Errorf("after event %d, %d are owed, want %d", i, accepted, owed)
		}
	}
}

// A webhook created through another process is owed the very next event, and one that
// was deleted nothing more; what was stored comes back byte for byte.
func TestConfigurationChangesOnSQLite(t *testing.T) {
	db := realStore(t)
	first := create(t, db, hook("first"))
	in, err := ingest.New(ingest.Config{Store: db, Conductor: &conductor{}})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	post := func(id string) tocsin.Event {
		t.Helper()
		body := `  {"id":"` + id + `","source":"/s p","type":"custom.x", "data" : {"é":"\u0000", "n":1.50}}  `
		if _, err := in.Receive(t.Context(), http.Header{}, []byte(body)); err != nil {
			t.Fatal(err)
		}
		e, err := db.Event(t.Context(), "/s p", id)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(e.Raw), body[2:len(body)-2]; got != want {
			t.Errorf("raw %s, want %s", got, want)
		}
		if got, want := string(e.Data), `{"é":"\u0000", "n":1.50}`; got != want {
			t.Errorf("data %s, want %s", got, want)
		}
		return e
	}
	owed := func(e tocsin.Event) string {
		t.Helper()
		traces, err := db.Traces(t.Context(), e.Seq)
		if err != nil {
			t.Fatal(err)
		}
		var names string
		for _, trace := range traces {
			w, err := db.Webhook(t.Context(), trace.WebhookID)
			if err != nil {
				t.Fatal(err)
			}
			names += w.Name + " "
		}
		return names
	}
	if got := owed(post("1")); got != "first " {
		t.Errorf("the first event is owed to %q", got)
	}
	second := create(t, db, hook("second"))
	if _, err := db.SetState(t.Context(), first.ID, tocsin.StateDeleted, "test"); err != nil {
		t.Fatal(err)
	}
	e := post("2")
	if got := owed(e); got != "second " {
		t.Errorf("the second event is owed to %q", got)
	}
	old := e
	old.ReceivedAt = second.CreatedAt.Add(-time.Hour)
	for want, e := range map[string]tocsin.Event{"": e, "created": old} {
		verdicts, err := in.Verdicts(t.Context(), e)
		if err != nil || len(verdicts) != 1 || verdicts[0].Clause != want {
			t.Errorf("verdicts %+v, %v, want clause %q", verdicts, err, want)
		}
	}
}

// Mutes, repeats and announcements, as the ledger and the traces have them.
func TestSuppressionOnSQLite(t *testing.T) {
	db := realStore(t)
	hourly := create(t, db, hook("hourly", func(w *tocsin.Webhook) { w.RepeatAfter = tocsin.Duration(time.Hour) }))
	fallback := create(t, db, hook("fallback", events("none")))
	in, err := ingest.New(ingest.Config{Store: db, Conductor: &conductor{}})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	submit := func(id, key string, status tocsin.Status) string {
		t.Helper()
		e := custom(id, 1)[0]
		e.DedupKey, e.Status = key, status
		if _, err := in.Submit(t.Context(), []tocsin.Event{e}); err != nil {
			t.Fatal(err)
		}
		return reasons(t, db, "/test", id+"0")
	}
	muteOne, err := db.CreateMute(t.Context(), tocsin.Mute{ID: tocsin.NewID(tocsin.PrefixMute), DedupKey: "muted", Until: time.Now().Add(time.Hour), Author: "a", Reason: "r"})
	if err != nil {
		t.Fatal(err)
	}
	for i, tt := range []struct {
		key    string
		status tocsin.Status
		want   string
	}{
		{"k", tocsin.Firing, "hourly pending "},
		{"k", tocsin.Firing, "hourly suppressed repeat"},
		{"k", tocsin.Resolved, "hourly pending "},
		{"k", tocsin.Firing, "hourly pending "},
		{"muted", tocsin.Firing, "hourly suppressed muted " + muteOne.ID},
		{"muted", tocsin.Firing, "hourly suppressed muted " + muteOne.ID},
	} {
		if got := submit(fmt.Sprint("e", i, "-"), tt.key, tt.status); got != tt.want {
			t.Errorf("event %d: %q, want %q", i, got, tt.want)
		}
	}
	// After the mute the incident is news: what was muted is no repeat.
	if _, err := db.EndMute(t.Context(), muteOne.ID); err != nil {
		t.Fatal(err)
	}
	if got := submit("after-", "muted", tocsin.Firing); got != "hourly pending " {
		t.Errorf("after the mute: %q", got)
	}
	for range 2 {
		if _, err := in.Announce(t.Context(), failing("a", hourly.ID), fallback.ID, fallback.ID); err != nil {
			t.Fatal(err)
		}
	}
	if got := reasons(t, db, "/tocsin", "a"); got != "fallback pending " {
		t.Errorf("the announcement: %q", got)
	}
	balances, err := db.Balances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []tocsin.Balance{
		{WebhookID: fallback.ID, Webhook: "fallback", Accepted: 1, Pending: 1},
		{WebhookID: hourly.ID, Webhook: "hourly", Accepted: 7, Pending: 4, Suppressed: 3},
	}
	if diff := cmp.Diff(want, balances); diff != "" {
		t.Error(diff)
	}
}

// reasons says where an event's obligations went.
func reasons(t *testing.T, db *sqlite.DB, source, id string) string {
	t.Helper()
	e, err := db.Event(t.Context(), source, id)
	if err != nil {
		t.Fatal(err)
	}
	traces, err := db.Traces(t.Context(), e.Seq)
	if err != nil {
		t.Fatal(err)
	}
	var text string
	for _, trace := range traces {
		w, err := db.Webhook(t.Context(), trace.WebhookID)
		if err != nil {
			t.Fatal(err)
		}
		text += w.Name + " " + trace.Bucket + " " + trace.Reason
	}
	return text
}
