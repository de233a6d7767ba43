package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// The raw limit of the store: so many rows of each table per commit, on so many
// connections. More of either is not faster on two cores.
const (
	rawRows        = 500
	rawConnections = 4
)

// rawTables are those that an event which one webhook wants is written to.
var rawTables = []string{"event_keys", "events", "pending"}

// sampleTable is a table's columns and one row of it, as the product wrote it.
type sampleTable struct {
	name    string
	columns []string
	row     []any
}

// row returns the sample as the row of another event.
func (s *sampleTable) rowFor(seq int64, id string, now time.Time) []any {
	row := slices.Clone(s.row)
	for i, column := range s.columns {
		switch column {
		case "seq":
			row[i] = seq
		case "id":
			row[i] = id
		case "received_at", "owed_at":
			row[i] = now
		}
	}
	return row
}

// readColumns reads the columns of a table that can be written.
func readColumns(ctx context.Context, conn *pgx.Conn, table string) ([]string, error) {
	rows, err := conn.Query(ctx, `SELECT column_name::text FROM information_schema.columns
		WHERE table_schema = current_schema() AND table_name = $1 AND is_generated = 'NEVER' AND is_identity = 'NO' ORDER BY ordinal_position`, table)
	if err != nil {
		return nil, fmt.Errorf("reading the columns of %s: %w", table, err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("reading the columns of %s: %w", table, err)
	}
	return names, nil
}

// readSample reads the one row of a table.
func readSample(ctx context.Context, conn *pgx.Conn, table string) (*sampleTable, error) {
	columns, err := readColumns(ctx, conn, table)
	if err != nil {
		return nil, err
	}
	s := &sampleTable{name: table, columns: columns}
	list := make([]string, len(columns))
	for i, name := range columns {
		list[i] = pgx.Identifier{name}.Sanitize()
	}
	rows, err := conn.Query(ctx, "SELECT "+strings.Join(list, ", ")+" FROM "+pgx.Identifier{table}.Sanitize()+" LIMIT 1")
	if err != nil {
		return nil, fmt.Errorf("reading a row of %s: %w", table, err)
	}
	if s.row, err = pgx.CollectExactlyOneRow(rows, rowValues); err != nil {
		return nil, fmt.Errorf("reading a row of %s: %w", table, err)
	}
	return s, nil
}

// rowValues are a row's, with JSON as its text, so that it is not encoded again for every
// copy.
func rowValues(row pgx.CollectableRow) ([]any, error) {
	values, err := row.Values()
	for i, f := range row.FieldDescriptions() {
		raw := row.RawValues()[i]
		switch {
		case raw == nil:
		case f.DataTypeOID == pgtype.JSONBOID && f.Format == pgx.BinaryFormatCode:
			values[i] = string(raw[1:]) // a version goes before it
		case f.DataTypeOID == pgtype.JSONOID || f.DataTypeOID == pgtype.JSONBOID:
			values[i] = string(raw)
		}
	}
	return values, err
}

// rawInsert measures how many events per second this PostgreSQL takes without us: COPY
// of the rows that an event makes, into the store's own tables, with all their indexes.
func (b *bench) rawInsert(ctx context.Context, result *Result) (perSecond float64, err error) {
	r, err := b.newRig(ctx, rigOptions{})
	if err != nil {
		return 0, err
	}
	defer func() { err = closing(err, r) }()
	samples, err := r.samplePending(ctx)
	if err != nil {
		return 0, err
	}
	// Only PostgreSQL is wanted from here on.
	for _, p := range r.processes {
		p.stop()
	}
	r.processes = nil
	var seq atomic.Int64
	seq.Store(1 << 20) // past the sample
	began := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for range rawConnections {
		wg.Go(func() {
			if err := r.rawConnection(ctx, samples, &seq, began.Add(b.sizes.load/2)); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return 0, fmt.Errorf("inserting rows: %w", err)
	}
	perSecond = float64(seq.Load()-1<<20) / time.Since(began).Seconds()
	result.add("raw limit: COPY into the store's tables, events", perSecond, "/s")
	return perSecond, nil
}

// samplePending has the product write one event that nobody takes away, and reads its rows.
func (r *rig) samplePending(ctx context.Context) (samples []*sampleTable, err error) {
	id, err := r.webhook(ctx, 0, nil)
	if err != nil {
		return nil, err
	}
	if err := r.api.call(ctx, http.MethodPost, "/v1/webhooks/"+id+"/pause", nil, nil); err != nil {
		return nil, fmt.Errorf("pausing the webhook: %w", err)
	}
	if err := r.api.call(ctx, http.MethodPost, "/v1/events", json.RawMessage(appendEvent(nil, collection, 0, time.Now().UnixMicro())), nil); err != nil {
		return nil, err
	}
	conn, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	for _, table := range rawTables {
		s, err := readSample(ctx, conn, table)
		if err != nil {
			return nil, err
		}
		samples = append(samples, s)
	}
	return samples, nil
}

func (r *rig) rawConnection(ctx context.Context, samples []*sampleTable, seq *atomic.Int64, until time.Time) error {
	conn, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for time.Now().Before(until) && ctx.Err() == nil {
		first := seq.Add(rawRows) - rawRows
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			for _, s := range samples {
				now := time.Now()
				rows := pgx.CopyFromSlice(rawRows, func(i int) ([]any, error) {
					n := first + int64(i)
					return s.rowFor(n, eventID(uint64(n), now.UnixMicro()), now), nil // #nosec G115 -- positive
				})
				if _, err := tx.CopyFrom(ctx, pgx.Identifier{s.name}, s.columns, rows); err != nil {
					return fmt.Errorf("copying to %s: %w", s.name, err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// rawPosts measures how many bare POSTs of n events per second go from the generator to
// the receiver, on loopback, with nothing in between.
func (b *bench) rawPosts(ctx context.Context, result *Result, connections, n int) (perSecond float64, err error) {
	receiver, err := newReceiver(1)
	if err != nil {
		return 0, err
	}
	defer receiver.close()
	g, err := newGenerator(receiver.url(0), "", connections)
	if err != nil {
		return 0, err
	}
	defer g.close()
	g.accept = http.StatusOK
	s, err := g.run(ctx, load{connections: connections, perRequest: n, duration: b.sizes.load / 4})
	if err != nil {
		return 0, fmt.Errorf("posting to the receiver: %w", err)
	}
	if err := receiver.complete(0, s.first, s.last); err != nil {
		return 0, err
	}
	result.add(fmt.Sprintf("raw limit: POSTs of %d to the receiver, events", n), s.rate(), "/s")
	return s.rate(), nil
}
