-- The lowest urgency that a device takes; NULL takes all.
ALTER TABLE devices ADD COLUMN urgency_min TEXT;
