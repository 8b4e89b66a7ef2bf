-- Seconds that the user's active devices have notifications to themselves; NULL leaves it to the server.
ALTER TABLE accounts ADD COLUMN away_grace BIGINT;
