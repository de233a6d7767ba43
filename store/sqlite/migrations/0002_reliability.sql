-- Announcements of trouble, mutes, repeats, replays.

ALTER TABLE leases ADD COLUMN failing_since INTEGER; -- when the first of its failures in a row was
ALTER TABLE leases ADD COLUMN announced INTEGER NOT NULL DEFAULT 0; -- tocsin.Activity.Announced
-- Since when was not kept until now: disable_after counts from here.
UPDATE leases SET failing_since = unixepoch() * 1000000 WHERE failures > 0;

-- For those who look from the event: what still refers to it.
CREATE INDEX suppressed_seq ON suppressed (seq);

-- Replays go by time. Neither column changes, so only inserts pay for these.
CREATE INDEX events_received ON events (received_at);
CREATE INDEX deliveries_created ON deliveries (webhook_id, created_at);
-- Events that are dead, for replays: few in a great many.
CREATE INDEX delivery_events_dead ON delivery_events (delivery) WHERE bucket = 'dead';

CREATE TABLE mutes (
  n           INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of lists
  id          TEXT NOT NULL UNIQUE,
  webhook_ids TEXT NOT NULL, -- a JSON array
  events      TEXT NOT NULL, -- tocsin.Selector, a JSON array
  collections TEXT NOT NULL, -- a JSON array
  dedup_key   TEXT NOT NULL,
  filter      TEXT NOT NULL,
  starts_at   INTEGER NOT NULL,
  ends_at     INTEGER NOT NULL, -- starts_at when it was ended before it began
  author      TEXT NOT NULL,
  reason      TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  noticed_at  INTEGER
) STRICT;
CREATE INDEX mutes_ends ON mutes (ends_at);

-- The last event of an incident that a webhook with repeat_after was owed.
CREATE TABLE repeats (
  webhook_id TEXT NOT NULL,
  dedup_key  TEXT NOT NULL,
  status     TEXT NOT NULL,
  at         INTEGER NOT NULL, -- when it was received
  PRIMARY KEY (webhook_id, dedup_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE replays (
  n           INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of lists
  id          TEXT NOT NULL UNIQUE,
  webhook_id  TEXT NOT NULL,
  what        TEXT NOT NULL,
  types       TEXT NOT NULL, -- a JSON array
  since       INTEGER,       -- NULL: the beginning
  until       INTEGER NOT NULL,
  max_rate    REAL NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('running', 'paused', 'done', 'cancelled', 'failed')),
  reason      TEXT NOT NULL DEFAULT '',
  total       INTEGER NOT NULL,
  replayed    INTEGER NOT NULL DEFAULT 0,
  deliveries  INTEGER NOT NULL DEFAULT 0,
  skipped     INTEGER NOT NULL DEFAULT 0,
  cursor      TEXT NOT NULL DEFAULT '',
  author      TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL,
  finished_at INTEGER
) STRICT;
