-- events_type_received is in its place.
DROP INDEX IF EXISTS events_type;
