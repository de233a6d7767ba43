-- no transaction
--
-- Indexes of tables that may be big. They are built while others write: each statement
-- stands alone, and does nothing when it was done before.

-- For those who look from the event: what still refers to it.
CREATE INDEX CONCURRENTLY IF NOT EXISTS suppressed_seq ON suppressed (seq);

-- Events that are dead on their own, for replays: few in a great many.
CREATE INDEX CONCURRENTLY IF NOT EXISTS delivery_events_dead ON delivery_events (delivery_id) WHERE fate = 'dead';

-- What is old is found by these. Rows come in the order of event_keys_received, and those of
-- one transaction share a value, so that ingest adds to its last page, a few bytes for each.
-- A delivery enters deliveries_finished when it leaves deliveries_open.
CREATE INDEX CONCURRENTLY IF NOT EXISTS deliveries_finished ON deliveries (finished_at) WHERE NOT open;
CREATE INDEX CONCURRENTLY IF NOT EXISTS suppressed_at ON suppressed (at);
CREATE INDEX CONCURRENTLY IF NOT EXISTS event_keys_received ON event_keys (received_at);
CREATE INDEX CONCURRENTLY IF NOT EXISTS refs_updated ON refs (updated_at);
