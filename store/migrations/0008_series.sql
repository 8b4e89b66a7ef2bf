-- The server's own figures in buckets of time, each kept three times: of 10 seconds, 5 minutes and an
-- hour. No user, device or permission is in them.
CREATE TABLE series (
    -- Seconds of a bucket.
    resolution BIGINT NOT NULL,
    metric TEXT NOT NULL,
    -- When it begins, in seconds since 1970.
    bucket BIGINT NOT NULL,
    -- Which of several, such as the reason of a refusal or the class of a duration; else empty.
    part TEXT NOT NULL,
    -- Both add up, so that buckets roll up into larger ones: a mean is the one by the other.
    total DOUBLE PRECISION NOT NULL,
    weight DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (resolution, metric, bucket, part)
);
CREATE INDEX series_by_time ON series (resolution, bucket);

-- Posts by the site of their permission.
CREATE TABLE site_series (
    resolution BIGINT NOT NULL,
    site TEXT NOT NULL,
    bucket BIGINT NOT NULL,
    accepted BIGINT NOT NULL,
    refused BIGINT NOT NULL,
    PRIMARY KEY (resolution, site, bucket)
);
CREATE INDEX site_series_by_time ON site_series (resolution, bucket);
