package sqlite

import (
	"bytes"
	"database/sql"
	"encoding/json"

	"github.com/tocsin-alerts/tocsin"
)

// eventColumns are what scanEvent reads, of a table called e.
const eventColumns = `e.seq, e.source, e.id, e.type, e.subject, e.severity, e.status, e.time, e.dedup_key,
	e.title, e.summary, e.link, e.labels, e.raw, e.data, e.data_at, e.data_len, e.traceparent, e.received_at`

const insertEvents = `INSERT INTO events (seq, source, id, type, subject, severity, status, time, dedup_key,
	title, summary, link, labels, raw, data, data_at, data_len, traceparent, received_at)`

// eventRow returns the values of insertEvents. Data that is a part of the raw bytes,
// as it nearly always is, is not stored twice.
func eventRow(e *tocsin.Event) ([]any, error) {
	var labels, raw, data, dataAt, dataLen, trace any
	if len(e.Labels) > 0 {
		text, err := asJSON(e.Labels)
		if err != nil {
			return nil, err
		}
		labels = text
	}
	if len(e.Raw) > 0 {
		raw = []byte(e.Raw)
	}
	if len(e.Data) > 0 {
		if i := bytes.Index(e.Raw, e.Data); i >= 0 {
			dataAt, dataLen = i, len(e.Data)
		} else {
			data = []byte(e.Data)
		}
	}
	if e.TraceParent != "" {
		trace = e.TraceParent
	}
	return []any{
		e.Seq, e.Source, e.ID, e.Type, e.Subject, int(e.Severity), string(e.Status), micros(e.Time), e.DedupKey,
		e.Title, e.Summary, e.Link, labels, raw, data, dataAt, dataLen, trace, micros(e.ReceivedAt),
	}, nil
}

func scanEvent(r row) (tocsin.Event, error) { return scanEventAnd(r) }

// scanEventAnd reads eventColumns, and more that come after them.
func scanEventAnd(r row, more ...any) (tocsin.Event, error) {
	var e tocsin.Event
	var trace sql.NullString
	var raw, data []byte
	var dataAt, dataLen sql.NullInt64
	err := r.Scan(append([]any{&e.Seq, &e.Source, &e.ID, &e.Type, &e.Subject, &e.Severity, &e.Status, at{&e.Time}, &e.DedupKey,
		&e.Title, &e.Summary, &e.Link, inJSON{&e.Labels}, &raw, &data, &dataAt, &dataLen, &trace, at{&e.ReceivedAt}}, more...)...)
	if err != nil {
		return e, err
	}
	e.TraceParent = trace.String
	if dataAt.Valid {
		// A third index keeps appends to Data out of Raw.
		end := dataAt.Int64 + dataLen.Int64
		data = raw[dataAt.Int64:end:end]
	}
	e.Raw, e.Data = json.RawMessage(raw), json.RawMessage(data)
	return e, nil
}
