package e2e_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin/devserver/devtest"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
)

// A backup is taken by pg_dump under load, everything goes on for a while, and then the
// database and every process are lost. The backup is restored into a new database, for a
// Temporal that knows nothing, or for the one of before, which knows more than the store.
// What the backup owes is delivered, under the webhook-id it had; producers who send again
// what they sent after the backup lose nothing; the ledger adds up.
func TestBackupAndRestore(t *testing.T) {
	for name, temporal := range map[string]func(*rig){"fresh Temporal": (*rig).freshTemporal, "Temporal of before": func(*rig) {}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, pgtest.Start(t, pgtest.Options{NoFsync: true}))
			r.serve.MustCreate(map[string]any{
				"name": "digest", "channel": "webhook", "frequency": "periodic", "run_every": "24h", "batch_size": 100,
				"config": map[string]any{"url": r.receiver.URL("digest")},
			})
			held := r.hold() // at its receiver; more is owed behind it
			r.load.mustGrow(200)
			dump := filepath.Join(t.TempDir(), "tocsin.dump")
			if err := r.cluster.Dump(r.database(), dump); err != nil {
				t.Fatal(err)
			}
			r.receiver.Release()
			r.receiver.MustGet(held)
			r.load.mustGrow(200)
			acked := r.load.end()

			r.serve.Kill9()
			r.worker.Kill9()
			temporal(r)
			r.restore(dump)
			r.mustRecoverFrom(acked, held)
		})
	}
}

// database is where the store is now.
func (r *rig) database() string {
	const name = "TOCSIN_DATABASE_URL="
	last := ""
	for _, set := range r.env {
		if value, ok := strings.CutPrefix(set, name); ok {
			last = value
		}
	}
	return last
}

// freshTemporal puts a server that knows nothing in the place of the present one.
func (r *rig) freshTemporal() {
	r.t.Helper()
	if err := r.temporal.Stop(); err != nil {
		r.t.Fatal(err)
	}
	r.options.DBFile = filepath.Join(r.t.TempDir(), "temporal.db")
	r.temporal = startTemporal(r.t, r.options)
}

// restore restores a dump into a new database, checks that it adds up as it is, and starts
// a serve on it.
func (r *rig) restore(dump string) {
	r.t.Helper()
	database := r.cluster.Database(r.t)
	if err := r.cluster.Restore(database, dump); err != nil {
		r.t.Fatal(err)
	}
	r.env = append(r.env, "TOCSIN_DATABASE_URL="+database) // the last one counts
	r.tocsin("ledger", "--verify")
	r.serve = devtest.StartServe(r.t, r.key, r.env...)
	r.env = append(r.env, "TOCSIN_API_URL="+r.serve.URL)
}

// mustRecoverFrom starts a worker on the restored store and checks what comes of it. held
// is an event that was delivered only after the backup, though it was at its receiver
// before.
func (r *rig) mustRecoverFrom(acked []string, held string) {
	r.t.Helper()
	stored, open := r.stored(), r.open()
	lost := slices.DeleteFunc(slices.Clone(acked), func(id string) bool { return stored[id] })
	if len(lost) == 0 || len(stored) == 0 || open[held] == "" {
		r.t.Fatalf("the backup has %d events, lacks %d, and holds event %s in delivery %q: nothing would be shown", len(stored), len(lost), held, open[held])
	}
	before := r.receiver.All()
	// Producers who are not sure send again: what the backup has is known, the rest is new.
	if accepted := r.resend(acked); accepted != len(lost) {
		r.t.Errorf("of %d events sent again %d were accepted as new, want the %d that the backup lacks", len(acked), accepted, len(lost))
	}
	balances, err := r.serve.Balances()
	if err != nil {
		r.t.Fatal(err)
	}
	r.worker = devtest.StartWorker(r.t, r.env...)
	r.serve.Must(http.MethodPost, "/v1/webhooks/digest/run", nil, nil)
	if b := r.serve.MustSettle("steady"); b.Accepted != int64(len(acked)) || b.Delivered != b.Accepted {
		r.t.Errorf("the ledger of steady says %+v, want %d accepted and delivered", b, len(acked))
	}
	// It was created under load, and had delivered nothing.
	waited := balances["digest"].Pending
	if b := r.serve.MustSettle("digest"); waited <= int64(len(lost)) || b.Accepted != waited || b.Delivered != waited {
		r.t.Errorf("the ledger of digest says %+v, want %d accepted and delivered", b, waited)
	}
	r.tocsin("ledger", "--verify")
	r.mustHaveCome("/steady", len(acked), acked)
	r.mustHaveCome("/digest", int(waited), lost)
	r.checkAgain(before, open, len(acked), len(lost))
}

// mustHaveCome checks that so many different events came to a path, these among them.
func (r *rig) mustHaveCome(path string, count int, ids []string) {
	r.t.Helper()
	times := map[string]int{}
	for _, got := range r.receiver.All() {
		if got.Path == path {
			for _, id := range got.Events {
				times[id]++
			}
		}
	}
	if len(times) != count {
		r.t.Errorf("%d events came to %s, want %d", len(times), path, count)
	}
	for _, id := range ids {
		if times[id] == 0 {
			r.t.Fatalf("event %s never came to %s", id, path)
		}
	}
}

// checkAgain checks what came after the restore: each delivery that the backup held came
// again as it was; whatever else came a second time was in no delivery yet, so that its
// event's id, and not the webhook-id, says that it is known.
func (r *rig) checkAgain(before []devtest.Received, open map[string]string, acked, lost int) {
	r.t.Helper()
	first := map[string]string{}
	for _, got := range before {
		if got.Path == "/steady" {
			for _, id := range got.Events {
				first[id] = got.WebhookID
			}
		}
	}
	same, other := 0, 0
	again := map[string]bool{}
	for _, got := range r.receiver.All()[len(before):] {
		if got.Path != "/steady" {
			continue
		}
		for _, id := range got.Events {
			again[id] = true
			if want := open[id]; want != "" && got.WebhookID != want {
				r.t.Errorf("event %s was in delivery %s in the backup, and came as %s", id, want, got.WebhookID)
			}
			switch first[id] {
			case "":
			case got.WebhookID:
				same++
			default:
				other++
			}
		}
	}
	for id, delivery := range open {
		if !again[id] {
			r.t.Errorf("event %s of delivery %s, which the backup owed, did not come again", id, delivery)
		}
	}
	r.t.Logf("%d events acknowledged, %d of them after the backup and sent again; %d were in open deliveries; came again under the same webhook-id: %d, under another: %d",
		acked, lost, len(open), same, other)
}

// stored lists the events in the store.
func (r *rig) stored() map[string]bool {
	r.t.Helper()
	ids := map[string]bool{}
	r.pages("/v1/events?limit=500", func(item json.RawMessage) {
		var e struct{ ID string }
		r.decode(item, &e)
		ids[e.ID] = true
	})
	return ids
}

// open lists the events in open deliveries, each with its delivery.
func (r *rig) open() map[string]string {
	r.t.Helper()
	in := map[string]string{}
	for _, state := range []string{"ready", "sending"} {
		r.pages("/v1/deliveries?limit=200&state="+state, func(item json.RawMessage) {
			var d struct {
				ID     string
				Events []struct{ ID string }
			}
			r.decode(item, &d)
			r.serve.Must(http.MethodGet, "/v1/deliveries/"+d.ID, nil, &d)
			for _, e := range d.Events {
				in[e.ID] = d.ID
			}
		})
	}
	return in
}

// pages calls do with every item of a list.
func (r *rig) pages(path string, do func(json.RawMessage)) {
	r.t.Helper()
	for next := path; next != ""; {
		var page struct {
			Items []json.RawMessage
			Next  string
		}
		r.serve.Must(http.MethodGet, next, nil, &page)
		for _, item := range page.Items {
			do(item)
		}
		if next = page.Next; next != "" {
			next = path + "&cursor=" + url.QueryEscape(next)
		}
	}
}

func (r *rig) decode(text json.RawMessage, into any) {
	r.t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		r.t.Fatal(err)
	}
}

// resend submits events again as they were, and returns how many were new.
func (r *rig) resend(ids []string) (accepted int) {
	r.t.Helper()
	for batch := range slices.Chunk(ids, 100) {
		var events []map[string]any
		for _, id := range batch {
			events = append(events, r.load.sent[id])
		}
		var said struct{ Accepted, Duplicates, Conflicts int }
		r.serve.Must(http.MethodPost, "/v1/events", map[string]any{"events": events}, &said)
		if said.Conflicts > 0 || said.Accepted+said.Duplicates != len(batch) {
			r.t.Errorf("sending %d events again answers %+v", len(batch), said)
		}
		accepted += said.Accepted
	}
	return accepted
}

// Temporal loses its database under load, and one that knows nothing takes its place:
// nobody restarts a process of Tocsin's, and nothing is lost.
func TestTemporalLosesItsDatabase(t *testing.T) {
	r := newRig(t, pgtest.Start(t, pgtest.Options{NoFsync: true}))
	if err := r.temporal.Stop(); err != nil {
		t.Fatal(err)
	}
	r.load.mustGrow(200)
	r.freshTemporal()
	r.mustRecover()
	if _, refused := r.load.counts(); refused > 0 {
		t.Errorf("%d requests were refused because Temporal was away", refused)
	}
}
