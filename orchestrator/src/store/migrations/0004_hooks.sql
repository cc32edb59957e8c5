-- Whom to tell how a run ended, as its pipeline says: an object. What waits to be sent is written in the transaction that
-- ends the run, and goes when it was delivered or given up. `not_before` is the time of the next try, and while a replica
-- tries, that until which it has the message; `fence` counts the takings.

ALTER TABLE runs ADD COLUMN hooks TEXT NOT NULL DEFAULT '{}';

CREATE TABLE outbox (
    id TEXT PRIMARY KEY,
    run_id TEXT NOT NULL REFERENCES runs (id),
    url TEXT NOT NULL,
    secret TEXT,
    body TEXT NOT NULL,
    tries BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE INDEX outbox_due ON outbox (not_before);
CREATE INDEX outbox_of_run ON outbox (run_id);
