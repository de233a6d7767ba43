package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
)

// replayWindow is how many events or deliveries a page looks at, however few of them
// are candidates. It bounds how long a page takes.
const replayWindow = 5000

// track is a table in the order in which replays go through it: by time, then by what
// makes the order total. An index leads with the time.
type track struct{ from, at, order, place string }

var (
	deliveryTrack = track{"deliveries d", "d.created_at", "d.created_at, d.number, d.path", "d.created_at, d.number, d.path"}
	eventTrack    = track{"events e", "e.received_at", "e.received_at, e.seq", "e.received_at, e.seq, ''"}
)

// bound keeps what is before or after a place; op is "<=" or ">". The time is named
// apart from the rest for the index on the time alone.
func (tr track) bound(f *filter, op string, c deliveryCursor) {
	at := f.arg(c.time())
	tuple := at + ", " + f.arg(c.number)
	if tr == deliveryTrack {
		tuple += ", " + f.arg(c.path)
	}
	f.conditions = append(f.conditions, fmt.Sprintf("%s %c= %s AND (%s) %s (%s)", tr.at, op[0], at, tr.order, op, tuple))
}

// within selects the range of a replay from a place on.
func (tr track) within(s tocsin.ReplaySelection, after *deliveryCursor) (f filter) {
	if tr == deliveryTrack {
		f.add("d.webhook_id = $?", s.WebhookID)
	}
	if !s.Since.IsZero() {
		f.add(tr.at+" >= $?", s.Since)
	}
	if !s.Until.IsZero() {
		f.add(tr.at+" < $?", s.Until)
	}
	if after != nil {
		tr.bound(&f, ">", *after)
	}
	return f
}

// candidatePage is one page in the making.
type candidatePage struct {
	s     tocsin.ReplaySelection
	after *deliveryCursor
	limit int
	out   tocsin.ReplayCandidates
	last  *deliveryCursor // the place of the last candidate
}

// ReplayCandidates implements [tocsin.Replays].
func (db *DB) ReplayCandidates(ctx context.Context, s tocsin.ReplaySelection, cursor string, limit int) (tocsin.ReplayCandidates, error) {
	condition, known := replayConditions[s.What]
	if !known {
		return tocsin.ReplayCandidates{}, tocsin.Invalid("what", "%q cannot be replayed", s.What)
	}
	var after *deliveryCursor
	if cursor != "" {
		c, err := parseDeliveryCursor(cursor)
		if err != nil {
			return tocsin.ReplayCandidates{}, err
		}
		after = &c
	}
	var p candidatePage
	err := db.snapshot(ctx, "looking for what to replay", func(t *tx) error {
		p = candidatePage{s: s, after: after, limit: max(1, limit), out: tocsin.ReplayCandidates{Next: cursor}}
		if s.What.OfDeliveries() {
			return p.read(ctx, t, deliveryTrack, p.deliveries)
		}
		return p.read(ctx, t, eventTrack, func(t *tx, f filter) { p.events(t, f, condition) })
	})
	if err != nil {
		return tocsin.ReplayCandidates{}, err
	}
	return p.out, nil
}

// read finds the end of the window, then the candidates in it.
func (p *candidatePage) read(ctx context.Context, t *tx, tr track, candidates func(*tx, filter)) error {
	f := tr.within(p.s, p.after)
	var edge deliveryCursor
	var at time.Time
	var more bool
	t.one(&more, fmt.Sprintf(`SELECT %s FROM %s%s ORDER BY %s OFFSET %d LIMIT 1`, tr.place, tr.from, f.where(), tr.order, replayWindow-1), f.args,
		&at, &edge.number, &edge.path)
	if err := t.flush(ctx); err != nil {
		return err
	}
	edge.micros = at.UnixMicro()
	f = tr.within(p.s, p.after)
	if more {
		tr.bound(&f, "<=", edge)
	}
	candidates(t, f)
	if err := t.flush(ctx); err != nil {
		return err
	}
	full := len(p.out.Deliveries)+len(p.out.Events) == p.limit
	switch {
	case full, !more && p.last != nil:
		p.out.Next = p.last.String()
	case more:
		p.out.Next = edge.String()
	}
	p.out.Last = !full && !more
	return nil
}

// sentAgain counts the events of a delivery that would be sent again.
const sentAgain = `CASE WHEN d.state IN ('delivered', 'split') THEN coalesce(nullif(
	(SELECT count(*) FROM delivery_events m WHERE m.delivery_id = d.id AND m.fate = 'dead'), 0)::integer, d.count) ELSE d.count END`

func (p *candidatePage) deliveries(t *tx, f filter) {
	state := `d.state = '` + string(p.s.What) + `'` // they are called the same; What is a known one
	if p.s.What == tocsin.ReplayDead {
		state = `(` + state + ` OR d.state IN ('delivered', 'split') AND ` + hasDead + `)`
	}
	f.conditions = append(f.conditions, state)
	if len(p.s.Types) > 0 {
		which := `m.fate IS DISTINCT FROM 'moved'`
		if p.s.What == tocsin.ReplayDead {
			which += ` AND (d.state = 'dead' OR m.fate = 'dead')`
		}
		f.add(`(SELECT m.place FROM delivery_events m JOIN events e USING (seq)
			WHERE m.delivery_id = d.id AND `+which+` AND e.type = ANY($?::text[]) LIMIT 1) IS NOT NULL`, p.s.Types)
	}
	columns := strings.Replace(deliveryColumns, "d.count", sentAgain, 1)
	collect(t.queue(fmt.Sprintf(`SELECT %s, d.number, d.path FROM deliveries d%s ORDER BY %s LIMIT %d`,
		columns, f.where(), deliveryTrack.order, p.limit), f.args...), &p.out.Deliveries,
		func(row pgx.CollectableRow) (d tocsin.Delivery, err error) {
			c := deliveryCursor{}
			err = row.Scan(append(deliveryTargets(&d), &c.number, &c.path)...)
			c.micros = d.CreatedAt.UnixMicro()
			p.last = &c
			return d, err
		})
}

func (p *candidatePage) events(t *tx, f filter, condition string) {
	if len(p.s.Types) > 0 {
		f.add("e.type = ANY($?::text[])", p.s.Types)
	}
	f.add(condition, p.s.WebhookID)
	collect(t.queue(fmt.Sprintf(`SELECT %s FROM events e%s ORDER BY %s LIMIT %d`, eventColumns, f.where(), eventTrack.order, p.limit), f.args...),
		&p.out.Events, func(row pgx.CollectableRow) (tocsin.Event, error) {
			e, err := scanEvent(row)
			p.last = &deliveryCursor{micros: e.ReceivedAt.UnixMicro(), number: e.Seq}
			return e, err
		})
}

// hasDead is for a delivery with events that are dead on their own. There is an index of
// these alone.
const hasDead = `(SELECT m.place FROM delivery_events m WHERE m.delivery_id = d.id AND m.fate = 'dead' LIMIT 1) IS NOT NULL`

// What an event e has to do with the webhook $?. They ask for a first row, not whether
// one EXISTS: the planner would make a join of that, and read whole tables for it.
const (
	isPending = `(SELECT p.seq FROM pending p WHERE p.webhook_id = $? AND p.seq = e.seq LIMIT 1) IS NOT NULL`
	isHushed  = `(SELECT s.seq FROM suppressed s WHERE s.webhook_id = $? AND s.seq = e.seq LIMIT 1) IS NOT NULL`
	isIn      = `(SELECT m.seq FROM delivery_events m JOIN deliveries d ON d.id = m.delivery_id
		WHERE m.seq = e.seq AND d.webhook_id = $? AND m.fate IS DISTINCT FROM 'moved' AND (%s) LIMIT 1) IS NOT NULL`
	cancelled = `d.state = 'cancelled' AND m.fate IS NULL`
	stillOwed = `d.open AND (m.fate IS NULL OR m.fate = 'again')`
)

// replayConditions are what each selection asks of an event, or "" for those of
// deliveries.
var replayConditions = map[tocsin.ReplayWhat]string{
	tocsin.ReplayDead: "", tocsin.ReplayDelivered: "", tocsin.ReplayAborted: "",
	tocsin.ReplaySuppressed: `(` + isHushed + ` OR ` + fmt.Sprintf(isIn, cancelled) + `)
		AND NOT ` + isPending + ` AND NOT ` + fmt.Sprintf(isIn, `NOT (`+cancelled+`)`),
	tocsin.ReplayMissing: `NOT ` + isPending + ` AND NOT ` + isHushed + ` AND NOT ` + fmt.Sprintf(isIn, `true`),
	tocsin.ReplayAll:     `NOT ` + isPending + ` AND NOT ` + fmt.Sprintf(isIn, stillOwed),
}
