-- Incidents and their steps.

CREATE TABLE incidents (
  n               INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of lists
  id              TEXT NOT NULL UNIQUE,
  key             TEXT NOT NULL, -- tocsin.IncidentKey
  dedup_key       TEXT NOT NULL,
  state           TEXT NOT NULL CHECK (state IN ('open', 'acknowledged', 'resolved')),
  type            TEXT NOT NULL, -- this and the next three are of the latest event that fired
  title           TEXT NOT NULL,
  subject         TEXT NOT NULL,
  seq             INTEGER NOT NULL,
  severity        INTEGER NOT NULL, -- the highest so far
  events          INTEGER NOT NULL,
  opened_at       INTEGER NOT NULL,
  updated_at      INTEGER NOT NULL,
  acknowledged_at INTEGER,
  acknowledged_by TEXT NOT NULL DEFAULT '',
  resolved_at     INTEGER,
  resolved_by     TEXT NOT NULL DEFAULT '',
  version         INTEGER NOT NULL,
  attended        INTEGER NOT NULL DEFAULT 0, -- the version that the workflow has seen
  unseen_since    INTEGER                     -- since when there is one it has not; NULL without
) STRICT;
CREATE UNIQUE INDEX incidents_unresolved ON incidents (key) WHERE state <> 'resolved';
CREATE INDEX incidents_key ON incidents (key, n);
CREATE INDEX incidents_resolved ON incidents (resolved_at) WHERE state = 'resolved';
CREATE INDEX incidents_unseen ON incidents (unseen_since) WHERE unseen_since IS NOT NULL;

CREATE TABLE incident_steps (
  n           INTEGER PRIMARY KEY AUTOINCREMENT,
  incident_id TEXT NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
  webhook_id  TEXT NOT NULL, -- whose escalate says so
  to_id       TEXT NOT NULL, -- the webhook it leads to
  after_ns    INTEGER NOT NULL,
  unless      TEXT NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('waiting', 'done', 'skipped')),
  reason      TEXT NOT NULL,
  seq         INTEGER NOT NULL DEFAULT 0, -- the event that was owed, if any
  due_at      INTEGER NOT NULL,
  done_at     INTEGER,
  UNIQUE (incident_id, webhook_id, to_id, after_ns)
) STRICT;
CREATE INDEX incident_steps_due ON incident_steps (due_at) WHERE state = 'waiting';
