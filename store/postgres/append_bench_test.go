package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// kilobyte is an event of 1 KB as an agentic system reports it, with an id that lies
// anywhere among those of others.
func kilobyte(n int) tocsin.Event {
	id := fmt.Sprintf("%016x-%08x", uint64(n)*0x9e3779b97f4a7c15, n) // Fibonacci hashing: an even spread
	e := tocsin.Event{
		ID: id, Source: "/agents/checkout", Type: "custom.bench", Subject: fmt.Sprintf("agent-%d", n%100),
		Severity: tocsin.SeverityHigh, Status: tocsin.Firing, Time: storetest.Epoch.Add(time.Duration(n) * time.Millisecond),
		DedupKey: fmt.Sprintf("%032x", n%1000), Title: "Tool called outside of its permissions", Summary: "The agent called a tool that its policy does not list.",
	}
	var calls strings.Builder
	for i := 0; calls.Len() < 700; i++ {
		fmt.Fprintf(&calls, `{"tool":"tool-%d","at":%d,"tokens":%d,"hash":"%016x"},`, (n+i)%17, n*31+i, n%977, uint64(n+i)*0xbf58476d1ce4e5b9)
	}
	e.Data = json.RawMessage(fmt.Sprintf(`{"calls":[%s]}`, strings.TrimSuffix(calls.String(), ",")))
	e.Raw = json.RawMessage(fmt.Sprintf(`{"id":%q,"source":%q,"type":%q,"subject":%q,"title":%q,"summary":%q,"data":%s}`,
		e.ID, e.Source, e.Type, e.Subject, e.Title, e.Summary, e.Data))
	return e
}

// usage is what a database has cost so far.
type usage struct {
	cpu       time.Duration // of its sessions' processes
	wal, disk int64
}

// used reads the usage of a database and, from /proc, its processes' CPU time; where
// there is no /proc that is 0.
func used(b *testing.B, conn *pgx.Conn) (u usage) {
	b.Helper()
	rows, _ := conn.Query(b.Context(), `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		b.Fatal(err)
	}
	for _, pid := range pids {
		u.cpu += cpuTime(pid)
	}
	err = conn.QueryRow(b.Context(), `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint, pg_database_size(current_database())`).Scan(&u.wal, &u.disk)
	if err != nil {
		b.Fatal(err)
	}
	return u
}

// cpuTime is what a process has used: user and system, fields 14 and 15 of its stat, in
// ticks of 1/100 s (USER_HZ).
func cpuTime(pid int) (sum time.Duration) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	for _, field := range fields[11:13] {
		ticks, _ := strconv.Atoi(field)
		sum += time.Duration(ticks) * 10 * time.Millisecond
	}
	return sum
}

// reportUsage reports, for each event, what the database spent since before.
func reportUsage(b *testing.B, conn *pgx.Conn, before usage, events int) {
	after, n := used(b, conn), float64(events)
	b.ReportMetric(n/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64((after.cpu-before.cpu).Microseconds())/n, "pg-µs/event")
	b.ReportMetric(float64(after.wal-before.wal)/n, "wal-B/event")
	b.ReportMetric(float64(after.disk-before.disk)/n, "disk-B/event")
}

// BenchmarkAppend appends events of 1 KB as ingest does: two commits at a time, of as
// many events as are there, owed to one webhook or a hundred. The server's CPU time for
// each event is what counts, on a machine that does all the rest as well.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct{ batch, webhooks int }{{1, 1}, {10, 1}, {100, 1}, {500, 1}, {5000, 1}, {10, 100}, {100, 100}} {
		b.Run(fmt.Sprintf("batch=%d/webhooks=%d", c.batch, c.webhooks), func(b *testing.B) {
			url := pgtest.URL(b)
			db := open(b, url)
			var ids []string
			for i := range c.webhooks {
				ids = append(ids, storetest.MustCreate(b, db, fmt.Sprint("w", i)).ID)
			}
			revision, _, err := db.ListWebhooks(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			var next atomic.Int64
			appendOnce := func() {
				from := int(next.Add(int64(c.batch))) - c.batch
				batch := make([]tocsin.NewEvent, c.batch)
				for i := range batch {
					batch[i] = storetest.Owe(kilobyte(from+i), ids...)
				}
				if _, err := db.Append(b.Context(), revision, batch); err != nil {
					b.Error(err)
				}
			}
			conn := connect(b, url)
			inTwos(b, conn, c.batch, appendOnce)
		})
	}
}

// inTwos runs b.N operations, two at a time, each of so many events.
func inTwos(b *testing.B, conn *pgx.Conn, events int, once func()) {
	two := func(n int) {
		var left atomic.Int64
		left.Store(int64(n))
		done := make(chan struct{})
		for range 2 {
			go func() {
				for left.Add(-1) >= 0 {
					once()
				}
				done <- struct{}{}
			}()
		}
		<-done
		<-done
	}
	two(20) // both connections are there, and their statements prepared
	before := used(b, conn)
	b.ResetTimer()
	two(b.N)
	b.StopTimer()
	reportUsage(b, conn, before, b.N*events)
}

// BenchmarkCopy is the limit of the machine for BenchmarkAppend: COPY of events and
// pending rows into tables like the store's, without its indexes and checks, 500 per commit.
func BenchmarkCopy(b *testing.B) {
	url := pgtest.URL(b)
	open(b, url)
	setup := connect(b, url)
	exec(b, url, `CREATE TABLE raw_events AS SELECT * FROM events; CREATE TABLE raw_pending AS SELECT * FROM pending;
		ALTER TABLE raw_events ADD PRIMARY KEY (seq); ALTER TABLE raw_pending ADD PRIMARY KEY (webhook_id, seq, generation)`)
	conns := make(chan *pgx.Conn, 2)
	conns <- connect(b, url)
	conns <- connect(b, url)
	var next atomic.Int64
	const batch = 500
	inTwos(b, setup, batch, func() {
		conn := <-conns
		defer func() { conns <- conn }()
		from := int(next.Add(batch)) - batch
		if err := copyRaw(b.Context(), conn, from, batch); err != nil {
			b.Error(err)
		}
	})
}

func copyRaw(ctx context.Context, conn *pgx.Conn, from, n int) error {
	var events, pending [][]any
	for i := range n {
		e, seq := kilobyte(from+i), int64(from+i)
		events = append(events, []any{seq, e.Source, e.ID, e.Type, e.Subject, int16(e.Severity), string(e.Status), e.Time, int16(0), e.DedupKey,
			e.Title, e.Summary, e.Link, nil, []byte(e.Raw), nil, nil, nil, e.Time})
		pending = append(pending, []any{"wh_01jd0000000000000000000000", seq, int64(0), e.DedupKey, "", int32(len(e.Raw)), e.Time})
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for table, rows := range map[string][][]any{"raw_events": events, "raw_pending": pending} {
			columns, err := tx.Query(ctx, `SELECT * FROM `+table+` LIMIT 0`)
			if err != nil {
				return err
			}
			var names []string
			for _, f := range columns.FieldDescriptions() {
				names = append(names, f.Name)
			}
			columns.Close()
			if _, err := tx.CopyFrom(ctx, pgx.Identifier{table}, names, pgx.CopyFromRows(rows)); err != nil {
				return err
			}
		}
		return nil
	})
}
