-- What steps did that have ended well, for attempts that do not do them again: rows, bytes, counters.

CREATE TABLE told (
    run_id TEXT NOT NULL REFERENCES runs (id),
    step TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    fingerprint TEXT NOT NULL,
    figures TEXT NOT NULL,
    PRIMARY KEY (run_id, step)
);
