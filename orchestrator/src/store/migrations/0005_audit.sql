-- What ran: a record for each step of each attempt, in the order of the plan.

CREATE TABLE audit (
    run_id TEXT NOT NULL REFERENCES runs (id),
    attempt BIGINT NOT NULL,
    place BIGINT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (run_id, attempt, place)
);
