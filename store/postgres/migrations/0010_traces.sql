-- Where the trace of an event can be taken up again: the traceparent it brought, or that of
-- the request it came with. NULL for nearly all, unless tracing is on.
ALTER TABLE events ADD COLUMN traceparent text;
