-- no transaction
--
-- What lists, charts and metrics ask for. New columns have no value in old rows, or a
-- constant one, so that no table is written anew; each statement stands alone, and does
-- nothing when it was done before.

-- When something moved, and what came with it. NULL in rows of a program that did not know
-- of it: what those moved is in no series.
ALTER TABLE ledger_deltas
    ADD COLUMN IF NOT EXISTS at timestamptz,
    ADD COLUMN IF NOT EXISTS events integer, -- that came in with it, each counted once; webhook_id is '' where nobody is owed them
    ADD COLUMN IF NOT EXISTS took integer,   -- milliseconds of the attempt that ended with it
    ADD COLUMN IF NOT EXISTS failed boolean; -- nothing was delivered with that attempt
ALTER TABLE ledger_deltas ALTER COLUMN at SET DEFAULT clock_timestamp();

-- What moved in a minute, and in a quarter of an hour. Written by Fold alone, in the
-- statement that removes the deltas. In this order a few pages take all that is written.
CREATE TABLE IF NOT EXISTS activity (
    step       smallint NOT NULL,              -- minutes: 1 or 15
    starts_at  timestamptz NOT NULL,
    webhook_id text COLLATE "C" NOT NULL,      -- '' for the sum over all
    events     bigint NOT NULL,
    accepted   bigint NOT NULL,
    delivered  bigint NOT NULL,
    dead       bigint NOT NULL,
    suppressed bigint NOT NULL,
    attempts   bigint NOT NULL,
    failed     bigint NOT NULL,
    PRIMARY KEY (step, starts_at, webhook_id)
) WITH (fillfactor = 70);

-- The last attempts of each webhook that are folded, oldest first.
CREATE TABLE IF NOT EXISTS recent_attempts (
    webhook_id text COLLATE "C" PRIMARY KEY,
    minutes    integer[] NOT NULL, -- since 1970, in which each ended
    took       integer[] NOT NULL  -- milliseconds; -1 - milliseconds for one that failed
) WITH (fillfactor = 50);

-- What the last attempt that failed said.
ALTER TABLE deliveries
    ADD COLUMN IF NOT EXISTS error_class text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS last_error text NOT NULL DEFAULT '';

-- Events that came by signal and were not taken, the last of each webhook.
CREATE TABLE IF NOT EXISTS rejections (
    number     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook_id text COLLATE "C" NOT NULL,
    batch      text COLLATE "C" NOT NULL, -- of those that were looked at together
    place      integer NOT NULL,          -- in the batch
    at         timestamptz NOT NULL,
    event      integer,                   -- tocsin.FieldError.Index
    field      text NOT NULL,
    message    text NOT NULL,
    source     text NOT NULL,
    event_id   text NOT NULL,
    type       text NOT NULL,
    UNIQUE (webhook_id, batch, place)
);
CREATE INDEX CONCURRENTLY IF NOT EXISTS rejections_webhook ON rejections (webhook_id, number);
CREATE INDEX CONCURRENTLY IF NOT EXISTS rejections_at ON rejections (at);

-- The history of one thing, or of one kind of change, newest first.
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_object ON audit (object, at, number);
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_name ON audit (name, at, number);
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_action ON audit (action, at, number);
