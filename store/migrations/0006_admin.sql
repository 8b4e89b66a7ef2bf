-- Who administers, with what, and what they did.

-- 0 none, 1 viewer, 2 admin; so in tokens too.
ALTER TABLE accounts ADD COLUMN role BIGINT NOT NULL DEFAULT 0;

CREATE TABLE admin_tokens (
    token_hash BYTEA PRIMARY KEY,
    token_id BYTEA NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role BIGINT NOT NULL,
    author TEXT NOT NULL,
    created BIGINT NOT NULL,
    -- NULL: it does not end by itself.
    ends BIGINT,
    last_used BIGINT
);

CREATE TABLE admin_sessions (
    session_hash BYTEA PRIMARY KEY,
    user_id BYTEA NOT NULL,
    session_id BYTEA NOT NULL,
    created BIGINT NOT NULL,
    used BIGINT NOT NULL,
    -- When a password or a passkey was last given.
    proven BIGINT NOT NULL,
    address TEXT NOT NULL,
    client TEXT NOT NULL
);
CREATE INDEX admin_sessions_by_user ON admin_sessions (user_id, session_id);

-- Good for one use; the use removes it.
CREATE TABLE links (
    link_hash BYTEA PRIMARY KEY,
    link_id BYTEA NOT NULL UNIQUE,
    -- setup, invite or reset.
    kind TEXT NOT NULL,
    -- Whose password a reset sets.
    user_id BYTEA,
    author TEXT NOT NULL,
    created BIGINT NOT NULL,
    ends BIGINT NOT NULL
);

CREATE TABLE totp (
    user_id BYTEA PRIMARY KEY,
    secret BYTEA NOT NULL,
    -- NULL until a first code has shown that the person has it.
    since BIGINT,
    -- The step of the newest code that was taken: none is taken twice.
    last_step BIGINT NOT NULL
);

CREATE TABLE passkeys (
    user_id BYTEA NOT NULL,
    passkey_id BYTEA NOT NULL,
    credential_id BYTEA NOT NULL UNIQUE,
    -- What a signature is checked against.
    credential BYTEA NOT NULL,
    name TEXT NOT NULL,
    created BIGINT NOT NULL,
    last_used BIGINT,
    PRIMARY KEY (user_id, passkey_id)
);

CREATE TABLE audit (
    n BIGINT PRIMARY KEY,
    -- Whole seconds, so that what is shown is what is hashed.
    at BIGINT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id TEXT,
    actor TEXT NOT NULL,
    act TEXT NOT NULL,
    target TEXT,
    before_json TEXT,
    after_json TEXT,
    -- SHA-256 of the hash before it and the row.
    hash BYTEA NOT NULL,
    -- What is searched, folded; not part of the hash.
    words TEXT NOT NULL
);

-- One row. Whoever appends changes it first, so that one appends after the other.
CREATE TABLE audit_head (
    only_one BIGINT PRIMARY KEY,
    n BIGINT NOT NULL,
    -- NULL before the first row.
    hash BYTEA,
    -- The newest row that was removed for its age, and its hash.
    removed_n BIGINT NOT NULL,
    removed_hash BYTEA
);
INSERT INTO audit_head (only_one, n, removed_n) VALUES (1, 0, 0);
