package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// A filled store looks as if these events had come over a month and been delivered.
const (
	fillChunk = 100_000 // events of one transaction
	fillDays  = 29      // less than retention, so that pruning has nothing to do
	fillPer   = 100     // events of one delivery
	lookups   = 100     // of each kind
)

// fillTypes are spread over the events evenly.
const fillTypes = `ARRAY['finding.critical','agent.discovered','mcp.discovered','data.sensitive','config.changed','vulnerability.found','risk_score.changed','anomaly.detected','performance.degraded','endpoint.discovered']`

// bigStore: ingest into an empty store and into a full one, and what people look at.
func (b *bench) bigStore(ctx context.Context, result *Result) (err error) {
	r, err := b.newRig(ctx, rigOptions{})
	if err != nil {
		return err
	}
	defer func() { err = closing(err, r) }()
	id, err := r.webhook(ctx, 0, nil)
	if err != nil {
		return err
	}
	empty, err := r.ingestRate(ctx, result, "empty store")
	if err != nil {
		return err
	}
	before, err := r.readDisk(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	f, err := r.fill(ctx, id, b.sizes.big)
	if err != nil {
		return fmt.Errorf("filling the store: %w", err)
	}
	result.add("events in the store", float64(b.sizes.big), "")
	result.add("filling it took", time.Since(began).Seconds(), "s")
	after, err := r.readDisk(ctx)
	if err != nil {
		return err
	}
	result.add("on disk for each event, delivered, with its keys", float64(after.data-before.data)/float64(b.sizes.big), "B")
	full, err := r.ingestRate(ctx, result, "full store")
	if err != nil {
		return err
	}
	result.add("ingest into the full store, of the empty one", 100*full/empty, "%").atLeast(80)
	if err := r.lookUp(ctx, result, f); err != nil {
		return err
	}
	// What was filled in counts as what the product would have written.
	began = time.Now()
	if text, err := r.tocsin(ctx, "ledger", "--verify"); err != nil {
		return fmt.Errorf("the filled store's ledger: %w\n%s", err, text)
	}
	result.add("tocsin ledger --verify took", time.Since(began).Seconds(), "s")
	return nil
}

// ingestRate is how many events per second are acknowledged in requests of 100.
func (r *rig) ingestRate(ctx context.Context, result *Result, during string) (float64, error) {
	l := r.full(r.batched, 100)
	if err := r.warmUp(ctx, l, 1); err != nil {
		return 0, err
	}
	m, err := r.measure(ctx, result, during)
	if err != nil {
		return 0, err
	}
	s, err := r.send.run(ctx, l)
	if err != nil {
		return 0, err
	}
	if err := r.drained(ctx, s, 1); err != nil {
		return 0, err
	}
	result.add("acknowledged, "+during, s.rate(), "/s")
	r.receiver.latency.take()
	return s.rate(), m.end(ctx, s.events())
}

// filled says what a store was filled with.
type filled struct {
	first, count int64
	began, ended time.Time // when its events were received
}

// fillID is the SQL of the id of event g, as wide as any other.
const fillID = `'fill-' || lpad(g::text, 25, '0')`

// fillOf says how a table is filled: with copies of a row that the product wrote, but for
// some columns. $1 is the number before the first event, $2 how many there are, $3 and $4
// which of them, $5 the webhook.
type fillOf struct {
	name    string
	where   string // the row to copy
	each    int    // one row for so many events
	columns map[string]string
}

var fills = []fillOf{
	{"events", "true", 1, map[string]string{
		"seq": "$1 + g", "id": fillID, "type": "(" + fillTypes + ")[1 + g % 10]", "severity": "1 + g % 5",
		"subject": "'agent/refund-bot-' || lpad((g % 1000)::text, 4, '0')", "dedup_key": "md5((g % 1000)::text)",
		"time": fillTime, "received_at": fillTime,
	}},
	{"event_keys", "true", 1, map[string]string{"seq": "$1 + g", "id": fillID, "received_at": fillTime}},
	{"deliveries", "webhook_id = $5 AND state = 'delivered'", fillPer, map[string]string{
		"id": fillDelivery, "number": "nextval('delivery_number')", "count": "100", "due": "0", "in_flight": "0",
		"created_at": fillTime, "first_attempt_at": fillTime, "finished_at": fillTime,
	}},
	{"delivery_events", "true", 1, map[string]string{
		"delivery_id": "'dlv_fill' || lpad((g / 100)::text, 20, '0')", "place": "g % 100", "seq": "$1 + g", "dedup_key": "md5((g % 1000)::text)",
	}},
	{"attempts", "true", fillPer, map[string]string{"delivery_id": fillDelivery, "started_at": fillTime, "finished_at": fillTime}},
}

const (
	fillTime     = `now() - make_interval(secs => 86400.0 * 29 * ($2 - g) / $2)`
	fillDelivery = `'dlv_fill' || lpad((g / 100)::text, 20, '0')`
)

// fill writes rows as the product would have, without it: each a copy of one it wrote.
func (r *rig) fill(ctx context.Context, webhookID string, events int) (f filled, err error) {
	events -= events % fillPer
	conn, err := r.connect(ctx)
	if err != nil {
		return f, err
	}
	defer conn.Close(ctx)
	f.count, f.ended = int64(events), time.Now()
	f.began = f.ended.Add(-fillDays * 24 * time.Hour)
	if err := conn.QueryRow(ctx, `SELECT setval('event_seq', nextval('event_seq') + $1) - $1`, events).Scan(&f.first); err != nil {
		return f, err
	}
	if err := r.fillTables(ctx, f, webhookID); err != nil {
		return f, err
	}
	if _, err := conn.Exec(ctx, `INSERT INTO ledger_deltas (webhook_id, accepted, delivered) VALUES ($1, $2, $2)`, webhookID, events); err != nil {
		return f, err
	}
	for _, table := range fills {
		// What autovacuum would do at some moment of the measurement.
		if _, err := conn.Exec(ctx, "VACUUM (ANALYZE) "+table.name); err != nil {
			return f, err
		}
	}
	_, err = conn.Exec(ctx, `CHECKPOINT`)
	return f, err
}

// fillTables fills all tables at once.
func (r *rig) fillTables(ctx context.Context, f filled, webhookID string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, table := range fills {
		wg.Go(func() {
			if err := r.fillTable(ctx, table, f, webhookID); err != nil {
				cancel(fmt.Errorf("%s: %w", table.name, err))
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func (r *rig) fillTable(ctx context.Context, table fillOf, f filled, webhookID string) error {
	conn, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	// The rows can be had again: nothing waits for the disk.
	if _, err := conn.Exec(ctx, `SET synchronous_commit = off`); err != nil {
		return err
	}
	sql, err := fillSQL(ctx, conn, table)
	if err != nil {
		return err
	}
	for from := int64(0); from < f.count; from += fillChunk {
		if _, err := conn.Exec(ctx, sql, f.first, f.count, from, min(from+fillChunk, f.count)-1, webhookID); err != nil {
			return err
		}
	}
	return nil
}

// fillSQL makes the statement that fills a table. Parameters that it does not need are
// named all the same, since PostgreSQL wants to know their types.
func fillSQL(ctx context.Context, conn *pgx.Conn, table fillOf) (string, error) {
	s, err := readColumns(ctx, conn, table.name)
	if err != nil {
		return "", err
	}
	var columns, selected []string
	for _, name := range s {
		columns = append(columns, pgx.Identifier{name}.Sanitize())
		if value, ok := table.columns[name]; ok {
			selected = append(selected, value)
		} else {
			selected = append(selected, "s."+pgx.Identifier{name}.Sanitize())
		}
	}
	return fmt.Sprintf(`WITH given AS (SELECT $1::bigint, $2::bigint, $3::bigint, $4::bigint, $5::text)
		INSERT INTO %[1]s (%[2]s) SELECT %[3]s FROM (SELECT * FROM %[1]s WHERE %[4]s LIMIT 1) AS s
		CROSS JOIN generate_series($3::bigint, $4::bigint, %[5]d) AS g`, table.name, strings.Join(columns, ", "), strings.Join(selected, ", "), table.where, table.each), nil
}

// lookUp asks what people ask, at random places.
func (r *rig) lookUp(ctx context.Context, result *Result, f filled) error {
	random := rand.New(rand.NewPCG(3, 4)) // #nosec G404 -- the same in every run
	kinds := []struct {
		name string
		path func() string
	}{
		{"why", func() string {
			return fmt.Sprintf("/v1/events/%s/fill-%025d/why", url.PathEscape(source), random.Int64N(f.count))
		}},
		{"events of a type and a day", func() string {
			since := f.began.Add(time.Duration(random.Int64N(int64(f.ended.Sub(f.began) - 24*time.Hour))))
			q := url.Values{"type": {"agent.discovered"}, "since": {since.UTC().Format(time.RFC3339)}, "until": {since.Add(24 * time.Hour).UTC().Format(time.RFC3339)}, "limit": {"50"}}
			return "/v1/events?" + q.Encode()
		}},
		{"ledger", func() string { return "/v1/ledger" }},
	}
	for _, kind := range kinds {
		var times recorder
		for range lookups {
			began := time.Now()
			if err := r.api.call(ctx, http.MethodGet, kind.path(), nil, nil); err != nil {
				return err
			}
			times.add(time.Since(began))
		}
		p := times.take()
		result.addMS(kind.name+", p50", p.P50)
		result.addMS(kind.name+", p99", p.P99).atMost(50)
	}
	return nil
}
