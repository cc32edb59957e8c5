-- Each change of a run changes every index that holds one of the changed columns. Those that are asked for few of all runs hold
-- only these: the runs of schedules that have not ended, and the runs that have. Runs of before 0008 get a time of their
-- schedule, by which they are known.

UPDATE runs SET scheduled_at = created_at
    WHERE scheduled_at IS NULL AND state <> 'done' AND (origin LIKE 'schedule:%' OR origin LIKE 'catch-up:%');
DROP INDEX runs_by_origin;
CREATE INDEX runs_of_schedule ON runs (origin)
    WHERE scheduled_at IS NOT NULL AND state IN ('queued', 'running', 'cancelling');
DROP INDEX runs_by_end;
CREATE INDEX runs_by_end ON runs (ended_at) WHERE ended_at IS NOT NULL;
