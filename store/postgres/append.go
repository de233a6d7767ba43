package postgres

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
)

// key names an event for ever.
type key struct{ source, id string }

// newKeys inserts keys in sorted order, so that concurrent calls wait for each other
// in one direction only. Everybody locks incident_keys first, then event_keys, then repeats,
// so that events are numbered in the order in which they change an incident. Numbers are
// handed out in the order of the batch, before the first key is waited for, since an
// incident's events must be delivered as they were submitted. They come in an array: a join
// would be planned anew for every call.
const newKeys = `
WITH given AS MATERIALIZED (
	SELECT array_agg(nextval('event_seq')) AS seqs, clock_timestamp() AS at FROM generate_series(1, $5::integer)
), fresh AS (
	INSERT INTO event_keys (source, id, fingerprint, seq, received_at)
	SELECT k.source, k.id, k.fingerprint, (SELECT seqs FROM given)[k.place], (SELECT at FROM given)
	FROM unnest($1::text[], $2::text[], $3::bytea[], $4::integer[]) WITH ORDINALITY AS k (source, id, fingerprint, place, rank)
	ORDER BY k.rank
	ON CONFLICT DO NOTHING
	RETURNING seq
)
SELECT (SELECT seqs FROM given), (SELECT at FROM given), (SELECT array_agg(seq) FROM fresh)`

// knownKeys looks each up by itself (OFFSET 0): as a join, it may be planned by what the table
// was when it was new, and read all of it.
const knownKeys = `
SELECT k.source, k.id, k.fingerprint FROM unnest($1::text[], $2::text[]) AS asked (source, id)
CROSS JOIN LATERAL (SELECT * FROM event_keys k WHERE k.source = asked.source AND k.id = asked.id OFFSET 0) AS k`

// Append implements [tocsin.EventLog].
func (db *DB) Append(ctx context.Context, revision int64, batch []tocsin.NewEvent) (tocsin.AppendResult, error) {
	if err := storable(batch); err != nil {
		return tocsin.AppendResult{}, err
	}
	var result tocsin.AppendResult
	err := db.transact(ctx, "appending events", func(t *tx) error {
		a := newAppend(batch)
		if err := a.incidents.lock(ctx, t, batch); err != nil {
			return err
		}
		var current int64
		// The transaction has its id before it has numbers: skips needs that.
		t.one(nil, `SELECT revision, pg_current_xact_id() IS NOT NULL, `+byKey+` FROM config_revision`, nil, &current, nil, nil)
		a.insertKeys(t)
		if err := t.flush(ctx); err != nil {
			return err
		}
		if current > revision {
			return tocsin.ErrStaleRevision
		}
		if err := a.lookUpKnown(ctx, t); err != nil {
			return err
		}
		result = tocsin.AppendResult{Events: a.answers()}
		if err := a.insertRows(ctx, t); err != nil {
			return err
		}
		result.Owed, result.Incidents = a.owed, a.incidents.book.Keys()
		return nil
	})
	if err != nil {
		return tocsin.AppendResult{}, err
	}
	return result, nil
}

// appending is one try of one call.
type appending struct {
	batch      []tocsin.NewEvent
	firsts     []int   // places in batch of the first event of each key, sorted by key
	seqs       []int64 // of each place in batch; 0 for what is not new
	receivedAt time.Time
	known      map[key][]byte // fingerprints of keys that others inserted
	incidents  escalations
	owed       []string // webhooks for which something is pending now
}

func newAppend(batch []tocsin.NewEvent) *appending {
	a := &appending{batch: batch, seqs: make([]int64, len(batch)), known: map[key][]byte{}}
	seen := make(map[key]bool, len(batch))
	for i := range batch {
		if k := keyOf(&batch[i]); !seen[k] {
			seen[k] = true
			a.firsts = append(a.firsts, i)
		}
	}
	slices.SortFunc(a.firsts, func(x, y int) int {
		kx, ky := keyOf(&batch[x]), keyOf(&batch[y])
		return cmp.Or(cmp.Compare(kx.source, ky.source), cmp.Compare(kx.id, ky.id))
	})
	return a
}

func keyOf(n *tocsin.NewEvent) key { return key{n.Event.Source, n.Event.ID} }

func (a *appending) insertKeys(t *tx) {
	if len(a.firsts) == 0 {
		return
	}
	n := len(a.firsts)
	sources, ids, prints, places := make([]string, n), make([]string, n), make([][]byte, n), make([]int32, n)
	for rank, i := range a.firsts {
		e := &a.batch[i]
		sources[rank], ids[rank], prints[rank], places[rank] = e.Event.Source, e.Event.ID, orEmpty(e.Fingerprint), int32(i+1) // #nosec G115 -- a place in a batch
	}
	t.queue(newKeys, sources, ids, prints, places, len(a.batch)).QueryRow(func(row pgx.Row) error {
		var given, fresh []int64
		if err := row.Scan(&given, &a.receivedAt, &fresh); err != nil {
			return err
		}
		slices.Sort(fresh)
		for i, seq := range given {
			if _, isFresh := slices.BinarySearch(fresh, seq); isFresh {
				a.seqs[i] = seq
			}
		}
		return nil
	})
}

// lookUpKnown reads the fingerprints of the keys that were there already. The insert
// has waited for whoever inserted them, and this is a new statement, so they are seen.
func (a *appending) lookUpKnown(ctx context.Context, t *tx) error {
	var sources, ids []string
	for _, i := range a.firsts {
		if a.seqs[i] == 0 {
			k := keyOf(&a.batch[i])
			sources, ids = append(sources, k.source), append(ids, k.id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	t.queue(knownKeys, sources, ids).Query(func(rows pgx.Rows) error {
		var k key
		var print []byte
		_, err := pgx.ForEachRow(rows, []any{&k.source, &k.id, &print}, func() error {
			a.known[k] = print
			return nil
		})
		return err
	})
	if err := t.flush(ctx); err != nil {
		return err
	}
	if len(a.known) != len(ids) {
		return errPruned
	}
	return nil
}

// answers says what became of each event: the first of a new key is accepted, all
// others are compared with what holds their key.
func (a *appending) answers() []tocsin.Appended {
	out := make([]tocsin.Appended, len(a.batch))
	holder := make(map[key][]byte, len(a.firsts))
	for i := range a.batch {
		e := &a.batch[i]
		k := keyOf(e)
		held, taken := a.known[k]
		if !taken {
			held, taken = holder[k]
		}
		switch {
		case !taken:
			out[i] = tocsin.AppendedNew
			holder[k] = e.Fingerprint
		case bytes.Equal(held, e.Fingerprint):
			out[i] = tocsin.AppendedDuplicate
		default:
			out[i] = tocsin.AppendedConflict
		}
	}
	return out
}

// insertRows queues the events that are new and what is owed for them, and what incidents
// come to.
func (a *appending) insertRows(ctx context.Context, t *tx) error {
	var fresh []int // rows lie in the order of their numbers
	for i, seq := range a.seqs {
		if seq != 0 {
			fresh = append(fresh, i)
		}
	}
	if len(fresh) == 0 {
		a.incidents.keep(t)
		return nil
	}
	r := a.lockRepeats(t, fresh)
	if err := t.flush(ctx); err != nil {
		return err
	}
	if err := a.insertEvents(ctx, t, fresh); err != nil {
		return err
	}
	if err := a.insertObligations(ctx, t, fresh, r); err != nil {
		return err
	}
	a.incidents.keep(t)
	if r != nil {
		r.keep(t)
	}
	return nil
}

// pendingColumns are the columns of a pendingRow, in the order in which it is written.
var pendingColumns = []string{"webhook_id", "seq", "dedup_key", "batch_key", "bytes", "owed_at"}

var newPending = `
INSERT INTO pending (` + strings.Join(pendingColumns, ", ") + `)
SELECT o.webhook_id, o.seq, o.dedup_key, o.batch_key, o.bytes, $6
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::integer[]) AS o (webhook_id, seq, dedup_key, batch_key, bytes)`

const newSuppressed = `
INSERT INTO suppressed (webhook_id, seq, reason, at)
SELECT o.webhook_id, o.seq, o.reason, $4
FROM unnest($1::text[], $2::bigint[], $3::text[]) AS o (webhook_id, seq, reason)`

// pendingRow is a row of pending in the making.
type pendingRow struct {
	webhookID, dedupKey, batchKey string
	seq                           int64
	size                          int32
}

// obligations are rows of pending and suppressed in the making.
type obligations struct {
	pending []pendingRow
	quiet   struct {
		webhooks, reasons []string
		seqs              []int64
	}
	moves  ledgerMoves
	events int // that are new
}

func (s *obligations) add(o tocsin.Obligation, seq int64, e *tocsin.Event) {
	if o.Suppressed != "" {
		q := &s.quiet
		q.webhooks, q.seqs, q.reasons = append(q.webhooks, o.WebhookID), append(q.seqs, seq), append(q.reasons, o.Suppressed)
		s.moves.add(o.WebhookID, tocsin.Balance{Accepted: 1, Suppressed: 1})
		return
	}
	s.pending = append(s.pending, pendingRow{o.WebhookID, e.DedupKey, o.BatchKey, seq, int32(len(e.Raw))}) // #nosec G115 -- at most 256 KiB
	s.moves.add(o.WebhookID, tocsin.Balance{Accepted: 1, Pending: 1})
}

// insert queues the rows, or sends them when they are many.
func (s *obligations) insert(ctx context.Context, t *tx, at time.Time) error {
	if q := &s.quiet; len(q.webhooks) > 0 {
		t.queue(newSuppressed, q.webhooks, q.seqs, q.reasons, at)
	}
	s.moves.queueWith(t, s.events)
	// Those of a webhook lie side by side, as they are read.
	slices.SortStableFunc(s.pending, func(x, y pendingRow) int { return cmp.Compare(x.webhookID, y.webhookID) })
	if len(s.pending) >= copyFrom {
		return t.copy(ctx, "pending", pendingColumns, copyPending(s.pending, at))
	}
	if len(s.pending) > 0 {
		insertPending(t, s.pending, at)
	}
	return nil
}

// copyFrom is the number of rows from which COPY takes over from INSERT. It saves the
// server two copies of every value and a WAL record for every row, and costs a round trip.
const copyFrom = 50

func copyPending(rows []pendingRow, at time.Time) pgx.CopyFromSource {
	return pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) {
		r := &rows[i]
		return []any{r.webhookID, r.seq, r.dedupKey, r.batchKey, r.size, at}, nil
	})
}

func insertPending(t *tx, rows []pendingRow, at time.Time) {
	n := len(rows)
	webhooks, dedupKeys, batchKeys, seqs, sizes := make([]string, n), make([]string, n), make([]string, n), make([]int64, n), make([]int32, n)
	for i, r := range rows {
		webhooks[i], dedupKeys[i], batchKeys[i], seqs[i], sizes[i] = r.webhookID, r.dedupKey, r.batchKey, r.seq, r.size
	}
	t.queue(newPending, webhooks, seqs, dedupKeys, batchKeys, sizes, at)
}

// insertObligations queues what is owed for the new events, in their order.
func (a *appending) insertObligations(ctx context.Context, t *tx, fresh []int, r *repeats) error {
	rows := obligations{moves: ledgerMoves{}, events: len(fresh)}
	var e *tocsin.Event
	var seq int64
	owe := func(o tocsin.Obligation, anyway bool) (suppressed bool, err error) {
		if o.Suppressed == "" && r != nil && r.suppresses(o, anyway, e, a.receivedAt) {
			o.Suppressed = tocsin.ReasonRepeat
		}
		rows.add(o, seq, e)
		return o.Suppressed != "", nil
	}
	for _, i := range fresh {
		e = &a.batch[i].Event
		seq = a.seqs[i]
		if err := a.incidents.book.Append(&a.batch[i], seq, a.receivedAt, owe); err != nil {
			return err
		}
	}
	a.owed = rows.moves.owed()
	return rows.insert(ctx, t, a.receivedAt)
}

// orEmpty keeps nil bytes from becoming NULL.
func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
