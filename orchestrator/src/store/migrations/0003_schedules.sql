-- When a pipeline runs by itself. `next_at` is the time it is due next; NULL while it is paused, or when there is none.

CREATE TABLE schedules (
    name TEXT PRIMARY KEY,
    pipeline TEXT NOT NULL,
    version BIGINT,
    sets TEXT NOT NULL,
    params TEXT NOT NULL,
    cron TEXT NOT NULL,
    zone TEXT NOT NULL,
    overlap TEXT NOT NULL,
    catch_up TEXT NOT NULL,
    jitter_ms BIGINT NOT NULL,
    paused BIGINT NOT NULL,
    next_at BIGINT,
    last_at BIGINT,
    last_run TEXT,
    last_error TEXT,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL
);

CREATE INDEX schedules_due ON schedules (next_at);
CREATE INDEX runs_by_origin ON runs (origin, state);
