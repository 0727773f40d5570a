-- latest: the latest time on the store's clock that was written down. It never goes back.
ALTER TABLE counters ADD COLUMN latest INTEGER NOT NULL DEFAULT 0;
UPDATE counters SET latest = coalesce((SELECT max(received) FROM delivery), 0);
