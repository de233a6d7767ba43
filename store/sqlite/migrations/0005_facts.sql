-- What lists, charts and metrics ask for.

-- When something moved, and what came with it. NULL in rows from before: what those moved
-- is in no series.
ALTER TABLE ledger_deltas ADD COLUMN at INTEGER;
ALTER TABLE ledger_deltas ADD COLUMN events INTEGER; -- that came in with it, each counted once; webhook_id is '' where nobody is owed them
ALTER TABLE ledger_deltas ADD COLUMN took INTEGER;   -- milliseconds of the attempt that ended with it
ALTER TABLE ledger_deltas ADD COLUMN failed INTEGER; -- nothing was delivered with that attempt

-- What moved in a minute, and in a quarter of an hour. Written by Fold alone, in the
-- transaction that removes the deltas.
CREATE TABLE activity (
  step       INTEGER NOT NULL, -- minutes: 1 or 15
  starts_at  INTEGER NOT NULL,
  webhook_id TEXT NOT NULL,    -- '' for the sum over all
  events     INTEGER NOT NULL,
  accepted   INTEGER NOT NULL,
  delivered  INTEGER NOT NULL,
  dead       INTEGER NOT NULL,
  suppressed INTEGER NOT NULL,
  attempts   INTEGER NOT NULL,
  failed     INTEGER NOT NULL,
  PRIMARY KEY (step, starts_at, webhook_id)
) STRICT, WITHOUT ROWID;

-- The last attempts of each webhook that are folded, oldest first.
CREATE TABLE recent_attempts (
  webhook_id TEXT PRIMARY KEY,
  minutes    TEXT NOT NULL, -- a JSON array: since 1970, in which each ended
  took       TEXT NOT NULL  -- a JSON array: milliseconds; -1 - milliseconds for one that failed
) STRICT, WITHOUT ROWID;

-- What the last attempt that failed said.
ALTER TABLE deliveries ADD COLUMN error_class TEXT NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN last_error TEXT NOT NULL DEFAULT '';

-- Events that came by signal and were not taken, the last of each webhook.
CREATE TABLE rejections (
  n          INTEGER PRIMARY KEY AUTOINCREMENT,
  webhook_id TEXT NOT NULL,
  batch      TEXT NOT NULL,    -- of those that were looked at together
  place      INTEGER NOT NULL, -- in the batch
  at         INTEGER NOT NULL,
  event      INTEGER,          -- tocsin.FieldError.Index
  field      TEXT NOT NULL,
  message    TEXT NOT NULL,
  source     TEXT NOT NULL,
  event_id   TEXT NOT NULL,
  type       TEXT NOT NULL,
  UNIQUE (webhook_id, batch, place)
) STRICT;
CREATE INDEX rejections_webhook ON rejections (webhook_id, n);
CREATE INDEX rejections_at ON rejections (at);

-- The history of one thing, or of one kind of change, newest first.
CREATE INDEX audit_object ON audit (object, at, n);
CREATE INDEX audit_name ON audit (name, at, n);
CREATE INDEX audit_action ON audit (action, at, n);
