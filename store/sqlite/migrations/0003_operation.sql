-- The audit log, rotation of keys, signing keys, and what pruning looks for.

CREATE TABLE audit (
  n       INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of those of one moment
  id      TEXT NOT NULL UNIQUE,
  at      INTEGER NOT NULL,
  actor   TEXT NOT NULL,
  address TEXT NOT NULL,
  action  TEXT NOT NULL,
  object  TEXT NOT NULL,
  name    TEXT NOT NULL,
  before  TEXT, -- JSON, as it came
  after   TEXT, -- JSON, as it came
  outcome TEXT NOT NULL, -- '' for not known
  detail  TEXT NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (at, n);

ALTER TABLE api_keys ADD COLUMN old_hash BLOB; -- from before the last rotation
ALTER TABLE api_keys ADD COLUMN old_expires_at INTEGER;
CREATE UNIQUE INDEX api_keys_old_hash ON api_keys (old_hash);

CREATE TABLE signing_keys (
  n           INTEGER PRIMARY KEY AUTOINCREMENT, -- the order they were made in
  id          TEXT NOT NULL UNIQUE,
  public      BLOB NOT NULL,
  sealed      BLOB NOT NULL,
  created_at  INTEGER NOT NULL,
  signs_from  INTEGER NOT NULL,
  signs_until INTEGER -- NULL for the newest
) STRICT;

-- When it was last stored, or something was sent about it.
ALTER TABLE refs ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
UPDATE refs SET updated_at = unixepoch() * 1000000;

-- What is old is found by these. Ingest adds to the end of event_keys_received.
CREATE INDEX deliveries_finished ON deliveries (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX suppressed_at ON suppressed (at);
CREATE INDEX event_keys_received ON event_keys (received_at, seq);
CREATE INDEX refs_updated ON refs (updated_at);
