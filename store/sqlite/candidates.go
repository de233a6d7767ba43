package sqlite

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/tocsin-alerts/tocsin"
)

// replayWindow is how many events or deliveries a page looks at, however few of them
// are candidates. It bounds how long a page takes.
const replayWindow = 5000

// track is a table in the order in which replays go through it: by time, then by
// number. The index is named so that no page reads from the beginning.
type track struct{ from, at, number string }

var (
	deliveryTrack = track{"deliveries d INDEXED BY deliveries_created", "d.created_at", "d.n"}
	eventTrack    = track{"events e INDEXED BY events_received", "e.received_at", "e.seq"}
)

// replayPlace is a place in a track.
type replayPlace struct{ at, number int64 }

func (p replayPlace) String() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %d", p.at, p.number))
}

func parseReplayPlace(cursor string) (p replayPlace, err error) {
	plain, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		_, err = fmt.Sscanf(string(plain), "%d %d", &p.at, &p.number)
	}
	if err != nil {
		return p, tocsin.Invalid("cursor", "%q is not a cursor of this replay", cursor)
	}
	return p, nil
}

// within selects the range of a replay from a place on.
func (tr track) within(s tocsin.ReplaySelection, after *replayPlace) (f filter) {
	f.add(s.What.OfDeliveries(), "d.webhook_id = ?", s.WebhookID)
	f.add(!s.Since.IsZero(), tr.at+" >= ?", micros(s.Since))
	f.add(!s.Until.IsZero(), tr.at+" < ?", micros(s.Until))
	if after != nil {
		f.add(true, tr.at+" >= ?", after.at)
		f.add(true, "("+tr.at+", "+tr.number+") > (?, ?)", after.at, after.number)
	}
	return f
}

// ReplayCandidates implements tocsin.Replays.
func (db *DB) ReplayCandidates(ctx context.Context, s tocsin.ReplaySelection, cursor string, limit int) (c tocsin.ReplayCandidates, err error) {
	if _, known := replayConditions[s.What]; !known {
		return c, tocsin.Invalid("what", "%q cannot be replayed", s.What)
	}
	var after *replayPlace
	if cursor != "" {
		p, err := parseReplayPlace(cursor)
		if err != nil {
			return c, err
		}
		after = &p
	}
	err = db.read(ctx, "looking for what to replay", func(t *tx) error {
		tr := eventTrack
		if s.What.OfDeliveries() {
			tr = deliveryTrack
		}
		f := tr.within(s, after)
		var edge replayPlace
		err := t.get(fmt.Sprintf(`SELECT %[1]s, %[2]s FROM %[3]s%[4]s ORDER BY %[1]s, %[2]s LIMIT 1 OFFSET %[5]d`,
			tr.at, tr.number, tr.from, f.String(), replayWindow-1), f.args, &edge.at, &edge.number)
		more := err == nil
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if f = tr.within(s, after); more {
			f.add(true, tr.at+" <= ?", edge.at)
			f.add(true, "("+tr.at+", "+tr.number+") <= (?, ?)", edge.at, edge.number)
		}
		last, err := t.candidates(s, f, max(1, limit), &c)
		if err != nil {
			return err
		}
		full := len(c.Deliveries)+len(c.Events) == max(1, limit)
		c.Next, c.Last = cursor, !full && !more
		switch {
		case full, !more && last != nil:
			c.Next = last.String()
		case more:
			c.Next = edge.String()
		}
		return nil
	})
	if err != nil {
		return tocsin.ReplayCandidates{}, err
	}
	return c, nil
}

// candidates reads those of a window, and returns the place of the last.
func (t *tx) candidates(s tocsin.ReplaySelection, f filter, limit int, c *tocsin.ReplayCandidates) (last *replayPlace, err error) {
	types, err := asJSON(append([]string{}, s.Types...))
	if err != nil {
		return nil, err
	}
	if !s.What.OfDeliveries() {
		f.add(true, replayConditions[s.What])
		f.add(len(s.Types) > 0, `e.type IN (SELECT value FROM json_each(?))`, types)
		c.Events, err = list(t, func(r row) (tocsin.Event, error) {
			e, err := scanEvent(r)
			last = &replayPlace{micros(e.ReceivedAt), e.Seq}
			return e, err
		}, `SELECT `+eventColumns+` FROM `+eventTrack.from+` CROSS JOIN (SELECT ? AS id) w`+f.String()+
			` ORDER BY e.received_at, e.seq LIMIT ?`, append(append([]any{s.WebhookID}, f.args...), limit)...)
		return last, err
	}
	state, which := `d.state = ?`, `m.bucket <> 'split'` // state and selection are called the same
	if s.What == tocsin.ReplayDead {
		state = `(d.state = ? OR d.state IN ('delivered', 'split')
			AND EXISTS (SELECT 1 FROM delivery_events m INDEXED BY delivery_events_dead WHERE m.delivery = d.n AND m.bucket = 'dead'))`
		which += ` AND (d.state = 'dead' OR m.bucket = 'dead')`
	}
	f.add(true, state, string(s.What))
	f.add(len(s.Types) > 0, `EXISTS (SELECT 1 FROM delivery_events m CROSS JOIN events e ON e.seq = m.seq
		WHERE m.delivery = d.n AND `+which+` AND e.type IN (SELECT value FROM json_each(?)))`, types)
	_, err = list(t, func(r row) (struct{}, error) {
		d, err := scanDelivery(r)
		c.Deliveries = append(c.Deliveries, d.Delivery)
		last = &replayPlace{micros(d.CreatedAt), d.n}
		return struct{}{}, err
	}, `SELECT `+strings.Replace(deliveryColumns, "d.count", sentAgain, 1)+` FROM `+deliveryTrack.from+f.String()+` ORDER BY d.created_at, d.n LIMIT ?`, append(f.args, limit)...)
	return last, err
}

// What an event e has to do with webhook w.
const (
	isPending = `EXISTS (SELECT 1 FROM pending p WHERE p.webhook_id = w.id AND p.seq = e.seq)`
	isHushed  = `EXISTS (SELECT 1 FROM suppressed s WHERE s.webhook_id = w.id AND s.seq = e.seq)`
	isIn      = `EXISTS (SELECT 1 FROM delivery_events m INDEXED BY delivery_events_seq CROSS JOIN deliveries d ON d.n = m.delivery
		WHERE m.seq = e.seq AND d.webhook_id = w.id AND m.bucket <> 'split' AND %s)`
	stillOwed = `m.owed AND d.state IN ('ready', 'sending')`
)

// sentAgain counts the events of a delivery that would be sent again.
const sentAgain = `CASE WHEN d.state IN ('delivered', 'split') THEN coalesce(nullif((SELECT count(*)
	FROM delivery_events m INDEXED BY delivery_events_dead WHERE m.delivery = d.n AND m.bucket = 'dead'), 0), d.count) ELSE d.count END`

// replayConditions are what each selection asks of an event; nothing for those of
// deliveries.
var replayConditions = map[tocsin.ReplayWhat]string{
	tocsin.ReplayDead: "", tocsin.ReplayDelivered: "", tocsin.ReplayAborted: "",
	tocsin.ReplaySuppressed: `(` + isHushed + ` OR ` + fmt.Sprintf(isIn, `m.bucket = 'suppressed'`) + `)
		AND NOT ` + isPending + ` AND NOT ` + fmt.Sprintf(isIn, `m.bucket <> 'suppressed'`),
	tocsin.ReplayMissing: `NOT ` + isPending + ` AND NOT ` + isHushed + ` AND NOT ` + fmt.Sprintf(isIn, `true`),
	tocsin.ReplayAll:     `NOT ` + isPending + ` AND NOT ` + fmt.Sprintf(isIn, stillOwed),
}
