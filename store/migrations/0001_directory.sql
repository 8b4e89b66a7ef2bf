-- One text for SQLite and PostgreSQL: ids and hashes are BYTEA (which SQLite keeps as blobs), times
-- are milliseconds since the epoch, flags are 0 or 1. user_id leads every key but those of look-ups.

CREATE TABLE about (
    name TEXT PRIMARY KEY,
    value BYTEA NOT NULL
);

CREATE TABLE accounts (
    user_id BYTEA PRIMARY KEY,
    -- Lower case; NULL for accounts that sign in elsewhere.
    name TEXT UNIQUE,
    display_name TEXT NOT NULL,
    password_hash TEXT,
    created BIGINT NOT NULL
);

CREATE TABLE sessions (
    token_hash BYTEA PRIMARY KEY,
    user_id BYTEA NOT NULL,
    session_id BYTEA NOT NULL,
    device_id BYTEA,
    created BIGINT NOT NULL,
    used BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id, session_id);

CREATE TABLE devices (
    user_id BYTEA NOT NULL,
    device_id BYTEA NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    public_key BYTEA NOT NULL,
    password_hash BYTEA NOT NULL,
    created BIGINT NOT NULL,
    last_seen BIGINT,
    PRIMARY KEY (user_id, device_id)
);

CREATE TABLE permissions (
    user_id BYTEA NOT NULL,
    permission_id BYTEA NOT NULL,
    site TEXT NOT NULL,
    name TEXT,
    application_server_key BYTEA,
    receipts BIGINT NOT NULL,
    -- 0 allowed, 1 muted, 2 revoked. Revoked rows stay, so that their endpoints answer 410.
    state BIGINT NOT NULL,
    endpoint_hash BYTEA NOT NULL UNIQUE,
    created BIGINT NOT NULL,
    accepted BIGINT NOT NULL,
    last_used BIGINT,
    PRIMARY KEY (user_id, permission_id)
);

CREATE TABLE keyrings (
    user_id BYTEA PRIMARY KEY,
    sealed BYTEA NOT NULL,
    version BIGINT NOT NULL
);

CREATE TABLE keyring_wraps (
    user_id BYTEA NOT NULL,
    -- A device id, or `recovery`.
    recipient TEXT NOT NULL,
    wrap BYTEA NOT NULL,
    PRIMARY KEY (user_id, recipient)
);
