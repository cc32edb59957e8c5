-- Which data root the runs read and write: one, however many orchestrators share the store.

CREATE TABLE data_root (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    id TEXT NOT NULL
);
