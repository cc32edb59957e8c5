-- How many runs of one schedule, or of one backfill, may be under way at a time; `concurrency` counts all of a pipeline.

ALTER TABLE runs ADD COLUMN of_series BIGINT;
