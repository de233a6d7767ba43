-- The audit log, rotation of keys, signing keys.

-- Texts as they came; json, so that it comes back as it was.
CREATE TABLE audit (
    number  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the order of those of one moment
    id      text COLLATE "C" NOT NULL UNIQUE,
    at      timestamptz NOT NULL,
    actor   text NOT NULL,
    address text NOT NULL,
    action  text NOT NULL,
    object  text NOT NULL,
    name    text NOT NULL,
    before  json,
    after   json,
    outcome text NOT NULL, -- '' for not known
    detail  text NOT NULL
);
CREATE INDEX audit_at ON audit (at, number);

ALTER TABLE api_keys
    ADD COLUMN old_hash bytea UNIQUE, -- from before the last rotation
    ADD COLUMN old_expires_at timestamptz;

CREATE TABLE signing_keys (
    number      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the order they were made in
    id          text COLLATE "C" NOT NULL UNIQUE,
    public      bytea NOT NULL,
    sealed      bytea NOT NULL,
    created_at  timestamptz NOT NULL,
    signs_from  timestamptz NOT NULL,
    signs_until timestamptz -- NULL for the newest
);
