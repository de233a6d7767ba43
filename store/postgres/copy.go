package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"
)

// copyFrom is the number of rows from which COPY takes over from INSERT. It saves the
// server two copies of every value and a WAL record for every row, and costs a round trip.
const copyFrom = 50

// copyRows are rows in COPY's binary format: a header, for each row the number of its
// columns, for each column its length and its bytes as the type's binary form says.
// See https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4
type copyRows struct{ b []byte }

const copyHeader = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// newCopyRows has room for so many bytes.
func newCopyRows(size int) *copyRows {
	return &copyRows{append(make([]byte, 0, len(copyHeader)+size+2), copyHeader...)}
}

func (c *copyRows) row(columns int16) { c.b = binary.BigEndian.AppendUint16(c.b, uint16(columns)) } // #nosec G115 -- not negative

func (c *copyRows) length(n int) { c.b = binary.BigEndian.AppendUint32(c.b, uint32(n)) } // #nosec G115 -- below 1 GB

func (c *copyRows) null() { c.b = append(c.b, 0xff, 0xff, 0xff, 0xff) }

func (c *copyRows) text(s string) {
	c.length(len(s))
	c.b = append(c.b, s...)
}

func (c *copyRows) bytes(b []byte) {
	c.length(len(b))
	c.b = append(c.b, b...)
}

func (c *copyRows) int16(n int16) {
	c.length(2)
	c.b = binary.BigEndian.AppendUint16(c.b, uint16(n)) // #nosec G115 -- the same bits
}

func (c *copyRows) int32(n int32) {
	c.length(4)
	c.b = binary.BigEndian.AppendUint32(c.b, uint32(n)) // #nosec G115 -- the same bits
}

func (c *copyRows) int64(n int64) {
	c.length(8)
	c.b = binary.BigEndian.AppendUint64(c.b, uint64(n)) // #nosec G115 -- the same bits
}

// epoch is where PostgreSQL's times begin, in microseconds of Unix time.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

func (c *copyRows) time(t time.Time) { c.int64(t.UnixMicro() - epoch) }

// jsonb writes its text, after the number of this form of it.
func (c *copyRows) jsonb(text string) {
	c.length(1 + len(text))
	c.b = append(append(c.b, 1), text...)
}

// copy sends rows at once, and what is queued before them.
func (t *tx) copy(ctx context.Context, sql string, c *copyRows) error {
	if err := t.flush(ctx); err != nil {
		return err
	}
	_, err := t.conn.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(append(c.b, 0xff, 0xff)), sql)
	return err
}
