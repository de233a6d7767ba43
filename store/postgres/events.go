package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
)

// storable checks what a text column cannot hold. Ingest validates before; this keeps
// one odd event from failing a batch without a word about which.
func storable(batch []tocsin.NewEvent) error {
	var fields []tocsin.FieldError
	for i := range batch {
		e := &batch[i].Event
		for _, f := range [...]struct{ name, text string }{
			{"id", e.ID}, {"source", e.Source}, {"type", e.Type}, {"subject", e.Subject}, {"status", string(e.Status)},
			{"dedup_key", e.DedupKey}, {"title", e.Title}, {"summary", e.Summary}, {"link", e.Link},
		} {
			if !isText(f.text) {
				fields = append(fields, tocsin.FieldError{Index: &i, Field: f.name, Message: "is not UTF-8 without NUL"})
			}
		}
		for name, value := range e.Labels {
			if !isText(name) || !isText(value) {
				fields = append(fields, tocsin.FieldError{Index: &i, Field: "labels", Message: "are not UTF-8 without NUL"})
			}
		}
	}
	if len(fields) == 0 {
		return nil
	}
	return &tocsin.Error{Code: tocsin.CodeInvalid, Message: "invalid", Fields: fields}
}

func isText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// eventRow are the columns of an event's row, in the order in which it is written.
var eventRow = []string{"seq", "source", "id", "type", "subject", "severity", "status", "time", "time_ns", "dedup_key", "title", "summary", "link",
	"labels", "raw", "data_at", "data_length", "data", "traceparent", "received_at"}

var newEvents = `
INSERT INTO events (` + strings.Join(eventRow, ", ") + `)
SELECT e.seq, e.source, e.id, e.type, e.subject, e.severity, e.status, e.time, e.time_ns, e.dedup_key, e.title, e.summary, e.link,
	e.labels::jsonb, e.raw, e.data_at, e.data_length, e.data, e.traceparent, $20
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::text[], $8::timestamptz[], $9::smallint[],
	$10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::bytea[], $16::integer[], $17::integer[], $18::bytea[], $19::text[])
	AS e (seq, source, id, type, subject, severity, status, time, time_ns, dedup_key, title, summary, link, labels, raw, data_at, data_length, data, traceparent)`

// insertEvents queues one row per event, or sends them when they are many. Data is usually
// a part of Raw: then only its place is stored.
func (a *appending) insertEvents(ctx context.Context, t *tx, fresh []int) error {
	if len(fresh) >= copyFrom {
		return t.copy(ctx, "events", eventRow, a.copyEvents(fresh))
	}
	a.queueEvents(t, fresh)
	return nil
}

func (a *appending) copyEvents(fresh []int) pgx.CopyFromSource {
	row := make([]any, 0, len(eventRow)) // one for all: each is encoded before the next
	return pgx.CopyFromSlice(len(fresh), func(n int) ([]any, error) {
		i := fresh[n]
		e := &a.batch[i].Event
		whole := e.Time.Truncate(time.Microsecond)
		at, length, apart := dataPlace(e)
		row = append(row[:0], a.seqs[i], e.Source, e.ID, e.Type, e.Subject, int16(e.Severity), string(e.Status), whole, int16(e.Time.Sub(whole)), // #nosec G115 -- below a microsecond
			e.DedupKey, e.Title, e.Summary, e.Link, labelText(e.Labels), orEmpty(e.Raw), at, length, apart, orNull(e.TraceParent), a.receivedAt)
		return row, nil
	})
}

// queueEvents queues one row per event.
func (a *appending) queueEvents(t *tx, fresh []int) {
	n := len(fresh)
	seqs, severities, times, rests := make([]int64, n), make([]int16, n), make([]time.Time, n), make([]int16, n)
	texts := [9][]string{} // source, id, type, subject, status, dedup_key, title, summary, link
	for i := range texts {
		texts[i] = make([]string, n)
	}
	labels, raws, dataAt, dataLength, data := make([]*string, n), make([][]byte, n), make([]*int32, n), make([]*int32, n), make([][]byte, n)
	traces := make([]*string, n)
	for row, i := range fresh {
		e := &a.batch[i].Event
		for c, text := range [...]string{e.Source, e.ID, e.Type, e.Subject, string(e.Status), e.DedupKey, e.Title, e.Summary, e.Link} {
			texts[c][row] = text
		}
		seqs[row], severities[row] = a.seqs[i], int16(e.Severity)
		times[row] = e.Time.Truncate(time.Microsecond)
		rests[row] = int16(e.Time.Sub(times[row])) // #nosec G115 -- below a microsecond
		labels[row], raws[row] = labelText(e.Labels), orEmpty(e.Raw)
		dataAt[row], dataLength[row], data[row] = dataPlace(e)
		traces[row] = orNull(e.TraceParent)
	}
	t.queue(newEvents, seqs, texts[0], texts[1], texts[2], texts[3], severities, texts[4], times, rests, texts[5], texts[6], texts[7], texts[8],
		labels, raws, dataAt, dataLength, data, traces, a.receivedAt)
}

func labelText(labels map[string]string) *string {
	if len(labels) == 0 {
		return nil
	}
	b, _ := json.Marshal(labels) // a map of strings always encodes
	text := string(b)
	return &text
}

// dataPlace finds the event's data in its raw bytes; any place with these bytes does.
func dataPlace(e *tocsin.Event) (at, length *int32, apart []byte) {
	if len(e.Data) == 0 {
		return nil, nil, nil
	}
	i := bytes.Index(e.Raw, e.Data)
	if i < 0 {
		return nil, nil, e.Data
	}
	from, n := int32(i), int32(len(e.Data)) // #nosec G115 -- at most 256 KiB
	return &from, &n, nil
}

// eventColumns are those that scanEvent reads, of a table named e.
const eventColumns = `e.seq, e.source, e.id, e.type, e.subject, e.severity, e.status, e.time, e.time_ns, e.dedup_key,
	e.title, e.summary, e.link, e.labels, e.raw, e.data_at, e.data_length, e.data, e.traceparent, e.received_at`

func scanEvent(row pgx.CollectableRow) (tocsin.Event, error) { return scanEventAnd(row) }

// scanEventAnd reads eventColumns, and more that come after them.
func scanEventAnd(row pgx.CollectableRow, more ...any) (tocsin.Event, error) {
	var e tocsin.Event
	var trace *string
	var rest int16
	var labels, raw, data []byte
	var at, length *int32
	err := row.Scan(append([]any{&e.Seq, &e.Source, &e.ID, &e.Type, &e.Subject, &e.Severity, &e.Status, &e.Time, &rest, &e.DedupKey,
		&e.Title, &e.Summary, &e.Link, &labels, &raw, &at, &length, &data, &trace, &e.ReceivedAt}, more...)...)
	if err != nil {
		return e, err
	}
	if trace != nil {
		e.TraceParent = *trace
	}
	e.Time = e.Time.Add(time.Duration(rest))
	if labels != nil {
		if err := json.Unmarshal(labels, &e.Labels); err != nil {
			return e, fmt.Errorf("reading labels of event %d: %w", e.Seq, err)
		}
	}
	if len(raw) > 0 {
		e.Raw = raw
	}
	switch {
	case data != nil:
		e.Data = data
	case at != nil && length != nil:
		if from, to := int(*at), int(*at)+int(*length); from >= 0 && from <= to && to <= len(raw) {
			e.Data = raw[from:to:to]
		} else {
			return e, fmt.Errorf("reading data of event %d: bytes %d to %d of %d", e.Seq, from, to, len(raw))
		}
	}
	return e, nil
}
