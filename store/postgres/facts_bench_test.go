package postgres_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// manyWebhooks are ten thousand, each with attempts that are remembered, a thousand of them
// with something pending, and deltas that are not folded yet.
const manyWebhooks = `
INSERT INTO webhooks (id, name, state, state_since, version, settings, config, created_at, updated_at)
	SELECT 'wh_' || n, 'w' || lpad(n::text, 6, '0'), 'active', now(), 1, (SELECT settings FROM webhooks WHERE id = '%ID%') || jsonb_build_object('name', 'w' || n),
		'{}', now(), now() FROM generate_series(1, 10000) n;
INSERT INTO leases (webhook_id, seen_at, awake) SELECT id, now(), false FROM webhooks WHERE id LIKE 'wh\_%' ON CONFLICT DO NOTHING;
INSERT INTO ledger SELECT 'wh_' || n, 1000, 1000 - n % 10 / 9, n % 10 / 9, 0, 0, 0 FROM generate_series(1, 10000) n;
INSERT INTO pending SELECT 'wh_' || n, n, 0, 'k', '', 100, now() FROM generate_series(1, 10000) n WHERE n % 10 = 9;
INSERT INTO recent_attempts SELECT 'wh_' || n, array_fill((extract(epoch FROM now()) / 60)::integer, ARRAY[200]), array_fill(n % 1000, ARRAY[200]) FROM generate_series(1, 10000) n;
INSERT INTO ledger_deltas (webhook_id, in_flight, delivered, took, failed) SELECT 'wh_' || n % 10000, -1, 1, 7, false FROM generate_series(1, 30000) n;
INSERT INTO activity SELECT 1, date_trunc('minute', now()) - m * interval '1 minute', CASE w WHEN 0 THEN '' ELSE 'wh_' || w END, 1, 1, 1, 0, 0, 1, 0
	FROM generate_series(0, 179) m, generate_series(0, 1000) w;
ANALYZE;`

// BenchmarkFacts asks what a console and a scrape ask of a store with ten thousand webhooks
// and half a minute of deltas.
func BenchmarkFacts(b *testing.B) {
	url := pgtest.URL(b)
	db := open(b, url)
	first := storetest.MustCreate(b, db, "first")
	if _, err := connect(b, url).PgConn().Exec(b.Context(), strings.ReplaceAll(manyWebhooks, "%ID%", first.ID)).ReadAll(); err != nil {
		b.Fatal(err)
	}
	var ids []string
	for n := range 200 {
		ids = append(ids, "wh_"+strconv.Itoa(4000+n))
	}
	find := func(q tocsin.WebhookQuery) func() error {
		q.Limit = 200
		return func() error {
			_, _, err := db.FindWebhooks(b.Context(), q)
			return err
		}
	}
	for _, c := range []struct {
		name string
		ask  func() error
	}{
		{"page of 200", find(tocsin.WebhookQuery{})},
		{"text that few have", find(tocsin.WebhookQuery{Text: "4321"})},
		{"text that none has", find(tocsin.WebhookQuery{Text: "nowhere"})},
		{"facts of 200", func() error { _, err := db.WebhookFacts(b.Context(), ids...); return err }},
		{"activities of 200", func() error { _, err := db.Activities(b.Context(), ids...); return err }},
		{"series of one", func() error { _, err := db.Series(b.Context(), ids[0], time.Hour); return err }},
		{"series of all", func() error { _, err := db.Series(b.Context(), "", time.Hour); return err }},
		{"backlog", func() error { _, _, err := db.Backlog(b.Context(), 100); return err }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if err := c.ask(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
