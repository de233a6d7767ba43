-- All times are microseconds since 1970, UTC, by the store's clock.

CREATE TABLE config_revision (
  one      INTEGER PRIMARY KEY CHECK (one = 1),
  revision INTEGER NOT NULL
) STRICT;
INSERT INTO config_revision VALUES (1, 0);

CREATE TABLE webhooks (
  id           TEXT PRIMARY KEY,
  name         TEXT NOT NULL,
  settings     TEXT NOT NULL, -- tocsin.Settings as JSON
  config       TEXT NOT NULL, -- the channel's own, secrets redacted
  sealed       BLOB,          -- the same with its secrets, sealed
  state        TEXT NOT NULL CHECK (state IN ('active', 'paused', 'failing', 'disabled', 'deleted')),
  state_reason TEXT NOT NULL,
  state_since  INTEGER NOT NULL,
  version      INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,
  updated_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX webhooks_name ON webhooks (name) WHERE state <> 'deleted';

-- What changes with every delivery, apart from what people configure.
CREATE TABLE leases (
  webhook_id      TEXT PRIMARY KEY REFERENCES webhooks (id),
  fence           INTEGER NOT NULL DEFAULT 0,
  awake           INTEGER NOT NULL DEFAULT 1,
  due_at          INTEGER, -- end of backoff
  next_run_at     INTEGER, -- the tick that is waited for
  run_cutoff      INTEGER, -- of the run in progress
  run_now         INTEGER NOT NULL DEFAULT 0,
  failures        INTEGER NOT NULL DEFAULT 0,
  rejections      INTEGER NOT NULL DEFAULT 0, -- of single events, in a row
  applied_version INTEGER NOT NULL DEFAULT 0,
  seen_at         INTEGER, -- last sign of life of a Deliver
  last_delivery   INTEGER,
  last_error      TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

-- Kept longer than the events themselves: what is known is not owed twice.
CREATE TABLE event_keys (
  source      TEXT NOT NULL,
  id          TEXT NOT NULL,
  seq         INTEGER NOT NULL,
  fingerprint BLOB NOT NULL,
  received_at INTEGER NOT NULL,
  PRIMARY KEY (source, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT,
  source      TEXT NOT NULL,
  id          TEXT NOT NULL,
  type        TEXT NOT NULL,
  subject     TEXT NOT NULL,
  severity    INTEGER NOT NULL,
  status      TEXT NOT NULL,
  time        INTEGER NOT NULL,
  dedup_key   TEXT NOT NULL,
  title       TEXT NOT NULL,
  summary     TEXT NOT NULL,
  link        TEXT NOT NULL,
  labels      TEXT,    -- a JSON object
  raw         BLOB,    -- the event byte for byte as it came
  data        BLOB,    -- NULL where it is the part of raw that the next two name
  data_at     INTEGER, -- offset from 0
  data_len    INTEGER,
  received_at INTEGER NOT NULL
) STRICT;

-- Obligations in no delivery yet.
CREATE TABLE pending (
  webhook_id TEXT NOT NULL REFERENCES webhooks (id),
  seq        INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  dedup_key  TEXT NOT NULL,
  batch_key  TEXT NOT NULL,
  bytes      INTEGER NOT NULL,
  owed_at    INTEGER NOT NULL,
  PRIMARY KEY (webhook_id, seq, generation)
) STRICT, WITHOUT ROWID;

-- Obligations that ended without ever being in a delivery.
CREATE TABLE suppressed (
  webhook_id TEXT NOT NULL REFERENCES webhooks (id),
  seq        INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  reason     TEXT NOT NULL,
  at         INTEGER NOT NULL,
  PRIMARY KEY (webhook_id, seq, generation)
) STRICT, WITHOUT ROWID;

CREATE TABLE deliveries (
  n             INTEGER PRIMARY KEY AUTOINCREMENT,
  id            TEXT NOT NULL UNIQUE,
  webhook_id    TEXT NOT NULL REFERENCES webhooks (id),
  position      TEXT NOT NULL, -- orders open ones; a child's begins with its parent's
  state         TEXT NOT NULL CHECK (state IN ('ready', 'sending', 'delivered', 'dead', 'split', 'cancelled')),
  reason        TEXT NOT NULL DEFAULT '',
  parent        TEXT NOT NULL DEFAULT '',
  count         INTEGER NOT NULL,
  attempts      INTEGER NOT NULL DEFAULT 0,
  created_at    INTEGER NOT NULL,
  first_attempt INTEGER,
  finished_at   INTEGER
) STRICT;
CREATE INDEX deliveries_open ON deliveries (webhook_id, position) WHERE state IN ('ready', 'sending');
CREATE INDEX deliveries_webhook ON deliveries (webhook_id, n);

-- Membership and order are frozen; bucket says where the obligation is counted, and
-- owed whether it is to be sent while the delivery is open. An event that was
-- delivered and is to be sent again is owed, and stays in its bucket.
CREATE TABLE delivery_events (
  delivery   INTEGER NOT NULL REFERENCES deliveries (n),
  place      INTEGER NOT NULL,
  seq        INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  bucket     TEXT NOT NULL CHECK (bucket IN ('in_flight', 'delivered', 'dead', 'suppressed', 'split')),
  owed       INTEGER NOT NULL,
  reason     TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (delivery, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_events_seq ON delivery_events (seq);

CREATE TABLE attempts (
  delivery INTEGER NOT NULL REFERENCES deliveries (n),
  number   INTEGER NOT NULL,
  recorded INTEGER NOT NULL DEFAULT 0, -- 0: open, or its process died
  refused  INTEGER NOT NULL DEFAULT 0, -- 1: known not to have been accepted
  body     TEXT NOT NULL,              -- tocsin.Attempt as JSON
  PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;

-- What vendors call an incident's object.
CREATE TABLE refs (
  webhook_id TEXT NOT NULL REFERENCES webhooks (id),
  dedup_key  TEXT NOT NULL,
  ref        BLOB NOT NULL,
  PRIMARY KEY (webhook_id, dedup_key)
) STRICT, WITHOUT ROWID;

-- A webhook's balance is the sum of its rows in these two tables. ledger_baseline
-- counts what was pruned and can no longer be recounted from rows.
CREATE TABLE ledger_deltas (
  n          INTEGER PRIMARY KEY AUTOINCREMENT,
  webhook_id TEXT NOT NULL,
  accepted   INTEGER NOT NULL,
  delivered  INTEGER NOT NULL,
  pending    INTEGER NOT NULL,
  in_flight  INTEGER NOT NULL,
  dead       INTEGER NOT NULL,
  suppressed INTEGER NOT NULL
) STRICT;
CREATE TABLE ledger (
  webhook_id TEXT PRIMARY KEY,
  accepted   INTEGER NOT NULL,
  delivered  INTEGER NOT NULL,
  pending    INTEGER NOT NULL,
  in_flight  INTEGER NOT NULL,
  dead       INTEGER NOT NULL,
  suppressed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE ledger_baseline (
  webhook_id TEXT PRIMARY KEY,
  accepted   INTEGER NOT NULL,
  delivered  INTEGER NOT NULL,
  dead       INTEGER NOT NULL,
  suppressed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
  id         TEXT PRIMARY KEY,
  name       TEXT NOT NULL UNIQUE,
  hash       BLOB NOT NULL UNIQUE,
  scopes     TEXT NOT NULL, -- a JSON array
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  last_used  INTEGER
) STRICT, WITHOUT ROWID;
