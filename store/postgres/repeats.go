package postgres

import (
	"cmp"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/internal/incidents"
)

// incident is what one webhook hears about under one dedup key.
type incident struct{ webhookID, dedupKey string }

// lastOwed is the last event of an incident that a webhook with RepeatAfter was owed.
type lastOwed struct {
	status tocsin.Status
	at     time.Time
}

// repeats decides which events say nothing new. It knows the rows as locked, so that
// concurrent calls decide one after the other.
type repeats struct {
	order  []incident // sorted
	first  map[incident]tocsin.Status
	stored map[incident]lastOwed
	last   map[incident]lastOwed // as decided so far
	fresh  map[incident]bool     // inserted
}

// lockRepeats locks the rows of all incidents that are to be looked at. The insert
// locks those that are there, too, though it changes nothing of them; being sorted it
// waits for others in one direction only. What it inserts is right already, unless no
// event comes to be owed: the first one of a new incident is.
const lockRepeats = `
INSERT INTO repeats (webhook_id, dedup_key, status, at)
SELECT r.webhook_id, r.dedup_key, r.status, $4
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS r (webhook_id, dedup_key, status, rank) ORDER BY r.rank
ON CONFLICT (webhook_id, dedup_key) DO UPDATE SET status = excluded.status WHERE false
RETURNING webhook_id, dedup_key`

// readRepeats looks each up by itself, as knownKeys does.
const readRepeats = `
SELECT r.webhook_id, r.dedup_key, r.status, r.at FROM unnest($1::text[], $2::text[]) AS asked (webhook_id, dedup_key)
CROSS JOIN LATERAL (SELECT * FROM repeats r WHERE r.webhook_id = asked.webhook_id AND r.dedup_key = asked.dedup_key OFFSET 0) AS r`

// lockRepeats queues what locks and reads what decides about the new events of a batch, or
// returns nil when none of them is owed with RepeatAfter. It comes after all keys are
// inserted: calls that wait for each other here hold no key that the other still needs.
func (a *appending) lockRepeats(t *tx, fresh []int) *repeats {
	r := &repeats{}
	for _, i := range fresh {
		n := &a.batch[i]
		ask := func(o tocsin.Obligation) {
			if o.Suppressed == "" && o.RepeatAfter > 0 {
				r.ask(incident{o.WebhookID, n.Event.DedupKey}, n.Event.Status)
			}
		}
		for _, o := range n.Owed {
			ask(o)
		}
		if a.incidents.wanted[n.Event.DedupKey] {
			incidents.Maybe(n, ask)
		}
	}
	if len(r.order) == 0 {
		return nil
	}
	slices.SortFunc(r.order, func(x, y incident) int {
		return cmp.Or(cmp.Compare(x.webhookID, y.webhookID), cmp.Compare(x.dedupKey, y.dedupKey))
	})
	r.lock(t, a.receivedAt)
	return r
}

// ask adds an incident to those that are looked at.
func (r *repeats) ask(k incident, status tocsin.Status) {
	if r.first == nil {
		r.first, r.stored, r.last = map[incident]tocsin.Status{}, map[incident]lastOwed{}, map[incident]lastOwed{}
	}
	if _, seen := r.first[k]; !seen {
		r.first[k], r.order = status, append(r.order, k)
	}
}

func (r *repeats) lock(t *tx, now time.Time) {
	var webhooks, keys, statuses []string
	for _, k := range r.order {
		webhooks, keys, statuses = append(webhooks, k.webhookID), append(keys, k.dedupKey), append(statuses, string(r.first[k]))
	}
	r.fresh = map[incident]bool{}
	t.queue(lockRepeats, webhooks, keys, statuses, now).Query(func(rows pgx.Rows) error {
		var k incident
		_, err := pgx.ForEachRow(rows, []any{&k.webhookID, &k.dedupKey}, func() error {
			r.fresh[k] = true
			return nil
		})
		return err
	})
	t.queue(readRepeats, webhooks, keys).Query(func(rows pgx.Rows) error {
		var k incident
		var l lastOwed
		_, err := pgx.ForEachRow(rows, []any{&k.webhookID, &k.dedupKey, &l.status, &l.at}, func() error {
			r.stored[k] = l
			if !r.fresh[k] {
				r.last[k] = l
			}
			return nil
		})
		return err
	})
}

// suppresses reports whether an event says nothing new, and notes it otherwise. What is
// owed anyway is new.
func (r *repeats) suppresses(o tocsin.Obligation, anyway bool, e *tocsin.Event, now time.Time) bool {
	if o.RepeatAfter <= 0 {
		return false
	}
	k := incident{o.WebhookID, e.DedupKey}
	if last, known := r.last[k]; !anyway && known && last.status == e.Status && now.Sub(last.at) < o.RepeatAfter {
		return true
	}
	r.last[k] = lastOwed{e.Status, now}
	return false
}

// keep stores what became of the incidents, for the next call. A call that received its
// events earlier than what is stored decided later all the same; the last event is the
// one received last, so that the row stays.
func (r *repeats) keep(t *tx) {
	var webhooks, keys, statuses []string
	var times []time.Time
	var unused struct{ webhooks, keys []string }
	for _, k := range r.order {
		l, before := r.last[k], r.stored[k]
		if r.fresh[k] && l.at.IsZero() { // the incident brought nothing
			unused.webhooks, unused.keys = append(unused.webhooks, k.webhookID), append(unused.keys, k.dedupKey)
			continue
		}
		if l.at.Before(before.at) || l.status == before.status && l.at.Equal(before.at) {
			continue
		}
		webhooks, keys, statuses, times = append(webhooks, k.webhookID), append(keys, k.dedupKey), append(statuses, string(l.status)), append(times, l.at)
	}
	if len(webhooks) > 0 {
		t.queue(`UPDATE repeats r SET status = n.status, at = n.at
			FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) AS n (webhook_id, dedup_key, status, at)
			WHERE r.webhook_id = n.webhook_id AND r.dedup_key = n.dedup_key`, webhooks, keys, statuses, times)
	}
	if len(unused.keys) > 0 {
		t.queue(`DELETE FROM repeats r USING unnest($1::text[], $2::text[]) AS n (webhook_id, dedup_key)
			WHERE r.webhook_id = n.webhook_id AND r.dedup_key = n.dedup_key`, unused.webhooks, unused.keys)
	}
}
