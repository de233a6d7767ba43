-- Announcements of trouble, mutes, repeats, replays.

ALTER TABLE leases
    ADD COLUMN failing_since timestamptz, -- when the first of its failures in a row was
    ADD COLUMN announced integer NOT NULL DEFAULT 0; -- tocsin.Activity.Announced
-- Since when was not kept until now: disable_after counts from here.
UPDATE leases SET failing_since = clock_timestamp() WHERE failures > 0;

CREATE TABLE mutes (
    number      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the order of lists
    id          text COLLATE "C" NOT NULL UNIQUE,
    webhook_ids text[] NOT NULL,
    events      jsonb NOT NULL, -- tocsin.Selector
    collections text[] NOT NULL,
    dedup_key   text NOT NULL,
    filter      text NOT NULL,
    starts_at   timestamptz NOT NULL,
    ends_at     timestamptz NOT NULL, -- starts_at when it was ended before it began
    author      text NOT NULL,
    reason      text NOT NULL,
    created_at  timestamptz NOT NULL,
    noticed_at  timestamptz
);
CREATE INDEX mutes_ends ON mutes (ends_at);

-- The last event of an incident that a webhook with repeat_after was owed. Only the key
-- is indexed, so that updates stay on their page (HOT).
CREATE TABLE repeats (
    webhook_id text COLLATE "C" NOT NULL,
    dedup_key  text COLLATE "C" NOT NULL,
    status     text NOT NULL,
    at         timestamptz NOT NULL, -- when it was received
    PRIMARY KEY (webhook_id, dedup_key)
) WITH (fillfactor = 70);

CREATE TABLE replays (
    number      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the order of lists
    id          text COLLATE "C" NOT NULL UNIQUE,
    webhook_id  text COLLATE "C" NOT NULL,
    what        text NOT NULL,
    types       text[] NOT NULL,
    since       timestamptz, -- NULL: the beginning
    until       timestamptz NOT NULL,
    max_rate    double precision NOT NULL,
    state       text NOT NULL,
    reason      text NOT NULL DEFAULT '',
    total       bigint NOT NULL,
    replayed    bigint NOT NULL DEFAULT 0,
    deliveries  bigint NOT NULL DEFAULT 0,
    skipped     bigint NOT NULL DEFAULT 0,
    cursor      text NOT NULL DEFAULT '',
    author      text NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    finished_at timestamptz
);
