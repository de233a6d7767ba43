-- Incidents and their steps. All tables are new, so that nobody waits for this.

-- One row for each dedup key with incidents, or about to have one. Whoever changes the
-- incidents of a key holds its row, and locks several in the order of their keys.
CREATE TABLE incident_keys (
    key text COLLATE "C" PRIMARY KEY -- tocsin.IncidentKey
);

CREATE TABLE incidents (
    number          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the order of lists
    id              text COLLATE "C" NOT NULL UNIQUE,
    key             text COLLATE "C" NOT NULL,
    dedup_key       text COLLATE "C" NOT NULL,
    state           text NOT NULL,
    type            text NOT NULL, -- this and the next three are of the latest event that fired
    title           text NOT NULL,
    subject         text NOT NULL,
    seq             bigint NOT NULL, -- in no index, so that firing again is a cheap update
    severity        smallint NOT NULL, -- the highest so far
    events          integer NOT NULL,
    opened_at       timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    acknowledged_at timestamptz,
    acknowledged_by text NOT NULL DEFAULT '',
    resolved_at     timestamptz,
    resolved_by     text NOT NULL DEFAULT '',
    version         bigint NOT NULL,
    attended        bigint NOT NULL DEFAULT 0, -- the version that the workflow has seen
    unseen_since    timestamptz                -- since when there is one it has not; NULL without
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX incidents_unresolved ON incidents (key) WHERE state <> 'resolved';
CREATE INDEX incidents_key ON incidents (key, number);
CREATE INDEX incidents_resolved ON incidents (resolved_at) WHERE state = 'resolved';
CREATE INDEX incidents_unseen ON incidents (unseen_since) WHERE unseen_since IS NOT NULL;

CREATE TABLE incident_steps (
    number      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id text COLLATE "C" NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    webhook_id  text COLLATE "C" NOT NULL, -- whose escalate says so
    to_id       text COLLATE "C" NOT NULL, -- the webhook it leads to
    after_ns    bigint NOT NULL,
    unless      text NOT NULL,
    state       text NOT NULL,
    reason      text NOT NULL,
    seq         bigint NOT NULL DEFAULT 0, -- the event that was owed, if any
    due_at      timestamptz NOT NULL,
    done_at     timestamptz,
    UNIQUE (incident_id, webhook_id, to_id, after_ns)
);
CREATE INDEX incident_steps_due ON incident_steps (due_at) WHERE state = 'waiting';
