-- Who is kept out, and which limits are other than the configuration's.

CREATE TABLE bans (
    ban_id BYTEA PRIMARY KEY,
    -- site, vapid, user or address.
    kind TEXT NOT NULL,
    -- An origin, a key in base64url, a user's id, an address or a range.
    value TEXT NOT NULL,
    -- What people call it; of a user the name when it was made.
    label TEXT NOT NULL,
    reason TEXT NOT NULL,
    author TEXT NOT NULL,
    created BIGINT NOT NULL,
    -- NULL: never. One that was lifted ended then.
    ends BIGINT
);
CREATE INDEX bans_by_value ON bans (kind, value);

-- VAPID keys that posted to permissions of a site.
CREATE TABLE vapid_seen (
    site TEXT NOT NULL,
    -- An uncompressed P-256 point.
    public_key BYTEA NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    -- When it first posted to a permission that is restricted to it; NULL until then. Who merely posts
    -- to an endpoint shows nothing about whose it is.
    proven BIGINT,
    PRIMARY KEY (site, public_key)
);
CREATE INDEX vapid_seen_by_key ON vapid_seen (public_key);
-- Whose a key is: where most users have a permission restricted to it.
CREATE INDEX permissions_by_key ON permissions (application_server_key, site, state, user_id)
    WHERE application_server_key IS NOT NULL;

-- Limits that were set at run time, by their key in the configuration.
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);

-- The same of one site or user.
CREATE TABLE overrides (
    -- site or user.
    kind TEXT NOT NULL,
    -- An origin, or a user's id.
    whose TEXT NOT NULL,
    name TEXT NOT NULL,
    value BIGINT NOT NULL,
    PRIMARY KEY (kind, whose, name)
);

-- When somebody signed in, or used a sign-in, to the hour.
ALTER TABLE accounts ADD COLUMN last_used BIGINT;

-- Who was warned that an idle device, or the account itself, will be removed.
CREATE TABLE idle_warnings (
    user_id BYTEA NOT NULL,
    -- Empty for the account.
    device_id BYTEA NOT NULL,
    warned BIGINT NOT NULL,
    PRIMARY KEY (user_id, device_id)
);
