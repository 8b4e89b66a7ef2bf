-- What the lists of users and sites are searched and sorted by.

-- The name as it is searched, case and accents folded; NULL of accounts from before, until the next start.
ALTER TABLE accounts ADD COLUMN words TEXT;
CREATE INDEX accounts_by_words ON accounts (words, user_id);
CREATE INDEX accounts_by_created ON accounts (created, user_id);

-- Counted without a look at the rows themselves, of which there are ten times as many as users.
CREATE INDEX permissions_by_state ON permissions (user_id, state);
CREATE INDEX permissions_by_site ON permissions (site, state);

-- When any permission of a site was last used: one row a site to write down, instead of an index that
-- changes with every post.
CREATE TABLE site_uses (
    site TEXT PRIMARY KEY,
    last_used BIGINT NOT NULL
);
INSERT INTO site_uses (site, last_used)
    SELECT site, max(last_used) FROM permissions WHERE last_used IS NOT NULL GROUP BY site;
