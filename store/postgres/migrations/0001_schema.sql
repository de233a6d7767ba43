-- Everything Tocsin keeps. Stored forms: columns are added, never renamed.
--
-- An obligation is (webhook, event, generation). At any time it is one row in exactly
-- one place: pending, suppressed, or delivery_events where fate is not 'moved'.

-- Counts changes of configuration, so that ingest knows when its copy is old.
CREATE TABLE config_revision (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    revision bigint NOT NULL
);
INSERT INTO config_revision (revision) VALUES (1);

CREATE TABLE webhooks (
    id           text COLLATE "C" PRIMARY KEY,
    name         text COLLATE "C" NOT NULL,
    state        text NOT NULL,
    state_reason text NOT NULL DEFAULT '',
    state_since  timestamptz NOT NULL,
    version      bigint NOT NULL,
    settings     jsonb NOT NULL,
    config       jsonb, -- secrets as [redacted]
    sealed       bytea, -- the same with its secrets, encrypted
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL
);
CREATE UNIQUE INDEX webhooks_name ON webhooks (name) WHERE state <> 'deleted';

-- What changes with every delivery, apart from the configuration. Nothing but the key
-- is indexed and pages are half empty, so that updates stay on their page (HOT).
CREATE TABLE leases (
    webhook_id      text COLLATE "C" PRIMARY KEY REFERENCES webhooks,
    fence           bigint NOT NULL DEFAULT 0,
    awake           boolean NOT NULL DEFAULT true,
    applied_version bigint NOT NULL DEFAULT 0,
    seen_at         timestamptz NOT NULL, -- the last sign of life of a Deliver
    due_at          timestamptz,          -- when backoff ends
    next_run_at     timestamptz,          -- the tick that is waited for
    run_cutoff      timestamptz,          -- of the run in progress
    run_now         boolean NOT NULL DEFAULT false,
    failures        integer NOT NULL DEFAULT 0,
    rejections      integer NOT NULL DEFAULT 0, -- of single events, in a row
    last_delivery   timestamptz,
    last_error      text NOT NULL DEFAULT ''
) WITH (fillfactor = 50);

-- Not a cache: numbers must grow from one commit to the next, whichever connection
-- hands them out, or an event could overtake an earlier one of its incident.
CREATE SEQUENCE event_seq CACHE 1;

-- Keys outlive their events, for as long as producers may repeat them.
CREATE TABLE event_keys (
    source      text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    seq         bigint NOT NULL,
    fingerprint bytea NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (source, id)
);

CREATE TABLE events (
    seq         bigint PRIMARY KEY,
    source      text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    type        text COLLATE "C" NOT NULL,
    subject     text NOT NULL,
    severity    smallint NOT NULL, -- info 1, low 2, medium 3, high 4, critical 5
    status      text NOT NULL,
    time        timestamptz NOT NULL,
    time_ns     smallint NOT NULL, -- what of time is finer than a microsecond
    dedup_key   text COLLATE "C" NOT NULL,
    title       text NOT NULL,
    summary     text NOT NULL,
    link        text NOT NULL,
    labels      jsonb,
    raw         bytea NOT NULL, -- the event as it came
    data_at     integer,        -- where in raw its data begins, when it is a part of it
    data_length integer,
    data        bytea,          -- its data, when it is not
    received_at timestamptz NOT NULL
);
CREATE INDEX events_received ON events (received_at DESC);
CREATE INDEX events_type ON events (type, seq DESC);

CREATE TABLE pending (
    webhook_id text COLLATE "C" NOT NULL,
    seq        bigint NOT NULL,
    generation bigint NOT NULL DEFAULT 0, -- a replay owes an event again under the next
    dedup_key  text COLLATE "C" NOT NULL,
    batch_key  text COLLATE "C" NOT NULL,
    bytes      integer NOT NULL,
    owed_at    timestamptz NOT NULL,
    PRIMARY KEY (webhook_id, seq, generation)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

CREATE TABLE suppressed (
    webhook_id text COLLATE "C" NOT NULL,
    seq        bigint NOT NULL,
    generation bigint NOT NULL DEFAULT 0,
    reason     text NOT NULL,
    at         timestamptz NOT NULL,
    PRIMARY KEY (webhook_id, seq, generation)
);

CREATE SEQUENCE delivery_number CACHE 1;

CREATE TABLE deliveries (
    id               text COLLATE "C" PRIMARY KEY,
    webhook_id       text COLLATE "C" NOT NULL,
    state            text NOT NULL,
    open             boolean NOT NULL GENERATED ALWAYS AS (state IN ('ready', 'sending')) STORED,
    reason           text NOT NULL DEFAULT '',
    parent           text COLLATE "C" NOT NULL DEFAULT '',
    number           bigint NOT NULL DEFAULT nextval('delivery_number'), -- the order of planning; children have their parent's
    path             text COLLATE "C" NOT NULL DEFAULT '',               -- and this is their order
    count            integer NOT NULL,
    due              integer NOT NULL, -- events that the next attempt is about
    in_flight        integer NOT NULL, -- those of them that the ledger counts as in flight
    attempts         integer NOT NULL DEFAULT 0,
    unsure           boolean NOT NULL DEFAULT false, -- an attempt ended without a known refusal
    created_at       timestamptz NOT NULL,
    first_attempt_at timestamptz,
    finished_at      timestamptz
) WITH (fillfactor = 70);
-- By open, not by state: going from ready to sending then touches no index.
CREATE INDEX deliveries_open ON deliveries (webhook_id, number, path) WHERE open;
CREATE INDEX deliveries_created ON deliveries (created_at DESC, number DESC, path DESC);
CREATE INDEX deliveries_webhook ON deliveries (webhook_id, created_at DESC, number DESC, path DESC);

-- fate is NULL for an event that shares its delivery's; otherwise one of
--   dead       refused on its own, for the reason given
--   moved      it is in a child now
--   delivered  delivered by an earlier attempt; not sent again
--   again      delivered by an earlier attempt and sent again on request
-- so that the usual delivery never writes these rows twice.
CREATE TABLE delivery_events (
    delivery_id text COLLATE "C" NOT NULL,
    place       integer NOT NULL,
    seq         bigint NOT NULL,
    generation  bigint NOT NULL,
    dedup_key   text COLLATE "C" NOT NULL,
    fate        text,
    reason      text NOT NULL DEFAULT '',
    PRIMARY KEY (delivery_id, place)
);
CREATE INDEX delivery_events_seq ON delivery_events (seq);

CREATE TABLE attempts (
    delivery_id text COLLATE "C" NOT NULL,
    number      integer NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz, -- NULL while it is open, or for ever when its process died
    unsure      boolean NOT NULL DEFAULT false, -- the receiver may have accepted it all the same
    body        json,        -- tocsin.Attempt; json, since jsonb cannot hold \u0000
    PRIMARY KEY (delivery_id, number)
);

-- What a vendor called an incident's object. json, so that it comes back as it was.
CREATE TABLE refs (
    webhook_id text COLLATE "C" NOT NULL,
    dedup_key  text COLLATE "C" NOT NULL,
    value      json NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (webhook_id, dedup_key)
);

-- The ledger: a balance is the sum of a webhook's rows in both tables.
CREATE TABLE ledger_deltas (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook_id text COLLATE "C" NOT NULL,
    accepted   bigint NOT NULL DEFAULT 0,
    delivered  bigint NOT NULL DEFAULT 0,
    pending    bigint NOT NULL DEFAULT 0,
    in_flight  bigint NOT NULL DEFAULT 0,
    dead       bigint NOT NULL DEFAULT 0,
    suppressed bigint NOT NULL DEFAULT 0
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE TABLE ledger (
    webhook_id text COLLATE "C" PRIMARY KEY,
    accepted   bigint NOT NULL,
    delivered  bigint NOT NULL,
    pending    bigint NOT NULL,
    in_flight  bigint NOT NULL,
    dead       bigint NOT NULL,
    suppressed bigint NOT NULL
) WITH (fillfactor = 50);
-- What pruning removed, to be added when counting rows. Only settled obligations are
-- ever pruned.
CREATE TABLE ledger_baseline (
    webhook_id text COLLATE "C" PRIMARY KEY,
    delivered  bigint NOT NULL DEFAULT 0,
    dead       bigint NOT NULL DEFAULT 0,
    suppressed bigint NOT NULL DEFAULT 0
);

CREATE TABLE api_keys (
    id         text COLLATE "C" PRIMARY KEY,
    name       text COLLATE "C" NOT NULL CONSTRAINT api_keys_name UNIQUE,
    hash       bytea NOT NULL UNIQUE,
    scopes     text[] NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    last_used  timestamptz
);
