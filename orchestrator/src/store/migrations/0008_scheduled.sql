-- The time of its schedule for which a run was queued; NULL for one that somebody asked for. Of a schedule, the runs of a
-- range of times are looked for.

ALTER TABLE runs ADD COLUMN scheduled_at BIGINT;
CREATE INDEX runs_scheduled ON runs (origin, scheduled_at) WHERE scheduled_at IS NOT NULL;
