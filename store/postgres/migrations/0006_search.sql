-- no transaction
--
-- Events of a type by time. What came in one transaction shares a value, which the index
-- keeps once, and new values come last: half of the size and of the work of events_type,
-- whose newest came first.
CREATE INDEX CONCURRENTLY IF NOT EXISTS events_type_received ON events (type, received_at);
