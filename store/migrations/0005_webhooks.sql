-- Sites whose log of events is open in the mailbox, and how far those with a webhook have been told.
CREATE TABLE site_outboxes (
    site TEXT PRIMARY KEY,
    -- Where events are sent; NULL where the site asks for them.
    webhook TEXT,
    -- Counts the webhook's secrets: the one in force is made of it.
    generation BIGINT NOT NULL,
    -- When that one came into force.
    since BIGINT NOT NULL,
    -- The newest event that the receiver has taken.
    told BIGINT NOT NULL,
    -- Tries of the next one that failed, since when, what was wrong at the last, and when the next is.
    failures BIGINT NOT NULL,
    failing_since BIGINT,
    failure TEXT,
    next_try BIGINT,
    -- 1 once it was given up.
    given_up BIGINT NOT NULL
);
