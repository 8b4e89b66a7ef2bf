-- Sites that publish with an API key. A site that only posts to endpoints has no row.

CREATE TABLE sites (
    site TEXT PRIMARY KEY,
    -- What proves the origin, where it is found under it; no secret, but unguessable.
    proof TEXT NOT NULL,
    created BIGINT NOT NULL,
    -- When it was last found there; NULL until then.
    proven BIGINT
);

CREATE TABLE site_keys (
    key_hash BYTEA PRIMARY KEY,
    site TEXT NOT NULL,
    key_id BYTEA NOT NULL,
    name TEXT,
    created BIGINT NOT NULL,
    last_used BIGINT,
    -- Revoked rows stay, so that it can be seen when.
    revoked BIGINT
);
CREATE UNIQUE INDEX site_keys_by_site ON site_keys (site, key_id);

CREATE TABLE site_vapid_keys (
    site TEXT NOT NULL,
    -- The API key that it is registered with; empty for all of the site, those made later too.
    key_id BYTEA NOT NULL,
    -- An uncompressed P-256 point.
    public_key BYTEA NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (site, key_id, public_key)
);
